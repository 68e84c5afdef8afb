"""Rule `weight_overlap`: what trainings did to the same weights, against rounding and noise alone."""

from pathlib import Path
from typing import TYPE_CHECKING

from selfdistill.foundation.programs import as_rule
from selfdistill.mechanism.weight_overlap import overlaps
from selfdistill.tables.mechanism import WEIGHT_OVERLAP
from selfdistill.tables.whole import write_table

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def main() -> None:
    asked = snakemake.params.asked
    runs = dict(zip(asked["runs"], map(Path, snakemake.input.finished), strict=True))
    found = overlaps(Path(snakemake.params.folder), runs, asked["seed"], snakemake.threads)
    write_table(found, snakemake.output[0], WEIGHT_OVERLAP)


as_rule(main, snakemake.log[0])
