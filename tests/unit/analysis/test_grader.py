"""The grader by arm: its rates with paired differences, and bounds of the effect if disputes went the other way."""

import polars as pl
import pytest

from audit_simulation import ARM, evaluation
from selfdistill.analysis.grader import grader_panel
from selfdistill.tables import words

# Four problems of one answer on each side: (verdict, reason, disputed, what the lenient reader says).
SEEN: dict[str, list[tuple[str, str, bool | None, str | None]]] = {
    "base": [("correct", "equal", False, None), ("wrong", "different", True, "equal"), ("wrong", "unparsed", False, "unread"),
             ("unanswered", "cut", False, None)],
    ARM: [("correct", "equal", True, "different"), ("correct", "equal", False, None), ("wrong", "timeout", None, None),
          ("unanswered", "no_answer", False, None)],
}  # fmt: skip


def graded() -> pl.DataFrame:
    rows = [
        {"model_id": model, "rank": rank, "verdict": verdict, "reason": reason, "disputed": disputed, "lenient": lenient,
         "finish_class": reason if reason in ("cut", "no_answer") else "answered"}
        for model, answers in SEEN.items() for rank, (verdict, reason, disputed, lenient) in enumerate(answers)
    ]  # fmt: skip
    return pl.DataFrame(rows).with_columns(
        problem_id=pl.format("p{}", "rank"), family=pl.format("p{}", "rank"), split=pl.lit("test"), purpose=pl.lit("eval"),
        decode_id=pl.lit("t10"), draw=pl.lit(0), n_tokens=pl.lit(9), think_closed=pl.lit(True), boxed=pl.lit(True),
    )  # fmt: skip


def test_rates_and_bounds_are_those_counted_by_hand() -> None:
    rows = grader_panel(graded(), evaluation()).rows_by_key("estimand", named=True, unique=True)
    found = {name: (row["level"], row["against_level"], row["estimate"]) for name, row in rows.items()}
    assert found == {
        words.UNREAD_RATE: (0, 0.25, -0.25),
        words.TIMED_OUT_RATE: (0.25, 0, 0.25),
        words.DISPUTED_RATE: (0.25, 0.25, 0),
        words.NO_ANSWER_RATE: (0.25, 0, 0.25),
        words.ACCURACY: (0.5, 0.25, 0.25),
        words.DISPUTES_AGAINST: (0.25, 0.5, -0.25),
        words.DISPUTES_FOR: (0.5, 0.25, 0.25),
        words.IF_LENIENT: (0.25, 0.5, -0.25),
    }
    assert all(row["low"] <= row["estimate"] <= row["high"] and row["n"] == 4 for row in rows.values())
    assert {row["arm"] for row in rows.values()} == {"ssd"}


def test_tables_of_the_first_grader_have_no_disputes() -> None:
    older = graded().with_columns(disputed=pl.lit(None, pl.Boolean), lenient=pl.lit(None, pl.String))
    rows = grader_panel(older, evaluation()).rows_by_key("estimand", named=True, unique=True)
    assert rows[words.DISPUTED_RATE]["level"] == 0
    assert rows[words.DISPUTES_AGAINST]["estimate"] == rows[words.IF_LENIENT]["estimate"] == pytest.approx(0.25)
