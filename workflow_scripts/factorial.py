"""Rule `factorial`: main effects and interaction of decode and filter."""

from typing import TYPE_CHECKING

from selfdistill.analysis.factorial import factorial
from selfdistill.analysis.problem_means import read_graded
from selfdistill.foundation.programs import as_rule
from selfdistill.study.arms import Arm
from selfdistill.study.evaluation import Evaluation
from selfdistill.study.sampling import Decode
from selfdistill.tables.analysis import EFFECTS
from selfdistill.tables.whole import write_table

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def main() -> None:
    asked = snakemake.params.asked
    effects = factorial(
        read_graded(snakemake.input.graded),
        {name: Arm.model_validate(fields) for name, fields in asked["arms"].items()},
        {name: Decode.model_validate(fields) for name, fields in asked["decodes"].items()},
        Evaluation.model_validate(asked["evaluation"]),
    )
    write_table(effects, snakemake.output[0], EFFECTS)


as_rule(main, snakemake.log[0])
