"""Rule `weight_change`: weights changed by all runs, and whether their steps add up."""

from typing import TYPE_CHECKING

import polars as pl

from selfdistill.analysis.coherence import path_coherence
from selfdistill.analysis.weight_change import weight_change
from selfdistill.foundation.programs import as_rule
from selfdistill.tables.analysis import PATH_COHERENCE, WEIGHT_CHANGE
from selfdistill.tables.schema import of_runs
from selfdistill.tables.training import COHERENCE, WEIGHTS
from selfdistill.tables.whole import read_table, write_table

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def main() -> None:
    runs, beta1 = snakemake.params.asked["runs"], snakemake.params.asked["beta1"]
    changes = [
        weight_change(read_table(path, WEIGHTS)).select(pl.lit(run).alias("run"), pl.all())
        for run, path in zip(runs, snakemake.input.weights, strict=True)
    ]
    paths = [
        path_coherence(read_table(path, COHERENCE), beta1[run]).select(pl.lit(run).alias("run"), pl.all())
        for run, path in zip(runs, snakemake.input.coherence, strict=True)
    ]
    write_table(pl.concat(changes), snakemake.output.changes, of_runs(WEIGHT_CHANGE))
    write_table(pl.concat(paths), snakemake.output.coherence, of_runs(PATH_COHERENCE))


as_rule(main, snakemake.log[0])
