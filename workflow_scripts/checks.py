"""Rule `checks`: the invariants of the results."""

from typing import TYPE_CHECKING

from selfdistill.analysis.checked import checked_results
from selfdistill.foundation.files import write_json
from selfdistill.foundation.programs import as_rule

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def main() -> None:
    checks = checked_results(dict(snakemake.input.items()), snakemake.params.asked)
    write_json(snakemake.output[0], checks)


as_rule(main, snakemake.log[0])
