"""Rule `dataset`: the examples that one arm trains on, and the audit of its filter."""

from typing import TYPE_CHECKING

from selfdistill.foundation.files import write_json
from selfdistill.foundation.programs import as_rule
from selfdistill.study.arms import Arm
from selfdistill.tables.problems import PROMPTS
from selfdistill.tables.sampling import GRADED
from selfdistill.tables.training import DATASET
from selfdistill.tables.whole import read_table, write_table
from selfdistill.training.examples.filter import arm_dataset

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def main() -> None:
    asked = snakemake.params.asked
    graded = read_table(snakemake.input.graded, GRADED)
    arm = Arm.model_validate(asked["arm"])
    bare = [read_table(path, PROMPTS) for path in snakemake.input.prompts]
    dataset, audit = arm_dataset(graded, arm, str(arm.decode), asked["examples"], *bare)
    write_table(dataset, snakemake.output.dataset, DATASET)
    write_json(snakemake.output.audit, audit)


as_rule(main, snakemake.log[0])
