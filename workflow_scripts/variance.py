"""Rule `variance`: where the error of every difference comes from."""

from typing import TYPE_CHECKING

from selfdistill.analysis.components import variance_components
from selfdistill.analysis.problem_means import read_graded
from selfdistill.foundation.programs import as_rule
from selfdistill.study.arms import Arm
from selfdistill.study.evaluation import Evaluation, Hypothesis
from selfdistill.tables.analysis import VARIANCE
from selfdistill.tables.whole import write_table

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def main() -> None:
    asked = snakemake.params.asked
    found = variance_components(
        read_graded(snakemake.input.graded),
        {name: Arm.model_validate(fields) for name, fields in asked["arms"].items()},
        Evaluation.model_validate(asked["evaluation"]),
        {name: Hypothesis.model_validate(fields) for name, fields in asked["hypotheses"].items()},
    )
    write_table(found, snakemake.output[0], VARIANCE)


as_rule(main, snakemake.log[0])
