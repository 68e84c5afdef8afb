"""Rule `study_record`: the effective study as a file."""

from typing import TYPE_CHECKING

import yaml

from selfdistill.foundation.files import write_text
from selfdistill.foundation.programs import as_rule

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def main() -> None:
    write_text(snakemake.output[0], yaml.safe_dump(snakemake.params.study, sort_keys=False, allow_unicode=True))


as_rule(main, snakemake.log[0])
