"""Rule `convert`: a public dataset as the problems that can be asked and graded, and how many rows were not and why."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from selfdistill.foundation.errors import UserError
from selfdistill.foundation.files import write_json, write_text
from selfdistill.foundation.programs import as_rule
from selfdistill.problems.datasets.convert import audit, convert

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def main() -> None:
    asked, folder = snakemake.params.asked, Path(snakemake.params.folder)
    rows, dropped = conversion = convert(asked["loader"], folder, asked["options"])
    if not rows:
        raise UserError(f"{folder}: no row passes the filters ({dropped}); loosen {asked['key']}.options.")
    write_text(snakemake.output.problems, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    found = audit(asked["loader"], asked["options"], conversion)
    if found["alarm"]:
        print(f"ALARM: {found['alarm']}", file=sys.stderr)
    write_json(snakemake.output.audit, found)


as_rule(main, snakemake.log[0])
