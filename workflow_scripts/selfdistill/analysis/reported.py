"""What the questions of a report are asked of: finished models at their final decodes, the widest budget, the test problems."""

from collections.abc import Iterator, Sequence

import polars as pl

from selfdistill.analysis.pairing import Comparison
from selfdistill.analysis.problem_means import Evaluations
from selfdistill.foundation.errors import UserError
from selfdistill.study.evaluation import Evaluation
from selfdistill.study.names import parse_model_id
from selfdistill.tables import words

FINISHED = (0, 100)  # percent of training done


def is_finished(model: str) -> bool:
    return parse_model_id(model).percent in FINISHED


def reported_split(graded: pl.DataFrame) -> str:
    """Test; all problems where none is in it."""
    return "test" if (graded["split"] == "test").any() else "all"


def reported_pairs(evaluations: Evaluations, evaluation: Evaluation, split: str) -> Iterator[Comparison]:
    """Every finished arm with the base at each final decode that both have, arms and decodes in the study's order."""
    base = {side.decode_id: side for side in evaluations.sides() if side.arm == "base"}
    sides = [side for side in evaluations.sides() if side.arm != "base" and side.percent in FINISHED]
    for arm in dict.fromkeys(side.arm for side in sides):
        by_decode = {side.decode_id: side for side in sides if side.arm == arm}
        for decode in evaluation.decodes.final:
            if decode in by_decode and decode in base:
                budget = evaluations.widest((by_decode[decode], base[decode]))
                if budget is not None:
                    yield Comparison(by_decode[decode], base[decode], words.MATCHED, budget, split)


def reported_answers(graded: pl.DataFrame, evaluation: Evaluation) -> pl.DataFrame:
    """The rows of graded answers that these comparisons rest on, with their side (the arm, or base)."""
    evaluations = Evaluations.of(graded, evaluation.sizes)
    size = max(evaluations.budgets.values())
    split = reported_split(graded)
    here = graded.filter(
        (pl.col("purpose") == "eval")
        & pl.col("decode_id").is_in(list(evaluation.decodes.final))
        & (pl.col("rank") < size)
        & ((pl.col("split") == split) | (split == "all"))
        & pl.col("model_id").is_in([model for model in graded["model_id"].unique() if is_finished(model)])
    )
    if here.is_empty():
        raise UserError("evaluation.decodes.final: no finished model was evaluated at any of them; evaluate one.")
    return here.with_columns(pl.col("model_id").str.split("/").list.first().alias("side"))


def sides_of(answers: pl.DataFrame, arms: Sequence[str] = ()) -> list[str]:
    """The base first."""
    there = set(answers["side"].unique())
    return [side for side in dict.fromkeys(("base", *arms, *sorted(there))) if side in there]
