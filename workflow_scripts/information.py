"""Rule `information`: what each context told, in nats."""

from typing import TYPE_CHECKING

import polars as pl

from selfdistill.analysis.information import information
from selfdistill.foundation.programs import as_rule
from selfdistill.tables.ladder import INFORMATION, INFORMATION_TEXTS, LOGPROBS
from selfdistill.tables.whole import read_table, write_table

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def main() -> None:
    texts = pl.concat(read_table(path, INFORMATION_TEXTS) for path in snakemake.input.texts)
    logprobs = [read_table(path, LOGPROBS) for path in snakemake.input.logprobs]
    table = information(texts, logprobs, snakemake.params.contexts)
    write_table(table, snakemake.output[0], INFORMATION)


as_rule(main, snakemake.log[0])
