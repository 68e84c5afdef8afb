"""Rule `dataset`: the examples that one arm trains on, and the audit of its filter."""

import json
from pathlib import Path

from selfdistill.config.study import Arm
from selfdistill.program import as_rule
from selfdistill.tables import DATASET, GRADED, read_table, write_table
from selfdistill.training.dataset import arm_dataset


def main() -> None:
    asked = snakemake.params.asked
    graded = read_table(snakemake.input.graded, GRADED)
    arm = Arm.model_validate(asked["arm"])
    dataset, audit = arm_dataset(graded, arm, arm.decode, asked["examples"], asked["batch"])
    write_table(dataset, snakemake.output.dataset, DATASET)
    Path(snakemake.output.audit).write_text(json.dumps(audit, indent=1) + "\n")


as_rule(main, snakemake.log[0])
