"""What made the results of a study, as far as they record it: for a person who holds studies side by side.

Engines and grader stand with every answer, the software and the base's weights with every training. What the report was made by,
and what the plugins were, stands in the record beside it.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from selfdistill.foundation.plugins import digest_of
from selfdistill.models.lineage import MANIFEST
from selfdistill.study.results import RUN_RECORD
from selfdistill.tables.sampling import GRADED
from selfdistill.tables.whole import read_table

NOT_RECORDED = "not recorded"
DIGITS = 12  # of a commit or a digest


def what_made(folder: Path, models: Sequence[str]) -> dict[str, str]:
    """`folder` of results, and the models in it that were graded."""
    tables = [folder / "models" / model / "graded.parquet" for model in models]
    columns = ("engine", "engine_version", "grader")
    answers = pl.concat(read_table(table, GRADED, columns, ("grader",)).unique() for table in tables)
    engines = answers.select(pl.format("{} {}", "engine", pl.col("engine_version").fill_null(NOT_RECORDED)))
    found = {"grader": _all_of(answers["grader"]), "engine of the answers": _all_of(engines.to_series())}
    manifests = [_read(file) for file in sorted(folder.glob(f"runs/*/*/{MANIFEST}"))]
    kept: dict[str, list[str | None]] = {}
    for manifest in manifests:
        for name, value in _of_a_training(manifest):
            kept.setdefault(name, []).append(value)
    found |= {name: _all_of(values) for name, values in kept.items()}
    return found | dict(_of_the_report(_read(folder / RUN_RECORD)))


def _of_a_training(manifest: Mapping[str, Any]) -> Iterator[tuple[str, str | None]]:
    yield "weights of the base", str(manifest.get("base_digest") or "")[:DIGITS] or None
    yield "code of the trainings", _code(_mapping(manifest.get("code")))
    for name, value in {
        "python": manifest.get("python"), "device": manifest.get("device"), **_mapping(manifest.get("versions")),
    }.items():  # fmt: skip
        yield f"{name} of the trainings", value


def _of_the_report(record: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield "forklock of the report", str(record.get("forklock") or NOT_RECORDED)
    yield "code of the report", _code(record) or NOT_RECORDED
    for name, value in _mapping(record.get("versions")).items():
        yield f"{name} of the report", str(value)
    for file, offers, digest in recorded_plugins(record):
        yield f"plugin {file} ({offers})", f"SHA-256 {digest}…"


def recorded_plugins(record: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Of every plugin its file's name, what it offers, and its digest."""
    listed = record.get("plugins")
    plugins = map(_mapping, listed if isinstance(listed, list) else [])
    return [(str(each.get("file")), str(each.get("offers")), str(each.get("digest"))) for each in plugins]


def other_plugins(files: Iterable[Path], record: Mapping[str, Any]) -> list[str]:
    """Names of the files that are not what the report's were. Where they lie does not count."""
    made = {(file, digest) for file, _, digest in recorded_plugins(record)}
    return sorted({name for name, _ in made ^ {(file.name, digest_of(file)) for file in files}})


def plugins_changed_since(results: Path, files: Iterable[Path]) -> list[str]:
    """The report that is there; nothing without a report, or without its record."""
    record = _read(results / RUN_RECORD)
    return other_plugins(files, record) if record else []


def _code(told: Mapping[str, Any]) -> str | None:
    if not told.get("commit"):
        return None
    changed = told.get("uncommitted changes") == "yes"
    return f"{str(told['commit'])[:DIGITS]}{' with uncommitted changes' if changed else ''}"


def _all_of(values: Any) -> str:
    return ", ".join(sorted({NOT_RECORDED if value is None else str(value) for value in values}))


def _read(file: Path) -> dict[str, Any]:
    """Nothing of what is not there: older results, or a part of them."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return _mapping(content)


def _mapping(content: Any) -> dict[str, Any]:
    """What anybody may have written, where it is a mapping; else nothing."""
    return content if isinstance(content, dict) else {}
