"""Rule `study_record`: the effective study as a file."""

from pathlib import Path

import yaml

from selfdistill.program import as_rule


def main() -> None:
    Path(snakemake.output[0]).write_text(yaml.safe_dump(snakemake.params.study, sort_keys=False, allow_unicode=True))


as_rule(main, snakemake.log[0])
