"""Rule `checks`: the invariants of the results."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

from selfdistill.analysis.invariants import check_results
from selfdistill.foundation.errors import UserError
from selfdistill.foundation.files import write_json
from selfdistill.foundation.programs import as_rule
from selfdistill.tables.analysis import ESTIMATES
from selfdistill.tables.problems import CONTAMINATION, PROBLEMS
from selfdistill.tables.sampling import GRADED, PLAN
from selfdistill.tables.training import DATASET
from selfdistill.tables.whole import read_table

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def main() -> None:
    asked = snakemake.params.asked
    columns = (
        "request_id",
        "model_id",
        "problem_id",
        "purpose",
        "decode_id",
        "draw",
        "split",
        "rank",
        "verdict",
        "finish_class",
    )
    checks = check_results(
        plans={
            model: read_table(path, PLAN, ("request_id", "model_id", "problem_id", "purpose", "decode_id", "draw"))
            for model, path in zip(asked["models"], snakemake.input.plans, strict=True)
        },
        graded={
            model: read_table(path, GRADED, columns)
            for model, path in zip(asked["models"], snakemake.input.graded, strict=True)
        },
        datasets={
            arm: read_table(path, DATASET) for arm, path in zip(asked["arms"], snakemake.input.datasets, strict=True)
        },
        evaluation=read_table(snakemake.input.evaluation, PROBLEMS),
        contamination=read_table(snakemake.input.contamination, CONTAMINATION),
        budgets=asked["budgets"],
        levels=read_table(snakemake.input.levels, ESTIMATES),
        manifests=[json.loads(Path(path).read_text()) for path in snakemake.input.manifests],
        unequal=asked.get("unequal", ()),
    )
    for check in checks:
        if not check["passed"]:
            raise UserError(f"results break an invariant, {check['name']}: {check['sentence']}")
    write_json(snakemake.output[0], checks)


as_rule(main, snakemake.log[0])
