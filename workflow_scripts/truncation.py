"""Rule `truncation`: what the token cap does to the differences from the base."""

from typing import TYPE_CHECKING

from selfdistill.analysis.problem_means import read_graded
from selfdistill.analysis.truncation import truncation
from selfdistill.foundation.programs import as_rule
from selfdistill.tables.analysis import TOKEN_BUDGETS, TRUNCATION
from selfdistill.tables.whole import write_table

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def main() -> None:
    asked = snakemake.params.asked
    graded = read_graded(snakemake.input.graded)
    parts, curves = truncation(
        graded, asked["budgets"], asked["caps"], asked["resamples"], asked["seed"], asked["noises"]
    )
    write_table(parts, snakemake.output.truncation, TRUNCATION)
    write_table(curves, snakemake.output.token_budgets, TOKEN_BUDGETS)


as_rule(main, snakemake.log[0])
