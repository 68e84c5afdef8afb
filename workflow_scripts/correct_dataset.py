"""Rule `correct_dataset`: the right answers that one arm trains on, of the problems that its partners train on, too."""

from typing import TYPE_CHECKING

from selfdistill.foundation.files import write_json
from selfdistill.foundation.programs import as_rule
from selfdistill.study.arms import Arm
from selfdistill.tables.problems import PROMPTS
from selfdistill.tables.sampling import GRADED
from selfdistill.tables.training import DATASET
from selfdistill.tables.whole import read_table, write_table
from selfdistill.training.examples.correct import correct_dataset

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def main() -> None:
    asked = snakemake.params.asked
    arms = {name: Arm.model_validate(fields) for name, fields in asked["arms"].items()}
    # Arms with the same context learn of the same table.
    tables = {
        model: read_table(path, GRADED) for model, path in zip(asked["models"], snakemake.input.graded, strict=True)
    }
    dataset, audit = correct_dataset(
        snakemake.wildcards.arm,
        arms,
        {name: tables[model] for name, model in asked["samples_of"].items()},
        read_table(snakemake.input.prompts, PROMPTS),
        asked["examples"],
    )
    write_table(dataset, snakemake.output.dataset, DATASET)
    write_json(snakemake.output.audit, audit)


as_rule(main, snakemake.log[0])
