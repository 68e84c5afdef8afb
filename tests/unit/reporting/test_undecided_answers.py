"""Answers that the grader came to no end with are counted by model and shown; where there are none, nothing is."""

import polars as pl
import pytest

from report_fixture import report_inputs
from selfdistill.reporting.page import render_report
from selfdistill.reporting.tables.grading import count_undecided, undecided_answers

pytestmark = pytest.mark.usefixtures("undrawn")


def graded(**reasons: list[str]) -> pl.DataFrame:
    """Graded rows of models by their answers' reasons."""
    return pl.concat(
        pl.DataFrame({
            "model_id": model, "purpose": "eval", "engine": "torch", "engine_version": "1", "n_tokens": 9, "loop_period": None,
            "finish_class": ["cut" if reason == "cut" else "answered" for reason in given], "reason": given,
        }, schema_overrides={"loop_period": pl.Int32})
        for model, given in reasons.items()
    )  # fmt: skip


ROWS = graded(
    base=["equal", "timeout", "timeout", "grader failed", "cut"], ssd=["equal", "different", "unparsed"], aa=["timeout"]
)


def test_late_and_failed_gradings_are_counted_by_model() -> None:
    assert count_undecided(ROWS).rows() == [("aa", 1, 1, 0), ("base", 4, 2, 1)]


def test_the_report_shows_them_and_is_silent_where_there_are_none() -> None:
    table = undecided_answers(report_inputs(sampled=ROWS))
    assert table is not None and [row.cells for row in table.groups[0].rows] == [
        ["aa", "1", "1", "0"],
        ["base", "4", "2", "1"],
    ]
    title = "Answers that the grader could not decide"
    assert title in render_report(report_inputs(sampled=ROWS))
    assert title not in render_report(report_inputs(sampled=ROWS.filter(pl.col("model_id") == "ssd")))
    assert undecided_answers(report_inputs()) is None
