"""Rule `noise`: gradient noise of all runs."""

from typing import TYPE_CHECKING

from selfdistill.analysis.noise import noise_of_runs
from selfdistill.foundation.programs import as_rule
from selfdistill.tables.analysis import NOISE_STEPS, NOISE_SUMMARY
from selfdistill.tables.schema import of_runs
from selfdistill.tables.training import NOISE
from selfdistill.tables.whole import read_table, write_table

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def main() -> None:
    asked = snakemake.params.asked
    noise = {run: read_table(path, NOISE) for run, path in zip(asked["runs"], snakemake.input.noise, strict=True)}
    found = noise_of_runs(noise, asked["beta1"], asked["seed"], asked.get("by_sequence", ()))
    write_table(found.steps, snakemake.output.steps, of_runs(NOISE_STEPS))
    write_table(found.summary, snakemake.output.summary, of_runs(NOISE_SUMMARY))


as_rule(main, snakemake.log[0])
