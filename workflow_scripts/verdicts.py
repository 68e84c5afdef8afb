"""Rule `verdicts`: a sentence for every hypothesis."""

from selfdistill.analysis.verdicts import verdicts
from selfdistill.config.study import Arm, Decode, Hypothesis
from selfdistill.program import as_rule
from selfdistill.tables import COMPARISONS, VERDICTS, read_table, write_table


def main() -> None:
    asked = snakemake.params.asked
    judged = verdicts(
        read_table(snakemake.input.comparisons, COMPARISONS),
        {name: Hypothesis.model_validate(fields) for name, fields in asked["hypotheses"].items()},
        {name: Arm.model_validate(fields) for name, fields in asked["arms"].items()},
        {name: Decode.model_validate(fields) for name, fields in asked["decodes"].items()},
    )
    write_table(judged, snakemake.output[0], VERDICTS)


as_rule(main, snakemake.log[0])
