"""Rule `comparisons`: paired differences, and the problems behind them."""

from typing import TYPE_CHECKING

from selfdistill.analysis.comparisons import comparisons
from selfdistill.analysis.flips import flips
from selfdistill.analysis.problem_means import read_graded
from selfdistill.foundation.programs import as_rule
from selfdistill.study.evaluation import Evaluation, Hypothesis
from selfdistill.tables.analysis import COMPARISONS, FLIPS
from selfdistill.tables.whole import write_table

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def main() -> None:
    asked = snakemake.params.asked
    graded = read_graded(snakemake.input.graded)
    evaluation = Evaluation.model_validate(asked["evaluation"])
    hypotheses = {name: Hypothesis.model_validate(fields) for name, fields in asked["hypotheses"].items()}
    write_table(comparisons(graded, evaluation, asked["seed"], hypotheses), snakemake.output.comparisons, COMPARISONS)
    write_table(flips(graded, evaluation), snakemake.output.flips, FLIPS)


as_rule(main, snakemake.log[0])
