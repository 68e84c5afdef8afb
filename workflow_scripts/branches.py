"""Rule `branches`: what a larger batch costs in examples."""

from typing import TYPE_CHECKING

from selfdistill.foundation.programs import as_rule
from selfdistill.mechanism.trade_off import trade_off
from selfdistill.tables.mechanism import BRANCH_LOSSES, BRANCHES
from selfdistill.tables.whole import read_table, write_table

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def main() -> None:
    losses = read_table(snakemake.input.losses, BRANCH_LOSSES)
    write_table(trade_off(losses, snakemake.params.batch), snakemake.output[0], BRANCHES)


as_rule(main, snakemake.log[0])
