"""Rule `plugged`: what the analyses of the user's plugins make of the graded answers."""

from pathlib import Path
from typing import TYPE_CHECKING

from selfdistill.analysis.plugged import analysed
from selfdistill.foundation.plugins import reference_in
from selfdistill.foundation.programs import as_rule
from selfdistill.tables.analysis import PLUGGED
from selfdistill.tables.whole import write_table

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def main() -> None:
    asked = snakemake.params.asked
    references = [reference for text in asked["analyses"] if (reference := reference_in(text))]
    graded = dict(zip(asked["models"], map(Path, snakemake.input.graded), strict=True))
    write_table(analysed(references, graded), snakemake.output[0], PLUGGED)


as_rule(main, snakemake.log[0])
