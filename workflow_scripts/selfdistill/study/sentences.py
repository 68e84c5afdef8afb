"""What pydantic finds wrong with a study, as sentences in the study file's own words: `key: what is wrong`."""

import contextlib
import math
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from selfdistill.foundation.suggestions import nearest, suggested
from selfdistill.study.section import Section
from selfdistill.study.study import Study
from selfdistill.study.words import Standing, in_words, is_union, names_of, section_of_union, standing_at, text_kind

Path = tuple[str | int, ...]

# Keys of older study files and what they are called now.
RENAMED = {
    "model.dtype": "sampling.precision",
    "evaluation.base": "evaluation.decodes.base",
    "evaluation.final": "evaluation.decodes.final",
    "evaluation.earlier": "evaluation.decodes.earlier",
}


def complaints(
    error: ValidationError, raw: Mapping[str, Any], root: type[Section] = Study, below: Sequence[str] = ()
) -> list[str]:
    """All that is wrong, each once. `raw` is what was checked as a `root`, which stands `below` some keys of the study."""
    found: dict[str, None] = {}
    moved = {RENAMED[key] for each in error.errors() if (key := _dotted(each["loc"])) in RENAMED}
    misspelt = _misspelt([each["loc"] for each in error.errors() if each["type"] == "extra_forbidden"], root)
    for each in error.errors():
        standing = standing_at(root, each["loc"])
        key = _dotted((*below, *standing.path))
        if section_of_union(standing.annotation) and isinstance(_value_at(raw, standing.path), Mapping):
            continue  # that a section is no plain value; what is wrong within it is told
        if each["type"] == "default_factory_not_called":
            continue  # what it would be made from is missing, which is told
        if each["type"] == "missing" and any(f"{new}.".startswith(f"{key}.") for new in moved):
            continue  # it is there, under its old name
        if each["type"] == "missing" and each["loc"] in misspelt:
            continue  # it is there, misspelt, which is told
        found[f"{key}: {_sentence(key, each['type'], standing, _value_at(raw, standing.path))}"] = None
    return list(found)


def _misspelt(unknown: Sequence[Path], root: type[Section]) -> set[Path]:
    """The keys that unknown ones were probably meant to be."""
    return {
        (*path[:-1], key) for path in unknown if (key := nearest(path[-1], standing_at(root, path).beside)) is not None
    }


def _sentence(key: str, kind: str, standing: Standing, value: Any) -> str:
    if key in RENAMED:
        return f"is now called {RENAMED[key]}; rename it."
    if kind == "missing":
        return "is missing; every study file is complete by itself."
    if kind == "extra_forbidden":
        return f"there is no such key; {suggested(standing.path[-1], standing.beside)}"
    text = text_kind(standing.limits)
    if standing.is_key and text:
        return f"is no name; write {text.written}."
    if standing.is_key:
        return f"there is no such key; {suggested(standing.path[-1], standing.beside)}"
    words = in_words(standing.annotation, standing.limits)
    if isinstance(value, str) and kind in ("float_type", "int_type") and not is_union(standing.annotation):
        return f"{value!r} is text where a number is needed{_as_yaml_reads(value)}."
    written = f" ({text.written})" if text else ""
    end = "."
    if standing.annotation is str and isinstance(value, int | float):
        end = "; put it in quotes."
    if kind == "literal_error" and "did you mean" in (near := suggested(value, names_of(standing.annotation))):
        end = f"; {near}"
    return f"needs {words}{written}, but is {_shown(value)}{end}"


def _as_yaml_reads(value: str) -> str:
    with contextlib.suppress(ValueError):
        if math.isfinite(number := float(value)):
            return f" (YAML reads {value} as text; write {number:.1e})"
    return ""


def _shown(value: Any) -> str:
    """A value as it stands in a study file, as far as it is short."""
    if value is None:
        return "empty"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and not math.isfinite(value):
        return str(value).replace("inf", ".inf").replace("nan", ".nan")
    if isinstance(value, Mapping):
        return "a section"
    return "a list" if isinstance(value, list | tuple) else repr(value)


def _value_at(raw: Any, path: Path) -> Any:
    for part in path:
        try:
            raw = raw[part]
        except (KeyError, IndexError, TypeError):
            return None
    return raw


def _dotted(path: Sequence[str | int]) -> str:
    return ".".join(str(part) for part in path)
