"""Rule `difficulty`: effects by the base's solve rate, by level and by source."""

from typing import TYPE_CHECKING

import polars as pl

from selfdistill.analysis.difficulty import difficulty
from selfdistill.analysis.problem_means import NEEDED
from selfdistill.foundation.programs import as_rule
from selfdistill.study.evaluation import Evaluation
from selfdistill.tables.analysis import DIFFICULTY
from selfdistill.tables.sampling import GRADED
from selfdistill.tables.whole import read_table, write_table

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def main() -> None:
    asked = snakemake.params.asked
    evaluation = Evaluation.model_validate(asked["evaluation"])
    graded = pl.concat(read_table(path, GRADED, (*NEEDED, "level", "source")) for path in snakemake.input.graded)
    write_table(difficulty(graded, evaluation, asked.get("noises", {})), snakemake.output[0], DIFFICULTY)


as_rule(main, snakemake.log[0])
