"""Rule `levels`: accuracy, rates and lengths of every model."""

from selfdistill.analysis.levels import levels
from selfdistill.analysis.problem_means import read_graded
from selfdistill.program import as_rule
from selfdistill.tables import ESTIMATES, write_table


def main() -> None:
    asked = snakemake.params.asked
    write_table(
        levels(read_graded(snakemake.input.graded), asked["budgets"], asked["pass_at"]), snakemake.output[0], ESTIMATES
    )


as_rule(main, snakemake.log[0])
