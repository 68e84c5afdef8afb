"""How far a study has come: what is done, what is under way, and what is left, from its files alone.

Nothing is asked of Snakemake, of a cluster or of a process: journals, the steps of trainings, tables and logs lie on a disk
that a login node sees as well. A journal is counted and not verified, and a table is read again only once it is another, so
that who watches reads no more than what was written since.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from selfdistill.planning.cost import requests_of
from selfdistill.planning.manifests import manifest_of, stated_digest
from selfdistill.planning.read_once import KEY, Planned, as_it_is, ask_the_same, held, plan_in, rows_of
from selfdistill.sampling.asked import Asked, asked_of
from selfdistill.sampling.requests import request_id
from selfdistill.study.ladder_models import ladder_models
from selfdistill.study.looks import Record, asked_sizes
from selfdistill.study.models import evaluated, practising_arms, runs, sources_of_samples, steps_of
from selfdistill.study.names import context_of, parse_model_id
from selfdistill.study.results import work_folder
from selfdistill.study.sampling import AUTO
from selfdistill.study.study import Study
from selfdistill.training.asked import settings_of, settings_of_practice
from selfdistill.training.handover.steps import StepJournal
from selfdistill.training.practice.settings import PracticeSettings, practice_identity
from selfdistill.training.settings import RunSettings, run_identity

TRAIN, PRACTISE = "train", "practise"  # stages
ERROR = re.compile(
    r"(error: |(\w+\.)*\w*(Error|Exception|Interrupt)\b)"
)  # how the last line of a job that failed begins
SHOWN = 200  # characters of it
State = Literal["done", "under way", "begun", "to do"]
FRESH = 120.0  # seconds since the last word of a job that is taken to be running: they speak every few
PIECE = 1 << 20  # bytes of a journal that are read at once
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
    cut: int | None = None  # completions that the token cap cut; None where not all of its shards are sealed

    @property
    def state(self) -> State:
        if self.done >= self.total:
            return "done"
        return "under way" if self.words else "begun" if self.done else "to do"


@dataclass(frozen=True)
class Failed:
    log: str
    said: str  # its last line


def standing(study: Study, record: Record | None = None, now: datetime | None = None) -> list[Part]:
    """In the order in which a study runs. What is there of other weights, settings or requests is not done; nor does a study
    with looks, of which `record` tells, wait for what only a later look asks."""
    looks = asked_sizes(study, record)
    results, now = Path(study.results), now or datetime.now(UTC)
    models = list(dict.fromkeys([*sources_of_samples(study), *evaluated(study), *ladder_models(study)]))
    sampled = {model: _sampling(study, results, model, asked_of(study, model, looks), now) for model in models}
    trained = [_training(study, results, run, now) for run in runs(study)]
    graded = [model for model in models if sampled[model].state == "done" and _is_graded(results, model)]
    grading = Part("grade", "graded tables", len(graded), len(models), "models")
    whole = all(part.state == "done" for part in (*sampled.values(), *trained, grading))
    page = Part("report", "report.html", int(whole and _is_reported(results, models)), 1, "page")
    return [*sampled.values(), *trained, grading, page]


def failed(results: Path) -> list[Failed]:
    """Jobs whose log ends with an error, and that did not end well afterwards: Snakemake writes a benchmark of one that did."""
    found = []
    for log in sorted((results / "logs").rglob("*.log")):
        benchmark = (results / "benchmarks" / log.relative_to(results / "logs")).with_suffix(".tsv")
        if benchmark.is_file() and benchmark.stat().st_mtime >= log.stat().st_mtime:
            continue
        last = next((line for line in reversed(_end_of(log)) if line.strip()), "")
        if ERROR.match(last):
            found.append(Failed(str(log), "".join(filter(str.isprintable, last))[:SHOWN]))
    return found


def _is_graded(results: Path, model: str) -> bool:
    """All that the plan asks: its tables are of one plan."""
    file, plan = (results / "models" / model / f"{name}.parquet" for name in ("graded", "plan"))
    return file.is_file() and plan.is_file() and ask_the_same(as_it_is(file), as_it_is(plan))


def _is_reported(results: Path, models: list[str]) -> bool:
    """With the graded tables that are there."""
    page, tables = results / "report.html", (results / "models" / model / "graded.parquet" for model in models)
    return page.is_file() and page.stat().st_mtime >= max(table.stat().st_mtime for table in tables)


def _sampling(study: Study, results: Path, model: str, asked: Asked, now: datetime) -> Part:
    folder = results / "models" / model
    planned = _planned(results, model, asked)
    told = context_of(model) or model in ladder_models(study)
    total = planned.requests if told and planned is not None else requests_of(asked)
    done, cut = 0, None
    if planned is not None:
        sealed = sorted(folder.glob("shard-*.parquet"))
        done, cut_of_them = held(as_it_is(folder / "plan.parquet"), tuple(map(as_it_is, sealed)))
        cut = cut_of_them if sealed and len(sealed) == asked.shards else None
        if len(sealed) < asked.shards:
            journals = work_folder(study.results) / "models" / model
            names = {f"journal-{shard.stem.removeprefix('shard-')}" for shard in sealed}
            done += sum(_journalled(journal) for journal in journals.glob("journal-*") if journal.name not in names)
    words = list(_last_words(results / "logs/sample" / model, now)) if done < total else []
    return Part("sample", model, min(done, total), total, "completions", words, cut)


def _planned(results: Path, model: str, asked: Asked) -> Planned | None:
    """A model's plan; None where it is none, or one of other weights or decodes than are asked now.

    Of a checkpoint one request is named anew, with the digest that its training wrote down. The base's digest would take
    the reading of its weights, so of the base the decodes are compared.
    """
    file = results / "models" / model / "plan.parquet"
    if not file.is_file():
        return None
    plan = plan_in(as_it_is(file))
    if plan.decodes != {name: decode.model_dump() for name, decode in asked.decodes.items()} or not plan.requests:
        return None
    named = parse_model_id(model) if not context_of(model) else None
    trained = named is not None and named.training_seed is not None
    if trained and _named_now(plan.first, asked, stated_digest(results, model)) != plan.first[KEY]:
        return None
    return plan


def _named_now(row: dict[str, Any], asked: Asked, digest: str | None) -> str | None:
    if digest is None:
        return None
    loops = asked.abort_loops.model_dump() if asked.abort_loops else None
    decode, noise = asked.decodes[row["decode_id"]].model_dump(), asked.noise_of(row["purpose"], row["draw"])
    return request_id(digest, asked.dtype, row["prompt"], decode, row["draw"], asked.stream, asked.seed, loops, noise)


def _journalled(journal: Path) -> int:
    """Whole lines and rows. While lines are folded into a table both lie there for a moment, and the lines do not count."""
    tables = list(journal.glob("[0-9]*.parquet"))
    folded = {table.stem for table in tables}
    lines = [_lines_in(file) for file in journal.glob("[0-9]*.jsonl") if file.stem not in folded]
    return sum(lines) + sum(rows_of(as_it_is(table)) for table in tables)


def _lines_in(file: Path) -> int:
    with open(file, "rb") as handle:
        return sum(piece.count(b"\n") for piece in iter(lambda: handle.read(PIECE), b""))


def _training(study: Study, results: Path, run: str, now: datetime) -> Part:
    arm, _, seed = run.partition("/seed-")
    practises = arm in practising_arms(study)
    stage, rule = (PRACTISE, "practice") if practises else (TRAIN, "train")
    total = steps_of(study, arm)
    if manifest := manifest_of(results / "runs" / run):
        if _is_of(manifest, study, arm, int(seed), practises):
            return Part(stage, run, total, total, "steps")
        return Part(stage, run, 0, total, "steps")
    journal = work_folder(study.results) / "runs" / run / "work/steps.jsonl"
    words = list(_last_words(results / "logs" / rule / f"{run}.log", now))
    return Part(stage, run, min(len(StepJournal(journal).rows()), total), total, "steps", words)


def _is_of(manifest: dict[str, Any], study: Study, arm: str, seed: int, practises: bool) -> bool:
    """Whether a finished training had the settings that the study has now."""
    had = manifest.get("settings", {})
    try:
        if practises:
            asked = settings_of_practice(study, arm, seed)
            if asked["sampling"]["engine"] == AUTO:  # which chose one where it ran
                asked["sampling"]["engine"] = had["sampling"]["engine"]
            asked |= {"replays": had["replays"]}
            first, second = (practice_identity(PracticeSettings.model_validate(each), {}) for each in (had, asked))
        else:
            asked = settings_of(study, arm, seed)
            first, second = (run_identity(RunSettings.model_validate(each), {}) for each in (had, asked))
    except (KeyError, TypeError, ValidationError):
        return False
    return bool(first["settings"] == second["settings"])


def _last_words(place: Path, now: datetime) -> Iterator[dict[str, Any]]:
    """What the jobs of a log, or of a folder of logs, said of their progress, where it was lately."""
    for log in sorted(place.glob("*.log")) if place.is_dir() else [place]:
        said = _last_word(log)
        if said and (now - datetime.fromtimestamp(log.stat().st_mtime, UTC)).total_seconds() < FRESH:
            yield said


def _last_word(log: Path) -> dict[str, Any] | None:
    for line in reversed(_end_of(log)):
        if line.startswith('{"event": "progress"'):
            try:
                return dict(json.loads(line))
            except json.JSONDecodeError:
                continue
    return None


def _end_of(log: Path) -> list[str]:
    try:
        with open(log, "rb") as handle:
            handle.seek(max(0, log.stat().st_size - TAIL))
            return handle.read().decode(errors="replace").splitlines()
    except OSError:
        return []
