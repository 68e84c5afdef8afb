"""Rule `noise`: gradient noise of all runs."""

from typing import TYPE_CHECKING

import polars as pl

from selfdistill.analysis.noise import noise_steps, noise_summary
from selfdistill.foundation.programs import as_rule
from selfdistill.tables.analysis import NOISE_STEPS, NOISE_SUMMARY
from selfdistill.tables.schema import of_runs
from selfdistill.tables.training import NOISE
from selfdistill.tables.whole import read_table, write_table

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def main() -> None:
    asked = snakemake.params.asked
    steps, summaries = [], []
    for run, path in zip(asked["runs"], snakemake.input.noise, strict=True):
        of_run = noise_steps(read_table(path, NOISE))
        steps.append(of_run.select(pl.lit(run).alias("run"), pl.all()))
        summary = noise_summary(of_run, beta1=asked["beta1"][run], seed=asked["seed"])
        summaries.append(summary.select(pl.lit(run).alias("run"), pl.all()))
    write_table(pl.concat(steps), snakemake.output.steps, of_runs(NOISE_STEPS))
    write_table(pl.concat(summaries), snakemake.output.summary, of_runs(NOISE_SUMMARY))


as_rule(main, snakemake.log[0])
