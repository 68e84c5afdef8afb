"""What a study as its file now stands would really sample and train anew: what no journal and no work folder holds.

Snakemake's list of jobs says which files it would make again. A job that is listed may find everything in its journal, and a
training may be put back as it was; here the requests and the trainings themselves are counted. What follows from a result
that is not there yet, as the checkpoints of a training that runs anew, counts as all of it.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from selfdistill.foundation.errors import UserError
from selfdistill.models.digests import model_digest
from selfdistill.models.lineage import MANIFEST
from selfdistill.planning.cost import requests_of
from selfdistill.sampling.asked import Asked, asked_of
from selfdistill.sampling.journal.segments import KEY, decode_line
from selfdistill.sampling.plan import make_plan
from selfdistill.study.ladder_models import ladder_models
from selfdistill.study.models import evaluated, runs, source_of, sources_of_samples
from selfdistill.study.names import context_of, parse_model_id
from selfdistill.study.results import work_folder
from selfdistill.study.study import Study
from selfdistill.tables.problems import PROBLEMS, PROMPTS
from selfdistill.tables.sampling import PLAN
from selfdistill.tables.whole import read_table
from selfdistill.training.settings import WITHOUT_EFFECT, differences


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
    results = Path(study.results)
    plans = Plans(study, results, numbered or study)
    sources = [_sampled(plans, model) for model in sources_of_samples(study)]
    fresh = {each.model for each in sources if each.new}
    trained = [_trained(study, results, run, fresh) for run in runs(study)]
    anew = {each.run for each in trained if not each.kept}
    models = [*evaluated(study), *ladder_models(study)]
    return Changes(sources + [_sampled(plans, model, anew) for model in dict.fromkeys(models)], trained)


class Plans:
    """The requests that a model would be asked, where the study's problems and the model itself are there."""

    def __init__(self, study: Study, results: Path, numbered: Study) -> None:
        self.study, self.results, self.numbered = study, results, numbered
        folder = results / "problems"
        self.there = all((folder / name).is_file() for name in ("train.parquet", "eval.parquet", "prompts.parquet"))
        if self.there:
            self.train, self.evaluation = (read_table(folder / f"{use}.parquet", PROBLEMS) for use in ("train", "eval"))
            self.prompts = read_table(folder / "prompts.parquet", PROMPTS)

    def of(self, model: str, asked: Asked) -> pl.Series | None:
        """None where what is asked depends on what is not there."""
        if not self.there:
            return None
        if context_of(model) or model in ladder_models(self.study):
            plan = self.results / "models" / model / "plan.parquet"
            return read_table(plan, PLAN, ["request_id"])["request_id"] if plan.is_file() else None
        named = parse_model_id(model)
        folder = Path(self.study.model.path) if named.training_seed is None else self.results / "runs" / model
        try:
            digest = model_digest(folder)
        except (UserError, FileNotFoundError):
            return None
        return make_plan(model, digest, asked, self.train, self.evaluation, self.prompts)["request_id"]


def _sampled(plans: Plans, model: str, anew: set[str] = frozenset()) -> Sampled:  # type: ignore[assignment]
    asked = asked_of(plans.study, model)
    if model.rpartition("/")[0] in anew:
        return Sampled(model, expected(plans, model), 0, "its training runs anew")
    wanted = plans.of(model, asked)
    if wanted is None:
        return Sampled(model, expected(plans, model), 0, "what it is asked is not known yet")
    held = wanted.filter(wanted.is_in(held_by(plans.study, model).implode()))
    return Sampled(model, wanted.n_unique(), held.n_unique())


def expected(plans: Plans, model: str) -> int:
    return requests_of(asked_of(plans.numbered, model))


def held_by(study: Study, model: str) -> pl.Series:
    """The requests that a model's journals and sealed shards hold, counted and not verified."""
    folder, journals = Path(study.results) / "models" / model, work_folder(study.results) / "models" / model
    tables = [*folder.glob("shard-*.parquet"), *journals.glob("journal-*/[0-9]*.parquet")]
    ids = [pl.scan_parquet(table).select(KEY).collect()[KEY] for table in tables]
    ids += [pl.Series(KEY, list(_ids_of(lines)), pl.String) for lines in journals.glob("journal-*/[0-9]*.jsonl")]
    return pl.concat([pl.Series(KEY, [], pl.String), *ids]).unique()


def _ids_of(lines: Path) -> Iterator[str]:
    with open(lines, "rb") as handle:
        for line in handle:
            record = decode_line(line)
            if record is not None:
                yield record[KEY]


def _trained(study: Study, results: Path, run: str, fresh: set[str]) -> Trained:
    """By the settings that its work folder was begun with, and the samples that it learnt."""
    arm, _, seed = run.partition("/seed-")
    work = work_folder(study.results) / "runs" / run / "work"
    begun = [_settings(folder / "settings.json") for folder in [work, *sorted(work.parent.glob("work.old-*"))]]
    if not any(begun):
        return Trained(run, False, "it was never trained")
    if not study.arms[arm].on_references and source_of(study, arm) in fresh:
        return Trained(run, False, "its samples are sampled anew")
    wanted = _chosen(study, arm, int(seed))
    unlike = [list(differences(_shared(settings, wanted), wanted)) for settings in begun if settings]
    if nearest := min(unlike, key=len):
        return Trained(run, False, "; ".join(nearest[:3]))
    finished = (results / "runs" / run / MANIFEST).is_file() or (work / "finished" / MANIFEST).is_file()
    return Trained(run, True, "" if finished else "it goes on from its last checkpoint")


def _settings(file: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(file.read_text(encoding="utf-8"))["settings"]["settings"])
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _chosen(study: Study, arm: str, seed: int) -> dict[str, Any]:
    recipe = study.recipe(arm).model_dump(exclude=WITHOUT_EFFECT)
    return {
        "training": recipe,
        "study_seed": study.seed,
        "training_seed": seed,
        "context": study.model.context,
        "device": "cuda" if study.training.gpus else "cpu",
        "processes": study.training.processes_per_node,
        "nodes": study.training.nodes,
    }


def _shared(settings: dict[str, Any], wanted: dict[str, Any]) -> dict[str, Any]:
    """Of what a work folder was begun with, what the study decides."""
    return {key: settings.get(key) for key in wanted}
