"""Rule `grade`: finish classes and verdicts of one model's completions."""

from pathlib import Path

import polars as pl

from selfdistill.config.study import Grading
from selfdistill.grading.grade import grade
from selfdistill.program import as_rule
from selfdistill.sampling.sampler import end_tokens
from selfdistill.tables import COMPLETIONS, GRADED, PLAN, PROBLEMS, read_table, write_table


def main() -> None:
    asked = snakemake.params.asked
    graded = grade(
        plan=read_table(snakemake.input.plan, PLAN),
        completions=pl.concat(read_table(path, COMPLETIONS) for path in snakemake.input.shards),
        problems=pl.concat(read_table(path, PROBLEMS) for path in (snakemake.input.train, snakemake.input.evaluation)),
        eos_ids=end_tokens(Path(asked["model"])),
        settings=Grading.model_validate(asked["grading"]),
        workers=snakemake.threads,
    )
    write_table(graded, snakemake.output[0], GRADED)


as_rule(main, snakemake.log[0])
