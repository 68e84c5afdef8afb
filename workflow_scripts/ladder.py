"""Rule `ladder`: score, length and doubt on every rung, their order, and answers side by side."""

from typing import TYPE_CHECKING

import polars as pl

from selfdistill.analysis.ladder import ladder, side_by_side
from selfdistill.analysis.ladder_answers import answers_on_rungs
from selfdistill.foundation.programs import as_rule
from selfdistill.study.doubt import Doubt
from selfdistill.tables.contexts import CONTEXT_PROMPTS
from selfdistill.tables.ladder import LADDER, LADDER_EXAMPLES, LADDER_TESTS
from selfdistill.tables.problems import PROBLEMS
from selfdistill.tables.whole import read_table, write_table

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def main() -> None:
    asked = snakemake.params.asked
    doubt = Doubt.model_validate(asked["doubt"])
    answers = answers_on_rungs(snakemake.input.graded, asked["rungs"], doubt)
    found = ladder(answers, asked["contexts"], doubt.names)
    write_table(found.ladder, snakemake.output.ladder, LADDER)
    write_table(found.tests, snakemake.output.tests, LADDER_TESTS)
    told = [told_on(path, context) for path, context in zip(snakemake.input.told, asked["contexts"][1:], strict=True)]
    problems = read_table(snakemake.input.problems, PROBLEMS)
    examples = side_by_side(answers, problems, pl.concat(told), asked["contexts"])
    write_table(examples, snakemake.output.examples, LADDER_EXAMPLES)


def told_on(path: str, context: str) -> pl.DataFrame:
    """What the base was told of each problem."""
    prompts = read_table(path, CONTEXT_PROMPTS, ("problem_id", "solution"))
    return prompts.with_columns(pl.lit(context).alias("context"))


as_rule(main, snakemake.log[0])
