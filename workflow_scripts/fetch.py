"""Rules `fetch_model` and `fetch_source`: a repository of the hub as a folder on this machine, and what it is."""

from typing import TYPE_CHECKING

from selfdistill.foundation.files import write_json
from selfdistill.foundation.programs import as_rule
from selfdistill.problems.datasets.fetch import fetch

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def main() -> None:
    write_json(snakemake.output[0], fetch(**snakemake.params.asked, **snakemake.params.place))


as_rule(main, snakemake.log[0])
