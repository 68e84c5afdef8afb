"""A study file with the line of every key, and without what YAML lets pass: a key that stands there twice."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from selfdistill.foundation.errors import UserError
from selfdistill.study.study import Study

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
TAB = "\t"


class Lines:
    """What a file says, and where. Keys are named as in complaints, `arms.ssd.seeds`."""

    def __init__(self, file: Path, content: dict[str, Any], at: Mapping[str, int]) -> None:
        self.file, self.content, self._at = file, content, at

    def placed(self, complaint: str, raw: Mapping[str, Any]) -> str:
        """A complaint, `key: sentence`, behind the place in the file that it speaks of; or behind the file alone, where
        the study that was checked, `raw`, has something else there than the file."""
        key = complaint.partition(": ")[0]
        if _value(self.content, key) != _value(raw, key):
            return f"{self.file}: {complaint}"
        while key and key not in self._at:
            key = key.rpartition(".")[0]
        return f"{self.file}:{self._at[key]}: {complaint}" if key else f"{self.file}: {complaint}"


@contextmanager
def at_its_line(lines: Lines) -> Iterator[None]:
    """A complaint about a key, from whatever found it, with the place of the key."""
    try:
        yield
    except UserError as error:
        raise UserError(lines.placed(str(error), lines.content)) from error


def read_with_lines(file: Path) -> Lines:
    try:
        text = file.read_text(encoding="utf-8-sig")
    except OSError:
        raise UserError(f"{file}: there is no such study file; give its path, as config/smoke.yaml.") from None
    except UnicodeDecodeError:
        raise UserError(f"{file}: is not UTF-8 text; save it as UTF-8.") from None
    return lines_in(text, file)


def lines_in(text: str, file: Path) -> Lines:
    """Of what stands in a file, or is to stand there."""
    if file.suffix == ".json":
        return Lines(file, _section(file, json.loads(text)), {})
    try:
        node = yaml.compose(text, Loader=LOADER)
        content = yaml.load(text, Loader=LOADER)
    except yaml.YAMLError as error:
        raise UserError(_not_yaml(file, error, text)) from None
    section, at = _section(file, content), dict[str, int]()
    twice = list(_remember(node, "", at)) if node else []
    if twice:
        raise UserError("\n".join(f"{file}:{line}: {sentence}" for line, sentence in twice))
    return Lines(file, section, at)


def _remember(node: yaml.Node, key: str, at: dict[str, int]) -> Iterator[tuple[int, str]]:
    """Note the line of every key below a node, and tell of keys that stand there twice."""
    if isinstance(node, yaml.SequenceNode):
        for place, item in enumerate(node.value):
            yield from _entry(f"{key}.{place}", item, item, at)
    elif isinstance(node, yaml.MappingNode):
        lines: dict[str, int] = {}
        for name, value in node.value:
            line = name.start_mark.line + 1
            below = f"{key}.{name.value}".removeprefix(".")
            if name.value in lines and name.tag != "tag:yaml.org,2002:merge":
                yield line, f"{below}: stands in line {lines[name.value]} already; keep one of the two."
            lines[name.value] = line
            yield from _entry(below, name, value, at)


def _entry(key: str, place: yaml.Node, value: yaml.Node, at: dict[str, int]) -> Iterator[tuple[int, str]]:
    if key.count(".") < 20:  # an alias may hold itself
        at[key] = place.start_mark.line + 1
        yield from _remember(value, key, at)


def _not_yaml(file: Path, error: yaml.YAMLError, text: str) -> str:
    mark = getattr(error, "problem_mark", None)
    if mark is None:
        return f"{file}: is not YAML ({str(error).splitlines()[0]}); mend it there."
    line = text.splitlines()[mark.line] if mark.line < len(text.splitlines()) else ""
    if TAB in line[: len(line) - len(line.lstrip())]:
        return f"{file}:{mark.line + 1}: begins with a tab, which YAML does not take; indent with spaces."
    return f"{file}:{mark.line + 1}: is not YAML ({getattr(error, 'problem', None) or 'it breaks off'}); mend it there."


def _section(file: Path, content: Any) -> dict[str, Any]:
    if not isinstance(content, dict):
        raise UserError(f"{file}: holds no keys; config.yaml shows what a study file looks like.")
    known = Study.model_fields.keys() & content.keys()
    if 2 * len(known) < len(content):  # what it does hold is nothing to be shown
        raise UserError(f"{file}: is no study file; config.yaml shows what one looks like.")
    return content


def _value(content: Any, key: str) -> Any:
    for part in key.split("."):
        if isinstance(content, Mapping):
            content = content.get(part)
        elif isinstance(content, list) and part.isdecimal() and int(part) < len(content):
            content = content[int(part)]
        else:
            return None
    return content
