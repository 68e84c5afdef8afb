"""Rule `reference_dataset`: the dataset's own solutions that one arm trains on, and what was left out."""

from typing import TYPE_CHECKING

from selfdistill.foundation.files import write_json
from selfdistill.foundation.programs import as_rule
from selfdistill.study.grading import Grading
from selfdistill.tables.problems import PROBLEMS, PROMPTS, REFERENCES
from selfdistill.tables.training import DATASET
from selfdistill.tables.whole import read_table, write_table
from selfdistill.training.examples.references import reference_dataset

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def main() -> None:
    asked = snakemake.params.asked
    dataset, audit = reference_dataset(
        train=read_table(snakemake.input.train, PROBLEMS),
        prompts=read_table(snakemake.input.prompts, PROMPTS),
        references=read_table(snakemake.input.references, REFERENCES),
        examples=asked["examples"],
        context=asked["context"],
        grading=Grading.model_validate(asked["grading"]),
        think=asked["thinks"],
        workers=snakemake.threads,
    )
    write_table(dataset, snakemake.output.dataset, DATASET)
    write_json(snakemake.output.audit, audit)


as_rule(main, snakemake.log[0])
