"""Rule `depth`: whether the depth of a thought goes with the class of its token."""

from typing import TYPE_CHECKING

import polars as pl

from selfdistill.foundation.programs import as_rule
from selfdistill.mechanism.depths import depth_by_class
from selfdistill.tables.mechanism import DEPTH, DEPTHS, TOKEN_CLASSES
from selfdistill.tables.whole import read_table, write_table

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def main() -> None:
    classes = read_table(snakemake.input.classes, TOKEN_CLASSES)
    columns = ("probe_id", "model_id", "layers", "depth")
    depths = pl.concat(read_table(file, DEPTHS, columns) for file in snakemake.input.depths)
    write_table(depth_by_class(classes, depths, snakemake.params.asked["least"]), snakemake.output[0], DEPTH)


as_rule(main, snakemake.log[0])
