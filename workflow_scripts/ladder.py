"""Rule `ladder`: score, length and doubt on every rung, their order, and answers side by side."""

from typing import TYPE_CHECKING

import polars as pl

from selfdistill.analysis.ladder import ladder
from selfdistill.doubt.counting import Markers
from selfdistill.foundation.programs import as_rule
from selfdistill.study.doubt import Doubt
from selfdistill.tables.contexts import CONTEXT_PROMPTS
from selfdistill.tables.ladder import LADDER, LADDER_EXAMPLES, LADDER_TESTS
from selfdistill.tables.problems import PROBLEMS
from selfdistill.tables.sampling import GRADED
from selfdistill.tables.whole import read_table, write_table

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

READ = ("problem_id", "family", "rank", "draw", "verdict", "n_tokens", "text", "gold")


def main() -> None:
    asked = snakemake.params.asked
    markers = Markers(Doubt.model_validate(asked["doubt"]))
    answers = pl.concat(
        counted(read_table(path, GRADED, READ), rung, markers)
        for path, rung in zip(snakemake.input.graded, asked["rungs"], strict=True)
    )
    found = ladder(answers, asked["contexts"], markers.names)
    write_table(found.ladder, snakemake.output.ladder, LADDER)
    write_table(found.tests, snakemake.output.tests, LADDER_TESTS)
    write_table(side_by_side(answers, asked["contexts"]), snakemake.output.examples, LADDER_EXAMPLES)
