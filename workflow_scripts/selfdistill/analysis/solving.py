"""How much several draws are worth: pass@k and maj@k of finished models. Graded answers with their classes in, SOLVING out.

pass@k is told for k up to half the draws, where it says something of the model, and for what the study asks beyond. At k
equal to the draws it only says whether any of them was right. maj@k needs three draws: of two, no answer has a majority.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import polars as pl

from selfdistill.analysis.levels import share_row
from selfdistill.analysis.problem_means import Evaluations, Side, pool
from selfdistill.analysis.reported import FINISHED, reported_split
from selfdistill.statistics.clusters import Array
from selfdistill.statistics.solving import pass_at_k
from selfdistill.statistics.voting import majority_at_k
from selfdistill.study.evaluation import Evaluation
from selfdistill.tables import words
from selfdistill.tables.analysis import SOLVING
from selfdistill.tables.schema import conform, empty_table

FEWEST_VOTERS = 3
ANSWER_CLASS, RIGHT = "answer_class", 0  # as `grading/votes.py` writes them; null is no vote


def solving(graded: pl.DataFrame, evaluation: Evaluation) -> pl.DataFrame:
    """`graded` has the answers' classes; the rows are of each arm with all its trainings, at the final decodes."""
    evaluations = Evaluations.of(graded, evaluation.sizes)
    split = reported_split(graded)
    rows = []
    for side in evaluations.sides():
        if side.percent not in FINISHED or side.decode_id not in evaluation.decodes.final:
            continue
        budget = evaluations.widest([side])
        if budget is None:
            continue
        cells = [evaluations.cell(model, side.decode_id, budget, split) for model in side.models]
        if cells[0].is_empty():
            continue
        votes = [_votes(graded, model, side.decode_id, cell) for model, cell in zip(side.models, cells, strict=True)]
        for row in _of_side(cells, votes, evaluation.pass_at):
            rows.append(dict.fromkeys(SOLVING) | _named(side, split, budget) | row)
    return conform(pl.DataFrame(rows, schema=SOLVING), SOLVING, "solving") if rows else empty_table(SOLVING)


def _named(side: Side, split: str, budget: str) -> dict[str, object]:
    return {"model_id": side.model_id, "arm": side.arm, "percent": side.percent, "decode_id": side.decode_id,
            "split": split, "budget": budget}  # fmt: skip


def _of_side(
    cells: Sequence[pl.DataFrame], votes: Sequence[pl.DataFrame], asked: Sequence[int]
) -> Iterator[dict[str, object]]:
    draws = min(cell.select(pl.col("draws").min()).item() for cell in cells)
    by_name = {words.pass_estimand(k): k for k in passes(draws, asked)}
    solved = {
        name: [pass_at_k(cell["draws"].to_numpy(), cell["correct_draws"].to_numpy(), k) for cell in cells]
        for name, k in by_name.items()
    }
    majorities = {words.majority_estimand(k): k for k in voters(draws)}
    by_name |= majorities
    solved |= {name: [_majorities(vote, k) for vote in votes] for name, k in majorities.items()}
    for name, k in by_name.items():
        pooled = pool(
            [cell.with_columns(pl.Series(name, values)) for cell, values in zip(cells, solved[name], strict=True)]
        )
        values = pooled[name].to_numpy()
        yes_or_no = bool(np.isin(values, (0, 1)).all())
        yield {"estimand": name, "k": k, "draws": draws, **share_row(pooled, values, yes_or_no)}


def passes(draws: int, asked: Sequence[int]) -> list[int]:
    """1 to half the draws, and what was asked for as far as there are draws."""
    return sorted({1, *range(1, draws // 2 + 1), *(k for k in asked if k <= draws)})


def voters(draws: int) -> list[int]:
    """3, the powers of two, and all draws."""
    powers = [2**power for power in range(2, 20)]
    return sorted({k for k in (FEWEST_VOTERS, *powers, draws) if FEWEST_VOTERS <= k <= draws})


def _votes(graded: pl.DataFrame, model: str, decode: str, cell: pl.DataFrame) -> pl.DataFrame:
    """By problem, in the cell's order: how many draws were right, how many gave each wrong answer, how many gave none."""
    of_model = graded.filter(
        (pl.col("model_id") == model) & (pl.col("decode_id") == decode) & (pl.col("purpose") == "eval")
    )
    counts = of_model.group_by("problem_id", ANSWER_CLASS).len("draws")
    chosen = pl.col(ANSWER_CLASS)
    by_problem = counts.group_by("problem_id").agg(
        pl.col("draws").filter(chosen == RIGHT).sum().alias("right"),
        pl.col("draws").filter(chosen > RIGHT).sort().alias("others"),
        pl.col("draws").filter(chosen.is_null()).sum().alias("silent"),
    )
    return cell.select("problem_id").join(by_problem, on="problem_id", how="left", maintain_order="left")


def _majorities(votes: pl.DataFrame, k: int) -> Array:
    rows = votes.select("right", "others", "silent").iter_rows()
    return np.array([majority_at_k(right, tuple(others), silent, k) for right, others, silent in rows])
