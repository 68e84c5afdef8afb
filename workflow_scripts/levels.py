"""Rule `levels`: accuracy, rates and lengths of every model."""

from typing import TYPE_CHECKING

from selfdistill.analysis.levels import levels
from selfdistill.analysis.problem_means import read_graded
from selfdistill.foundation.programs import as_rule
from selfdistill.problems.budgets import members
from selfdistill.tables.analysis import ESTIMATES
from selfdistill.tables.problems import PROBLEMS
from selfdistill.tables.sampling import MIXTURE
from selfdistill.tables.whole import read_table, write_table

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def main() -> None:
    asked = snakemake.params.asked
    evaluation = read_table(snakemake.input.evaluation, PROBLEMS)
    mixtures = {
        name: members(mixture, name, evaluation, asked["budgets"]["full"])
        for name, mixture in asked.get("mixtures", {}).items()
    }
    draws = asked.get("mixture_draws", {})
    graded = read_graded(snakemake.input.graded, ("eval", MIXTURE), ("other_correct",))
    table = levels(graded, asked["budgets"], asked["pass_at"], mixtures, draws)
    write_table(table, snakemake.output[0], ESTIMATES)


as_rule(main, snakemake.log[0])
