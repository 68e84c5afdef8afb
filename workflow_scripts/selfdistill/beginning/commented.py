"""A study as the text of a file in which every key has its sentence, taken from the types of the study.

A key is explained where it first stands: of several decodes the first is written out, and the others, which say nothing
new, take a line each.
"""

import json
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any, get_args, get_origin

import yaml

from selfdistill.study.section import Section
from selfdistill.study.study import Study

WIDTH = 110
INDENT = "  "


def commented(content: Mapping[str, Any], notes: Mapping[str, str] = {}) -> str:
    """`notes` are said behind the sentences of keys, which they name by their paths: `model.thinks`."""
    return "\n".join(_Writer(notes).section(Study, content)) + "\n"


class _Writer:
    def __init__(self, notes: Mapping[str, str]) -> None:
        self.notes = notes
        self.told: set[str] = set()  # Section.key, of sections that stand under names

    def section(
        self, section: type[Section], content: Mapping[str, Any], path: str = "", indent: str = ""
    ) -> Iterator[str]:
        for key, value in content.items():
            field = section.model_fields[key]
            inner, sentence = section_within(field.annotation), self.sentence(section, key, path)
            if not indent:
                yield ""
            if not isinstance(value, dict) or not value or inner is None:
                yield from with_comment(f"{indent}{key}: {written(value)}", sentence, indent)
                continue
            yield from with_comment(f"{indent}{key}:", sentence or own_sentence(inner), indent)
            below = self.named if get_origin(field.annotation) is dict else self.section
            yield from below(inner, value, f"{path}{key}.", indent + INDENT)

    def named(self, section: type[Section], entries: Mapping[str, Any], path: str, indent: str) -> Iterator[str]:
        for name, content in entries.items():
            keys = {f"{section.__name__}.{key}" for key in content}
            if keys <= self.told:
                yield f"{indent}{name}: {written(content)}"
                continue
            yield f"{indent}{name}:"
            for key, value in content.items():
                is_told = f"{section.__name__}.{key}" in self.told
                sentence = "" if is_told else self.sentence(section, key, f"{path}{name}.")
                yield from with_comment(f"{indent}{INDENT}{key}: {written(value)}", sentence, indent + INDENT)
            self.told |= keys

    def sentence(self, section: type[Section], key: str, path: str) -> str:
        return " ".join(filter(None, [section.model_fields[key].description, self.notes.get(f"{path}{key}")]))


def with_comment(line: str, sentence: str, indent: str) -> Iterator[str]:
    """Behind the key where there is room, else above it."""
    sentence = " ".join(sentence.split())
    if not sentence:
        yield line
    elif len(f"{line} # {sentence}") <= WIDTH and not line.endswith(":"):
        yield f"{line} # {sentence}"
    else:
        before = f"{indent}# "
        yield from textwrap.wrap(
            sentence, WIDTH, initial_indent=before, subsequent_indent=before, break_on_hyphens=False
        )
        yield line


def section_within(annotation: Any) -> type[Section] | None:
    """The section that stands at a key, alone or under names."""
    for part in (annotation, *get_args(annotation)):
        if isinstance(part, type) and issubclass(part, Section):
            return part
    return None


def own_sentence(section: type[Section]) -> str:
    return section.__doc__ or "" if section.__doc__ != Section.__doc__ else ""


def written(value: Any) -> str:
    if isinstance(value, str) and ("\n" in value or "\\" in value):
        return json.dumps(value, ensure_ascii=False)
    text = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=10_000, allow_unicode=True)
    return text.removesuffix("...\n").strip()
