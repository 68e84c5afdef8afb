"""Rule `lineage`: what a model that is a study's checkpoint was made from."""

from pathlib import Path
from typing import TYPE_CHECKING

from selfdistill.foundation.files import write_json
from selfdistill.foundation.programs import as_rule
from selfdistill.models.lineage import described

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def main() -> None:
    write_json(snakemake.output[0], described(Path(snakemake.params.folder)))


as_rule(main, snakemake.log[0])
