"""What a study as its file now stands would really sample and train anew: what no journal and no work folder holds.

Snakemake's list of jobs says which files it would make again. A job that is listed may find everything in its journal, and a
training may be put back as it was; here the requests and the trainings themselves are counted. What follows from a result
that is not there yet, as the checkpoints of a training that runs anew, counts as all of it.
"""

import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from selfdistill.foundation.errors import UserError
from selfdistill.models.digests import file_digest
from selfdistill.models.lineage import MANIFEST
from selfdistill.planning.cost import requests_of
from selfdistill.planning.foreseen import Foreseen
from selfdistill.sampling.asked import asked_of
from selfdistill.sampling.journal.segments import KEY, decode_line
from selfdistill.study.ladder_models import ladder_models
from selfdistill.study.models import evaluated, learns_of, practising_arms, runs, source_of, sources_of_samples
from selfdistill.study.results import work_folder
from selfdistill.study.sampling import AUTO
from selfdistill.study.study import Study
from selfdistill.tables.sampling import COMPLETIONS
from selfdistill.tables.whole import read_table
from selfdistill.training.asked import settings_of, settings_of_practice
from selfdistill.training.examples.rows import fit_examples
from selfdistill.training.practice.generations import ROLLOUTS_FILE
from selfdistill.training.practice.order import covered
from selfdistill.training.practice.run import questions_digest
from selfdistill.training.practice.settings import PracticeSettings, practice_identity
from selfdistill.training.run import dataset_digest
from selfdistill.training.settings import RunSettings, differences, run_identity

# What a training was made from, in words.
ORIGIN = {
    "model": "its base is another",
    "dataset": "its examples are others",
    "targets": "its targets are of another kind",
    "template": "its teacher's chat template is another",
}
QUESTIONS = "its questions are others"


@dataclass(frozen=True)
class Sampled:
    model: str
    asked: int
    held: int  # in journals and sealed shards
    why: str = ""  # where no request could be named, so that all count as new

    @property
    def new(self) -> int:
        return self.asked - self.held


@dataclass(frozen=True)
class Trained:
    run: str
    kept: bool
    why: str  # why it trains anew; empty where it does not


@dataclass(frozen=True)
class Changes:
    sampled: list[Sampled]
    trained: list[Trained]


def changes(study: Study, numbered: Study | None = None) -> Changes:
    """`numbered` is the same study with a number where it says `all`, for what nobody planned yet."""
    foreseen, numbered = Foreseen(study), numbered or study
    sources: list[Sampled] = []
    fresh: set[str] = set()
    for model in sources_of_samples(study):
        sources.append(_sampled(foreseen, numbered, model, fresh=fresh))
        fresh |= {model} if sources[-1].new else set()
    trained: dict[str, Trained] = {}
    for run in _replayed_first(study):
        anew = {name for name, each in trained.items() if not each.kept}
        trained[run] = _trained(foreseen, run, fresh, anew)
    anew = {name for name, each in trained.items() if not each.kept}
    models = dict.fromkeys([*evaluated(study), *ladder_models(study)])
    sampled = [_sampled(foreseen, numbered, model, anew, fresh) for model in models]
    return Changes(sources + sampled, [trained[run] for run in runs(study)])


def _replayed_first(study: Study) -> list[str]:
    """Runs, each behind the one whose rollouts it learns from."""
    return sorted(runs(study), key=lambda run: learns_of(study, run) is not None)


def _sampled(
    foreseen: Foreseen, numbered: Study, model: str, anew: Collection[str] = (), fresh: Collection[str] = ()
) -> Sampled:
    everything = requests_of(asked_of(numbered, model))
    if model.rpartition("/")[0] in anew:
        return Sampled(model, everything, 0, "its training runs anew")
    plan = foreseen.plan(model, fresh)
    if plan is None:
        return Sampled(model, everything, 0, "what it is asked is not known yet")
    wanted = plan["request_id"]
    held = wanted.filter(wanted.is_in(held_by(foreseen.study, model).implode()))
    return Sampled(model, wanted.n_unique(), held.n_unique())


def held_by(study: Study, model: str) -> pl.Series:
    """The requests that a model's journals and sealed shards hold, counted and not verified."""
    folder, journals = Path(study.results) / "models" / model, work_folder(study.results) / "models" / model
    tables = [*folder.glob("shard-*.parquet"), *journals.glob("journal-*/[0-9]*.parquet")]
    ids = [read_table(table, COMPLETIONS, [KEY])[KEY] for table in tables]
    ids += [pl.Series(KEY, list(_ids_of(lines)), pl.String) for lines in journals.glob("journal-*/[0-9]*.jsonl")]
    return pl.concat([pl.Series(KEY, [], pl.String), *ids]).unique()


def _ids_of(lines: Path) -> Iterator[str]:
    with open(lines, "rb") as handle:
        for line in handle:
            record = decode_line(line)
            if record is not None:
                yield record[KEY]


def _trained(foreseen: Foreseen, run: str, fresh: Collection[str], anew: Collection[str]) -> Trained:
    """By all that decides its weights, as its work folder was begun with it and as the study now has it."""
    study, (arm, _, seed) = foreseen.study, run.partition("/seed-")
    work = work_folder(study.results) / "runs" / run / "work"
    begun = [_identity(folder / "settings.json") for folder in [work, *sorted(work.parent.glob("work.old-*"))]]
    if not any(begun):
        return Trained(run, False, "it was never trained")
    practises = arm in practising_arms(study)
    if not practises and not study.arms[arm].on_references and source_of(study, arm) in fresh:
        return Trained(run, False, "its samples are sampled anew")
    if (replayed := learns_of(study, run)) in anew:
        return Trained(run, False, f"the answers of {replayed}, which it learns from, are given anew")
    identity_of = _practice if practises else _training
    nearest: list[str] | None = None
    try:
        for identity in filter(None, begun):
            wanted = identity_of(foreseen, arm, int(seed), identity)
            if wanted is None:
                return Trained(run, False, "its examples are not known yet")
            unlike = list(_told(identity, wanted, practises))
            nearest = unlike if nearest is None or len(unlike) < len(nearest) else nearest
    except UserError as error:
        return Trained(run, False, f"it cannot be trained: {error}")
    if nearest:
        return Trained(run, False, "; ".join(nearest[:3]))
    finished = (foreseen.results / "runs" / run / MANIFEST).is_file() or (work / "finished" / MANIFEST).is_file()
    return Trained(run, True, "" if finished else "it goes on from its last checkpoint")


def _identity(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))["settings"]
        return {"settings": dict(found["settings"]), "origin": dict(found["origin"])}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _training(foreseen: Foreseen, arm: str, seed: int, begun: dict[str, Any]) -> dict[str, Any] | None:
    """Soft targets follow from the examples, the base and the decode, so those that it began with are believed."""
    dataset = foreseen.dataset(arm)
    if dataset is None or foreseen.base_digest is None:
        return None
    settings = RunSettings.model_validate(settings_of(foreseen.study, arm, seed))
    origin = {"model": foreseen.base_digest, "dataset": dataset_digest(fit_examples(dataset, settings))}
    if foreseen.study.arms[arm].targets == "soft":
        origin["targets"] = begun["origin"].get("targets", "none")
    return run_identity(settings, origin)


def _practice(foreseen: Foreseen, arm: str, seed: int, begun: dict[str, Any]) -> dict[str, Any] | None:
    """The engine that `auto` chose where it began is believed: this may be another machine."""
    study, asked = foreseen.study, foreseen.questions(arm)
    if asked is None or foreseen.base_digest is None:
        return None
    settings = PracticeSettings.model_validate(settings_of_practice(study, arm, seed))
    if replayed := learns_of(study, f"{arm}/seed-{seed}"):
        rollouts = foreseen.results / "runs" / replayed / ROLLOUTS_FILE
        if not rollouts.is_file():
            return None
        settings = settings.model_copy(update={"replays": file_digest(rollouts)})
    elif settings.sampling.engine == AUTO:
        engine = begun["settings"].get("sampling", {}).get("engine", AUTO)
        settings = settings.model_copy(update={"sampling": settings.sampling.model_copy(update={"engine": engine})})
    questions = covered(asked, settings.practice.coverage)
    origin = {"model": foreseen.base_digest, "dataset": questions_digest(questions)}
    if settings.teacher and settings.teacher.template:
        origin["template"] = file_digest(Path(settings.teacher.template))
    return practice_identity(settings, origin)


def _told(begun: dict[str, Any], wanted: dict[str, Any], practises: bool) -> Iterator[str]:
    """Which keys differ, and what the training is made from."""
    yield from differences(begun["settings"], wanted["settings"])
    for key, sentence in ORIGIN.items():
        if begun["origin"].get(key) != wanted["origin"].get(key):
            yield QUESTIONS if practises and key == "dataset" else sentence
