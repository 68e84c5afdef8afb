"""Rule `convert`: a public dataset as the problems that can be asked and graded, and how many rows were not and why."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

from selfdistill.foundation.errors import UserError
from selfdistill.foundation.files import write_json, write_text
from selfdistill.foundation.programs import as_rule
from selfdistill.problems.datasets.convert import convert

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def main() -> None:
    asked, folder = snakemake.params.asked, Path(snakemake.params.folder)
    rows, dropped = convert(asked["loader"], folder, asked["options"])
    if not rows:
        raise UserError(f"{folder}: no row passes the filters ({dropped}); loosen {asked['key']}.options.")
    write_text(snakemake.output.problems, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    write_json(snakemake.output.audit, {"loader": asked["loader"], "kept": len(rows), "dropped": dropped})


as_rule(main, snakemake.log[0])
