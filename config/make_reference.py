"""Writes docs/study-file.md, the tables of every key of a study file, from the typed study.

python config/make_reference.py      `make schema` does it too; a test keeps them in step
"""

import json
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic.fields import FieldInfo

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "workflow_scripts"))

from selfdistill.study.section import TEXTS, Section  # noqa: E402
from selfdistill.study.study import Study  # noqa: E402
from selfdistill.study.training import NOT_BY_ARM, Recipe  # noqa: E402
from selfdistill.study.words import in_words, section_of_union  # noqa: E402

BEGINNING = """# Every key of a study file

A study file is complete by itself: nothing is taken from another file. `config.yaml` and the files in `config/` are
examples. NAME stands for a name of yours.

`forklock check FILE` says all that is wrong with a file, with its lines. Editors check it by
`config/schema.json`. This page is made from the types of the study by `make schema`.
"""
WIDTH, NONE = 120, "–"
Row = tuple[str, str, str, str]


def reference_text() -> str:
    parts = [BEGINNING, table("The study", [row for row in rows(Study) if "." not in row[0]])]
    for name, field in Study.model_fields.items():
        if (section := section_of(field.annotation)) is not None:
            heading = f"`{name}.NAME`" if get_origin(field.annotation) is dict else f"`{name}`"
            parts.append(table(heading, list(rows(section)), section.__doc__))
            parts += [arms_own()] if name == "arms" else []
    return "\n".join([*parts, kinds_of_text()])


def table(heading: str, entries: list[Row], about: str | None = None) -> str:
    lines = [f"## {heading}", ""]
    if about and about != Section.__doc__:
        lines += [textwrap.fill(" ".join(about.split()), WIDTH), ""]
    lines += ["| key | holds | default | meaning |", "| --- | --- | --- | --- |"]
    return "\n".join([*lines, *(f"| {' | '.join(entry)} |".replace("<", "&lt;") for entry in entries), ""])


def rows(section: type[Section], before: str = "") -> Iterator[Row]:
    for name, field in section.model_fields.items():
        inner = section_of(field.annotation)
        key = before + name
        if inner is None:
            yield f"`{key}`", in_words(field.annotation, field.metadata), default_of(field), field.description or ""
        elif section is not Study:
            if section_of_union(field.annotation):
                yield f"`{key}`", in_words(field.annotation, field.metadata), default_of(field), field.description or ""
            if not field.is_required() and field.default is None:
                yield f"`{key}`", "a section", NONE, " ".join((inner.__doc__ or "").split())
            yield from rows(inner, f"{key}.NAME." if get_origin(field.annotation) is dict else f"{key}.")


def section_of(annotation: Any) -> type[Section] | None:
    """The section that stands at a key, alone, under names, or where the key is given at all."""
    for part in (annotation, *get_args(annotation)):
        if isinstance(part, type) and issubclass(part, Section):
            return part
    return None


def default_of(field: FieldInfo) -> str:
    if field.is_required():
        return "must be there"
    if field.default_factory is not None:
        return "`results/STUDY`"
    return NONE if field.default in (None, "") else f"`{json.dumps(field.default)}`"


def arms_own() -> str:
    shared = ", ".join(f"`{key}`" for key in sorted(NOT_BY_ARM))
    own = ", ".join(f"`{key}`" for key in Recipe.model_fields if key not in NOT_BY_ARM)
    text = f"An arm's own `training` may hold {own}. The same for all arms are {shared}."
    return textwrap.fill(text, WIDTH, break_on_hyphens=False) + "\n"


def kinds_of_text() -> str:
    lines = ["## How names and the like are written", "", *(f"- {kind.one}: {kind.written}" for kind in TEXTS.values())]
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    (ROOT / "docs/study-file.md").write_text(reference_text())
