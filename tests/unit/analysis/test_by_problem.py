"""Means by problem: draws within their training first, then trainings; what counts as an observation is added up."""

import polars as pl

from selfdistill.analysis.by_problem import by_problem

RIGHT = pl.col("verdict") == "correct"
# Of p1 one training has three draws and one right, the other one draw, which is right.
ANSWERS = pl.DataFrame(
    {
        "model_id": ["b", "a", "a", "a", "a"],
        "problem_id": ["p1", "p1", "p2", "p1", "p1"],
        "family": [None, None, "f", None, None],
        "verdict": ["correct", "wrong", "correct", "correct", "wrong"],
        "finish_class": ["answered", "cut", "answered", "answered", "answered"],
    }
)


def test_each_training_counts_alike_however_many_draws_it_has() -> None:
    found = by_problem(ANSWERS, {"accuracy": RIGHT})
    assert found.columns == ["problem_id", "family", "accuracy", "draws"]
    assert found.rows() == [("p1", "p1", (1 / 3 + 1) / 2, 4), ("p2", "f", 1.0, 1)]


def test_draws_are_what_one_says_they_are() -> None:
    finished = pl.col("finish_class") == "answered"
    found = by_problem(ANSWERS, {"right": RIGHT & finished, "finished": finished}, draws=finished.sum())
    assert found["draws"].to_list() == [3, 1] and found["finished"].to_list() == [(2 / 3 + 1) / 2, 1.0]
