"""Rule `noise_probe`: signal and noise at frozen checkpoints, by class of token."""

from typing import TYPE_CHECKING

from selfdistill.foundation.programs import as_rule
from selfdistill.mechanism.gradient_noise import of_checkpoints
from selfdistill.tables.mechanism import GRADIENT_PRODUCTS, NOISE_PROBE
from selfdistill.tables.whole import read_table, write_table

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def main() -> None:
    asked = snakemake.params.asked
    tables = {
        (arm, seed, percent): read_table(path, GRADIENT_PRODUCTS)
        for (arm, seed, percent), path in zip(asked["checkpoints"], snakemake.input.products, strict=True)
    }
    write_table(of_checkpoints(tables, asked["seed"]), snakemake.output[0], NOISE_PROBE)


as_rule(main, snakemake.log[0])
