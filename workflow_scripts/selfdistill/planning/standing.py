"""How far a study has come: what is done, what is under way, and what is left, from its files alone.

Nothing is asked of Snakemake, of a cluster or of a process: journals, the steps of trainings, tables and logs lie on a disk
that a login node sees as well. A journal is counted and not verified, so that it costs no more than its length.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import polars as pl

from selfdistill.models.lineage import MANIFEST
from selfdistill.planning.cost import requests_of
from selfdistill.sampling.asked import asked_of
from selfdistill.study.ladder_models import ladder_models
from selfdistill.study.models import evaluated, runs, sources_of_samples
from selfdistill.study.results import work_folder
from selfdistill.study.study import Study
from selfdistill.training.handover.steps import StepJournal

State = Literal["done", "under way", "begun", "to do"]
FRESH = 120.0  # seconds since the last word of a job that is taken to be running: they speak every few
TAIL = 4096  # bytes of a log's end that hold its last word


@dataclass(frozen=True)
class Part:
    """A job or a group of jobs: so many of so many units."""

    stage: str
    name: str
    done: int
    total: int
    unit: str
    words: list[dict[str, Any]] = field(default_factory=list)  # the last of each of its jobs that are under way

    @property
    def state(self) -> State:
        if self.done >= self.total:
            return "done"
        return "under way" if self.words else "begun" if self.done else "to do"


def standing(study: Study, now: datetime | None = None) -> list[Part]:
    """In the order in which a study runs."""
    results, now = Path(study.results), now or datetime.now(UTC)
    models = list(dict.fromkeys([*sources_of_samples(study), *evaluated(study), *ladder_models(study)]))
    return [
        *(_sampling(study, results, model, now) for model in models),
        *(_training(study, results, run, now) for run in runs(study)),
        Part("grade", "graded tables", _there(results, [f"models/{model}/graded.parquet" for model in models]), len(models), "models"),
        Part("report", "report.html", int((results / "report.html").is_file()), 1, "page"),
    ]  # fmt: skip


def _there(results: Path, files: list[str]) -> int:
    return sum((results / file).is_file() for file in files)


def _sampling(study: Study, results: Path, model: str, now: datetime) -> Part:
    folder = results / "models" / model
    plan = folder / "plan.parquet"
    asked = _height(plan) if plan.is_file() else requests_of(asked_of(study, model))
    sealed = sorted(folder.glob("shard-*.parquet"))
    done = sum(map(_height, sealed))
    shards = asked_of(study, model).shards
    if len(sealed) < shards:
        journals = work_folder(study.results) / "models" / model
        names = {f"journal-{shard.stem.removeprefix('shard-')}" for shard in sealed}
        done += sum(_journalled(journal) for journal in journals.glob("journal-*") if journal.name not in names)
    words = list(_last_words(results / "logs/sample" / model, now)) if done < asked else []
    return Part("sample", model, min(done, asked), asked, "completions", words)


def _height(table: Path) -> int:
    return int(pl.scan_parquet(table).select(pl.len()).collect().item())


def _journalled(journal: Path) -> int:
    """Whole lines and rows. While lines are folded into a table both lie there for a moment, and the lines do not count."""
    tables = list(journal.glob("[0-9]*.parquet"))
    folded = {table.stem for table in tables}
    lines = [file.read_bytes().count(b"\n") for file in journal.glob("[0-9]*.jsonl") if file.stem not in folded]
    return sum(lines) + sum(map(_height, tables))


def _training(study: Study, results: Path, run: str, now: datetime) -> Part:
    folder, arm = results / "runs" / run, run.partition("/")[0]
    total = study.recipe(arm).steps(study.training.examples)
    if (folder / MANIFEST).is_file():
        return Part("train", run, total, total, "steps")
    journal = work_folder(study.results) / "runs" / run / "work/steps.jsonl"
    words = list(_last_words(results / "logs/train" / f"{run}.log", now))
    return Part("train", run, min(len(StepJournal(journal).rows()), total), total, "steps", words)


def _last_words(place: Path, now: datetime) -> Iterator[dict[str, Any]]:
    """What the jobs of a log, or of a folder of logs, said of their progress, where it was lately."""
    for log in sorted(place.glob("*.log")) if place.is_dir() else [place]:
        said = _last_word(log)
        if said and (now - datetime.fromtimestamp(log.stat().st_mtime, UTC)).total_seconds() < FRESH:
            yield said


def _last_word(log: Path) -> dict[str, Any] | None:
    try:
        with open(log, "rb") as handle:
            handle.seek(max(0, log.stat().st_size - TAIL))
            lines = handle.read().decode(errors="replace").splitlines()
    except OSError:
        return None
    for line in reversed(lines):
        if line.startswith('{"event": "progress"'):
            try:
                return dict(json.loads(line))
            except json.JSONDecodeError:
                continue
    return None
