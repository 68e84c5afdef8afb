"""What made a study's results, written down when its report is made: who packs them later may use another machine and code."""

import importlib.metadata
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from selfdistill.reporting.inputs import ReportInputs

TIME = re.compile(r'"event": "progress".*?"time": "(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00)"')
NOT_KNOWN = "not known"
# What is kept of a training's manifest, and what stands there where an older version did not write it.
OF_A_TRAINING: dict[str, Any] = {
    "code": {"commit": NOT_KNOWN, "uncommitted changes": NOT_KNOWN}, "device": NOT_KNOWN, "python": NOT_KNOWN, "versions": {},
}  # fmt: skip


def run_record(inputs: ReportInputs, manifests: Mapping[str, Mapping[str, Any]], logs: Path) -> dict[str, Any]:
    """`manifests`: run → its manifest. `started` is the first time that a job wrote down, or null."""
    first = min((time for time in (*_told(logs), *map(_begun, manifests.values()))), default=None)
    return {
        **inputs.provenance,
        "study_sha256": inputs.study_sha256,
        "started": first and first.isoformat(timespec="seconds"),
        "sampling": [] if inputs.sampled is None else _engines(inputs.sampled),
        "trainings": {
            run: {key: manifest.get(key, absent) for key, absent in OF_A_TRAINING.items()}
            for run, manifest in manifests.items()
        },
        "packages": dict(
            sorted({str(each.metadata["Name"]): each.version for each in importlib.metadata.distributions()}.items())
        ),
    }


def _engines(sampled: pl.DataFrame) -> list[dict[str, Any]]:
    return sampled.group_by("engine", "engine_version").agg(samples=pl.len()).sort(pl.all()).to_dicts()


def _told(logs: Path) -> Iterator[datetime]:
    """The first time in each log that says when it got how far."""
    for log in logs.rglob("*.log"):
        if told := TIME.search(log.read_text(encoding="utf-8", errors="replace")):
            yield datetime.fromisoformat(told[1])


def _begun(manifest: Mapping[str, Any]) -> datetime:
    return datetime.fromisoformat(manifest["finished"]).astimezone(UTC) - timedelta(seconds=manifest["seconds"])
