"""Rule `information`: what each context told, in nats."""

from typing import TYPE_CHECKING

from selfdistill.analysis.information import information
from selfdistill.foundation.programs import as_rule
from selfdistill.tables.ladder import INFORMATION, INFORMATION_TEXTS, LOGPROBS
from selfdistill.tables.whole import read_table, write_table

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def main() -> None:
    read = [
        (read_table(texts, INFORMATION_TEXTS), read_table(logprobs, LOGPROBS))
        for texts, logprobs in zip(snakemake.input.texts, snakemake.input.logprobs, strict=True)
    ]
    table = information(read, snakemake.params.contexts)
    write_table(table, snakemake.output[0], INFORMATION)


as_rule(main, snakemake.log[0])
