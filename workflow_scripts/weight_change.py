"""Rule `weight_change`: weights changed by all runs."""

import polars as pl

from selfdistill.analysis.weight_change import weight_change
from selfdistill.program import as_rule
from selfdistill.tables import WEIGHT_CHANGE, WEIGHTS, of_runs, read_table, write_table


def main() -> None:
    changes = [
        weight_change(read_table(path, WEIGHTS)).select(pl.lit(run).alias("run"), pl.all())
        for run, path in zip(snakemake.params.asked["runs"], snakemake.input.weights, strict=True)
    ]
    write_table(pl.concat(changes), snakemake.output[0], of_runs(WEIGHT_CHANGE))


as_rule(main, snakemake.log[0])
