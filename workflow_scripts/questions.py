"""Rule `questions`: what an arm practises on, and what its teacher is told of it."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from selfdistill.foundation.programs import as_rule
from selfdistill.models.folder import inspect_model
from selfdistill.sampling.contexts import Room, context_prompts
from selfdistill.sampling.prompts import Chat
from selfdistill.sampling.solutions import from_sources
from selfdistill.study.contexts import Context
from selfdistill.tables.practice import QUESTIONS
from selfdistill.tables.problems import PROBLEMS, PROMPTS
from selfdistill.tables.whole import read_table, write_table
from selfdistill.training.practice.questions import questions, solutions_told

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def main() -> None:
    asked = snakemake.params.asked
    train = read_table(snakemake.input.train, PROBLEMS)
    prompts = read_table(snakemake.input.prompts, PROMPTS)
    room = Room(**asked["room"])
    covered = train.sort("rank").head(asked["coverage"] or train.height)
    told = (
        told_by(asked["told"], covered, replace(room, max_tokens=asked["told"]["max_tokens"])) if asked["told"] else {}
    )
    found = questions(asked["arm"], train, prompts, told, asked["coverage"], room)
    write_table(found, snakemake.output[0], QUESTIONS)


def told_by(asked: dict[str, Any], train: pl.DataFrame, room: Room) -> dict[str, str]:
    """The solutions of a context, which has to fit whatever the teacher is asked."""
    name, context = asked["context"], Context.model_validate(asked["settings"])
    model = Path(snakemake.params.folder)
    facts = inspect_model(model, room.context, asked["trust_remote_code"])
    for note in facts.notes:
        print(note, file=sys.stderr)
    template = "".join(Path(path).read_text(encoding="utf-8") for path in snakemake.input.template) or None
    chat = Chat(model, asked["chat"] | context.switches, facts.trust_remote_code, f"contexts.{name}.chat", template)
    sources = dict(zip(asked["sources"], map(str, snakemake.input.sources), strict=False))
    solutions = from_sources(context, train, sources)
    return solutions_told(context_prompts(name, context, train, solutions, asked["prompt"], chat, room))


as_rule(main, snakemake.log[0])
