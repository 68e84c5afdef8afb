"""Writes docs/study-file.md, the tables of every key of a study file, from the typed study.

python config/make_reference.py      `make schema` does it too; a test keeps them in step
"""

import json
import sys
import textwrap
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from pydantic.fields import FieldInfo

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "workflow_scripts"))

from selfdistill.study.keys import EXAMPLES, RUNS_AGAIN, UNITS, Key, all_keys, runs_again  # noqa: E402
from selfdistill.study.section import TEXTS, Section  # noqa: E402
from selfdistill.study.training import NOT_BY_ARM, Recipe  # noqa: E402
from selfdistill.study.words import in_words  # noqa: E402

BEGINNING = """# Every key of a study file

A study file is complete by itself: nothing is taken from another file. `config.yaml` and the files in `config/` are
examples. NAME stands for a name of yours.

`forklock check FILE` says all that is wrong with a file, with its lines. Editors check it by
`config/schema.json`, and show the same texts. This page is made from the types of the study by `make schema`.

An example is what a shipped study says, where one says something else than the default, and else one made for this
page. It never is the default.

## What runs again when a key changes

Snakemake runs again what rests on the change. What a journal or a work folder holds is not made again, so that a job
that is listed may be done in a moment: `forklock diff FILE` counts the completions that would really be sampled and
the trainings that would really run. The column "again" says where it begins:

"""
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the same in a tenth of the time
WIDTH, NONE, LONGEST = 120, "–", 60
HEADS = "| key | holds | unit | default | example | again | meaning |\n| --- | --- | --- | --- | --- | --- | --- |"
# The ones that are read first; the others follow by name.
SHIPPED = ("config.yaml", "config/doubt-lab.yaml", "config/qwen3.5-4b.yaml", "docs/examples/every-table.yaml")


def reference_text() -> str:
    keys = list(all_keys())
    again = [f"- **{name}**: {meaning}" for name, meaning in RUNS_AGAIN.items()]
    parts = [
        BEGINNING + "\n".join(again) + "\n",
        table("The study", [key for key in keys if "." not in key.path and not key.inner]),
    ]
    for top in keys:
        if "." not in top.path and top.inner is not None:
            heading = f"{top.path}.NAME" if top.of_names else top.path
            below = [key for key in keys if key.path.startswith(f"{heading}.")]
            parts.append(table(f"`{heading}`", below, f"{heading}.", about(top)))
            parts += [arms_own()] if top.path == "arms" else []
    return "\n".join([*parts, kinds_of_text()])


def about(top: Key) -> str:
    """What the key says of itself, and what its section adds."""
    inner = top.inner.__doc__ if top.inner is not None and top.inner.__doc__ != Section.__doc__ else ""
    return " ".join(f"{top.field.description} {inner or ''}".split())


def table(heading: str, keys: Iterable[Key], before: str = "", text: str = "") -> str:
    lines = [f"## {heading}", "", *([textwrap.fill(text, WIDTH), ""] if text else []), HEADS]
    return "\n".join([*lines, *(row(key, before) for key in keys if is_told(key)), ""])


def is_told(key: Key) -> bool:
    """A section that is always there is told of by its keys."""
    return key.holds_a_value or key.may_be_left_out_whole


def row(key: Key, before: str) -> str:
    meaning = key.field.description if key.holds_a_value else " ".join((key.inner.__doc__ or "").split())  # type: ignore[union-attr]
    cells = (
        f"`{key.path.removeprefix(before)}`",
        in_words(key.field.annotation, key.field.metadata),
        UNITS.get(key.path, ""),
        default_of(key.field),
        in_code(example_of(key)) if key.holds_a_value else NONE,
        runs_again(key.path),
        meaning or "",
    )
    return f"| {' | '.join(map(in_cell, cells))} |"


def in_cell(text: str) -> str:
    return (text if text.startswith("`") else text.replace("<", "&lt;")).replace("|", "\\|")


def default_of(field: FieldInfo) -> str:
    if field.is_required():
        return "must be there"
    if field.default_factory is not None:
        return "`results/STUDY`"
    return NONE if field.default in (None, "") else f"`{json.dumps(field.default)}`"


def example_of(key: Key) -> Any:
    """What the first shipped study says that says something else than the default; else one made for the page."""
    said = [value for study in shipped() for value in standing_at(study, key.path.split("."))]
    unlike = [value for value in said if value not in (None, "", key.field.default)]
    return next(iter([*unlike, *([EXAMPLES[key.path]] if key.path in EXAMPLES else []), *said]), None)


@cache
def shipped() -> list[dict[str, Any]]:
    others = sorted(str(file.relative_to(ROOT)) for file in (ROOT / "config").glob("*.yaml"))
    files = dict.fromkeys([*SHIPPED, *others])
    return [yaml.load((ROOT / file).read_text(encoding="utf-8"), LOADER) for file in files if "throughputs" not in file]


def standing_at(part: Any, path: list[str]) -> Iterator[Any]:
    """All that a study says at a path, of all names."""
    if not path:
        yield part
    elif isinstance(part, dict):
        for name in part if path[0] == "NAME" else [path[0]]:
            if name in part:
                yield from standing_at(part[name], path[1:])


def in_code(value: Any) -> str:
    """As it stands in a study file, the beginning of what is long."""
    if value is None:
        return NONE
    text = (
        value
        if isinstance(value, str)
        else yaml.safe_dump(value, default_flow_style=True, width=10**6, sort_keys=False)
    )
    text = text.removesuffix("\n...\n").strip().replace("\n", "\\n")
    return f"`{text[:LONGEST]}{'…' if len(text) > LONGEST else ''}`"


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
