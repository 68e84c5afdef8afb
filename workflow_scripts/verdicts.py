"""Rule `verdicts`: a sentence for every hypothesis."""

from typing import TYPE_CHECKING

from selfdistill.analysis.settling import settled
from selfdistill.analysis.verdicts import verdicts
from selfdistill.foundation.programs import as_rule
from selfdistill.study.arms import Arm
from selfdistill.study.evaluation import Hypothesis
from selfdistill.study.sampling import Decode
from selfdistill.tables.analysis import COMPARISONS, VARIANCE, VERDICTS
from selfdistill.tables.whole import read_table, write_table

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def main() -> None:
    asked = snakemake.params.asked
    comparisons = read_table(snakemake.input.comparisons, COMPARISONS)
    judged = verdicts(
        comparisons,
        {name: Hypothesis.model_validate(fields) for name, fields in asked["hypotheses"].items()},
        {name: Arm.model_validate(fields) for name, fields in asked["arms"].items()},
        {name: Decode.model_validate(fields) for name, fields in asked["decodes"].items()},
    )
    judged = settled(judged, read_table(snakemake.input.variance, VARIANCE), comparisons, asked["examples"])
    write_table(judged, snakemake.output[0], VERDICTS)


as_rule(main, snakemake.log[0])
