"""Rule `solving`: pass@k and maj@k of finished models, with the classes of answers that vote."""

from typing import TYPE_CHECKING

import polars as pl

from selfdistill.analysis.problem_means import NEEDED
from selfdistill.analysis.solving import ANSWER_CLASS, FEWEST_VOTERS, solving
from selfdistill.foundation.programs import as_rule
from selfdistill.grading.votes import answer_classes
from selfdistill.study.evaluation import Evaluation
from selfdistill.tables.analysis import SOLVING
from selfdistill.tables.sampling import GRADED
from selfdistill.tables.whole import read_table, write_table

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

GROUP = ("model_id", "decode_id", "problem_id")


def main() -> None:
    asked = snakemake.params.asked
    evaluation = Evaluation.model_validate(asked["evaluation"])
    graded = pl.concat(with_classes(path, asked["seconds_per_answer"]) for path in snakemake.input.graded)
    write_table(solving(graded, evaluation), snakemake.output[0], SOLVING)


def with_classes(path: str, seconds: float) -> pl.DataFrame:
    """Of answers to problems with too few of them to vote, whether they are right is all that is asked."""
    graded = read_table(path, GRADED, (*NEEDED, "extracted")).filter(pl.col("purpose") == "eval")
    vote = pl.len().over(GROUP) >= FEWEST_VOTERS
    answers = graded.with_columns(pl.when(vote).then(pl.col("extracted")).alias("extracted"))
    classes = answer_classes(answers, GROUP, seconds, snakemake.threads)
    return graded.drop("extracted").with_columns(classes.alias(ANSWER_CLASS))


as_rule(main, snakemake.log[0])
