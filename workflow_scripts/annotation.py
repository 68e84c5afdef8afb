"""Rule `annotation`: reads the judge's replies, and says how far they agree with words of doubt and with each other."""

from pathlib import Path
from typing import TYPE_CHECKING

from selfdistill.annotation.agreement import agreement
from selfdistill.annotation.judgements import judgements
from selfdistill.annotation.rubric import read_rubric
from selfdistill.doubt.counting import Markers
from selfdistill.foundation.programs import as_rule
from selfdistill.study.doubt import Doubt
from selfdistill.tables.annotation import ANNOTATION, JUDGEMENTS, QUESTIONS
from selfdistill.tables.sampling import COMPLETIONS
from selfdistill.tables.whole import read_table, write_table

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def main() -> None:
    asked = snakemake.params.asked
    judged = judgements(
        read_table(snakemake.input.questions, QUESTIONS),
        read_table(snakemake.input.replies, COMPLETIONS),
        read_rubric(Path(snakemake.input.rubric[0])),
        Markers(Doubt.model_validate(asked["doubt"])),
        asked["thinks"],
    )
    write_table(judged, snakemake.output.judgements, JUDGEMENTS)
    write_table(agreement(judged, asked["models"]), snakemake.output.agreement, ANNOTATION)


as_rule(main, snakemake.log[0])
