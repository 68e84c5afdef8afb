"""What a study has taken so far, beside the plan, and when it may end: from the files that Snakemake and the jobs leave.

Snakemake writes a benchmark file of every job that ended well, with its seconds. A job that ran more than once, because
it was killed or asked for more, leaves those of its last run alone.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from selfdistill.machine.provenance import seconds_of_job
from selfdistill.planning.cost import Amount, Stage
from selfdistill.planning.standing import PRACTISE, TRAIN, Part
from selfdistill.study.study import Study

# Which of the plan's stages a part's stage stands for. What is not listed is of seconds, and ends with the report.
SAMPLE = "sample"
PLANNED = (SAMPLE, TRAIN, PRACTISE, "grade")
RULES = {SAMPLE: "sample", TRAIN: "train", PRACTISE: "practice"}  # whose jobs a part of a stage is made of


@dataclass(frozen=True)
class Hours:
    """Of one device: a GPU where the plan reckons with one, else a core."""

    taken: float
    planned: float
    on_gpu: bool


def kind_of(stage: Stage) -> str | None:
    return next((kind for kind in PLANNED if stage.name.startswith(kind)), None)


def left_of(parts: Sequence[Part], planned: Sequence[Stage]) -> Amount:
    """Of every stage of the plan the share that is not done; all of the rest until the report is there."""
    whole = Amount()
    finished = any(part.stage == "report" and part.state == "done" for part in parts)
    for stage in planned:
        of_kind = [part for part in parts if part.stage == kind_of(stage)]
        total = sum(part.total for part in of_kind)
        share = 1 - sum(part.done for part in of_kind) / total if total else float(not finished)
        whole += Amount(*(share * amount for amount in asdict(stage.expected).values()))
    return whole


def taken(study: Study, parts: Sequence[Part], planned: Sequence[Stage]) -> Hours | None:
    """Of the models and trainings that are done and whose jobs left their seconds; None before there is one."""
    hours = [each for part in parts if part.state == "done" if (each := _taken_by(study, part, parts, planned))]
    on_gpu = [each for each in hours if each.on_gpu]
    counted = on_gpu or hours  # of a study on GPUs their hours are what is paid for
    if not counted:
        return None
    return Hours(sum(each.taken for each in counted), sum(each.planned for each in counted), bool(on_gpu))


def _taken_by(study: Study, part: Part, parts: Sequence[Part], planned: Sequence[Stage]) -> Hours | None:
    if part.stage not in RULES:
        return None
    total = sum(other.total for other in parts if other.stage == part.stage)
    whole = sum((stage.expected for stage in planned if kind_of(stage) == part.stage), Amount())
    share = part.total / total if total else 0.0
    seconds = sum(_seconds(study, part))
    if not seconds or not share:
        return None
    on_gpu = whole.gpu_hours > 0
    hours = whole.gpu_hours if on_gpu else whole.cpu_hours
    return Hours(seconds * devices_of(study, part.stage) / 3600, share * hours, on_gpu)


def _seconds(study: Study, part: Part) -> Iterator[float]:
    place = Path(study.results) / "benchmarks" / RULES[part.stage] / part.name
    files = sorted(place.glob("*.tsv")) if place.is_dir() else [place.with_name(f"{place.name}.tsv")]
    for file in files:
        if (seconds := seconds_of_job(file)) is not None:
            yield seconds


def devices_of(study: Study, stage: str) -> int:
    """That one job of a stage holds."""
    return max(1, study.training.gpus * study.training.nodes) if stage in (TRAIN, PRACTISE) else 1


@dataclass(frozen=True)
class End:
    devices: int  # at work now
    seconds: float
    at: datetime


def end_of(study: Study, parts: Sequence[Part], left: Amount, so_far: Hours | None, now: datetime) -> End | None:
    """With as many devices at work as now, and as fast against the plan as so far; None where nothing runs."""
    devices = sum(len(part.words) * devices_of(study, part.stage) for part in parts)
    hours = left.gpu_hours or left.cpu_hours
    if not devices or not hours:
        return None
    slower = so_far.taken / so_far.planned if so_far and so_far.planned else 1.0
    seconds = 3600 * slower * hours / devices
    longest = max(float(seconds_left(word) or 0) for part in parts for word in part.words)
    seconds = max(seconds, longest)  # the last job cannot be shared
    return End(devices, seconds, now + timedelta(seconds=seconds))


def seconds_left(word: Mapping[str, Any]) -> float | None:
    """What a job that runs says of itself; samplers and trainers have a word of their own for it."""
    return word.get("eta_seconds", word.get("seconds_left"))
