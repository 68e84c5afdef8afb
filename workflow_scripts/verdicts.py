"""Rule `verdicts`: a sentence for every hypothesis, and where a study has looks, how each was judged at its latest."""

from typing import TYPE_CHECKING

from selfdistill.analysis.looks import schedule
from selfdistill.analysis.settling import settled
from selfdistill.analysis.verdicts import verdicts_at
from selfdistill.foundation.programs import as_rule
from selfdistill.study.arms import Arm
from selfdistill.study.evaluation import Hypothesis
from selfdistill.study.looks import Record
from selfdistill.study.sampling import Decode
from selfdistill.tables.analysis import COMPARISONS, LOOKS, VARIANCE, VERDICTS
from selfdistill.tables.problems import PROBLEMS
from selfdistill.tables.whole import read_table, write_table

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def main() -> None:
    asked = snakemake.params.asked
    looks = asked.get("looks")
    comparisons = read_table(snakemake.input.comparisons, COMPARISONS)
    judged, at_the_look = verdicts_at(
        schedule(Record.model_validate(looks), read_table(snakemake.input.evaluation, PROBLEMS)) if looks else None,
        comparisons,
        {name: Hypothesis.model_validate(fields) for name, fields in asked["hypotheses"].items()},
        {name: Arm.model_validate(fields) for name, fields in asked["arms"].items()},
        {name: Decode.model_validate(fields) for name, fields in asked["decodes"].items()},
    )
    judged = settled(judged, read_table(snakemake.input.variance, VARIANCE), comparisons, asked["examples"])
    write_table(judged, snakemake.output.verdicts, VERDICTS)
    write_table(at_the_look, snakemake.output.looks, LOOKS)


as_rule(main, snakemake.log[0])
