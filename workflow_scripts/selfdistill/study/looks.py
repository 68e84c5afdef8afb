"""Where a study with looks stands: the look it is at, and what earlier looks have closed.

The record lies in the folder of results. `forklock look` writes it, whole, between two runs; the rules read it before they
make their graph, so that the graph of each run is static. Without it a study is at its first look.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from selfdistill.foundation.errors import UserError
from selfdistill.foundation.files import write_json
from selfdistill.study.evaluation import Hypothesis, Size
from selfdistill.study.models import trained_arms
from selfdistill.study.names import model_id
from selfdistill.study.results import work_folder
from selfdistill.study.section import Section
from selfdistill.study.study import Study

RECORD = "looks.json"

Sizes = dict[str, dict[str, Size]]  # model → decode → problems


class Closed(Section):
    """A hypothesis that nothing more is sampled for."""

    look: int
    row: dict[str, Any]  # its row of the verdicts, as it was then
    judged: dict[str, Any]  # its row of the looks


class Record(Section):
    looks: list[Size]
    hypotheses: dict[str, Hypothesis]  # the plan as it was at the first look
    current: int = Field(1, gt=0)
    closed: dict[str, Closed] = Field(default={})

    @property
    def open(self) -> list[str]:
        return [name for name in self.hypotheses if name not in self.closed]

    def look_of(self, hypothesis: str) -> int:
        """Where it stands."""
        return self.closed[hypothesis].look if hypothesis in self.closed else self.current


def record_of(study: Study, file: Path) -> Record:
    """What the file says, or the first look; a UserError where it is of another plan."""
    begun = Record(looks=study.evaluation.looks, hypotheses=study.hypotheses)
    if not file.is_file():
        return begun
    try:
        record = Record.model_validate(json.loads(file.read_text(encoding="utf-8")))
    except (ValueError, ValidationError) as error:
        raise UserError(
            f"{file}: is no record of looks; remove it to begin at the first look, for which nothing is sampled anew."
        ) from error
    if differing := _differing(begun, record):
        raise UserError(
            f"{differing}: is not what it was when look 1 was judged ({file}), and a plan that changes once results were seen "
            "controls no error; put it back, or remove that file to begin at the first look, and say so."
        )
    return record


def record_beside(study: Study) -> Record | None:
    """None of a study without looks."""
    return record_of(study, work_folder(study.results) / RECORD) if study.evaluation.looks else None


def _differing(study: Record, record: Record) -> str:
    if study.looks != record.looks:
        return "evaluation.looks"
    names = study.hypotheses | record.hypotheses
    return ", ".join(
        f"hypotheses.{name}" for name in names if study.hypotheses.get(name) != record.hypotheses.get(name)
    )


def write_record(record: Record, file: Path) -> None:
    write_json(file, record.model_dump())


def sizes_at(study: Study, record: Record) -> Sizes:
    """Of every model at the full budget and each of its decodes the problems that it is asked: up to the look of the
    hypotheses that need it. What no hypothesis needs is asked those of the first look. The study may be one that is counted,
    with numbers where its record says `all`."""
    found: dict[str, dict[str, int]] = {}
    for model in _at_the_full_budget(study):
        decodes = study.evaluation.decodes.base if model == "base" else study.evaluation.decodes.final
        found[model] = dict.fromkeys(decodes, 1)
    for name, hypothesis in study.hypotheses.items():
        for model, decode in needed(study, hypothesis):
            found[model][decode] = max(found[model].get(decode, 1), record.look_of(name))
    return {
        model: {decode: study.evaluation.looks[look - 1] for decode, look in at.items()} for model, at in found.items()
    }


def needed(study: Study, hypothesis: Hypothesis) -> list[tuple[str, str]]:
    """The (model, decode) that a hypothesis compares: finished training of all seeds, and every decode of a fair choice,
    which both sides make from those of finished training."""
    return [
        (model, decode)
        for side in (hypothesis.arm, hypothesis.against)
        for model in _models_of(study, side)
        for decode in ([hypothesis.decode] if hypothesis.decode else study.evaluation.decodes.final)
    ]


def _models_of(study: Study, side: str) -> list[str]:
    trained = trained_arms(study)
    return [model_id(side, seed, 100) for seed in trained[side].seeds] if side in trained else [side]


def _at_the_full_budget(study: Study) -> list[str]:
    return [model for side in ("base", *study.arms) for model in _models_of(study, side)]


def asked_sizes(study: Study, record: Record | None) -> Mapping[str, Mapping[str, Size]]:
    """Nothing where the study has no looks."""
    return {} if record is None else sizes_at(study, record)
