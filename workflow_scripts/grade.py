"""Rule `grade`: finish classes and verdicts of one model's completions."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from selfdistill.foundation.programs import as_rule
from selfdistill.grading.grade import grade
from selfdistill.models.tokens import end_tokens
from selfdistill.study.grading import Grading
from selfdistill.tables.problems import PROBLEMS
from selfdistill.tables.sampling import COMPLETIONS, GRADED, PLAN
from selfdistill.tables.streams import TableWriter, read_pieces
from selfdistill.tables.whole import read_table

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def main() -> None:
    asked = snakemake.params.asked
    graded = grade(
        plan=read_table(snakemake.input.plan, PLAN),
        completions=completions,
        problems=pl.concat(read_table(path, PROBLEMS) for path in (snakemake.input.train, snakemake.input.evaluation)),
        eos_ids=end_tokens(Path(asked["model"])),
        settings=Grading.model_validate(asked["grading"]),
        think=asked.get("thinks", True),
        workers=snakemake.threads,
    )
    with TableWriter(snakemake.output[0], GRADED) as table:
        for piece in graded:
            table.write(piece)


def completions() -> Iterator[pl.DataFrame]:
    for path in snakemake.input.shards:
        yield from read_pieces(path, COMPLETIONS)


as_rule(main, snakemake.log[0])
