"""Rule `context_prompts`: what is asked of the base under a context, and which problems are skipped."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from selfdistill.foundation.programs import as_rule
from selfdistill.models.folder import inspect_model
from selfdistill.problems.examples import read_examples
from selfdistill.sampling.contexts import Room, context_prompts
from selfdistill.sampling.prompts import Chat, earlier_turns
from selfdistill.sampling.solutions import Told, from_samples, from_sources
from selfdistill.study.contexts import OF_SAMPLES, Context
from selfdistill.tables.contexts import CONTEXT_PROMPTS
from selfdistill.tables.problems import PROBLEMS
from selfdistill.tables.sampling import GRADED
from selfdistill.tables.whole import read_table, write_table

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

READ = ("problem_id", "request_id", "draw", "verdict", "text")


def main() -> None:
    asked = snakemake.params.asked
    name, context = asked["context"], Context.model_validate(asked["settings"])
    problems = read_table(snakemake.input.problems, PROBLEMS)
    problems = problems.sort("rank").head(asked["problems"])
    model = Path(snakemake.params.folder)
    facts = inspect_model(model, asked["room"]["context"], asked["trust_remote_code"])
    for note in facts.notes:
        print(note, file=sys.stderr)
    template = "".join(Path(path).read_text(encoding="utf-8") for path in snakemake.input.template) or None
    switches = asked["chat"] | context.switches
    chat = Chat(model, switches, facts.trust_remote_code, f"contexts.{name}.chat", template)
    examples = [example for path in snakemake.input.examples for example in read_examples(str(path))]
    found = context_prompts(
        name,
        context,
        problems,
        told(context, problems, asked["sources"]),
        asked["prompt"],
        chat,
        Room(**asked["room"]),
        earlier_turns(examples, asked["prompt"], chat),
        asked.get("may_be_empty", False),
    )
    write_table(found, snakemake.output[0], CONTEXT_PROMPTS)


def told(context: Context, problems: pl.DataFrame, names: list[str]) -> dict[str, Told]:
    sources = dict(zip(names, map(str, snakemake.input.sources), strict=False))
    if context.solution in OF_SAMPLES:
        return from_samples(read_table(snakemake.input.shown[0], GRADED, READ), context.thought)
    return from_sources(context, problems, sources)


as_rule(main, snakemake.log[0])
