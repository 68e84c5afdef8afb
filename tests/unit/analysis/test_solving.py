"""pass@k and maj@k of finished models: from which k, over which answers, and the same as accuracy where they must be."""

import numpy as np
import polars as pl
import pytest

from audit_simulation import ARM, evaluation
from selfdistill.analysis.solving import passes, solving, voters
from selfdistill.tables import words


def graded(base: list[list[int | None]], arm: list[list[int | None]]) -> pl.DataFrame:
    """By problem and draw the class of the answer: 0 is right, None no answer."""
    rows = [
        {"model_id": model, "rank": rank, "draw": draw, "answer_class": given}
        for model, problems in (("base", base), (ARM, arm))
        for rank, draws in enumerate(problems)
        for draw, given in enumerate(draws)
    ]
    chosen = pl.col("answer_class")
    return pl.DataFrame(rows, schema_overrides={"answer_class": pl.Int32}).with_columns(
        problem_id=pl.format("p{}", "rank"), family=pl.format("p{}", "rank"), split=pl.lit("test"), purpose=pl.lit("eval"),
        decode_id=pl.lit("t10"), n_tokens=pl.lit(9), think_closed=pl.lit(True), boxed=pl.lit(True),
        finish_class=pl.when(chosen.is_null()).then(pl.lit("cut")).otherwise(pl.lit("answered")),
        verdict=pl.when(chosen.is_null()).then(pl.lit("unanswered"))
        .when(chosen == 0).then(pl.lit("correct")).otherwise(pl.lit("wrong")),
    )  # fmt: skip


def of(table: pl.DataFrame, arm: str) -> dict[str, float]:
    return dict(table.filter(pl.col("arm") == arm).select("estimand", "estimate").iter_rows())


def test_a_majority_is_counted_over_the_problems() -> None:
    base: list[list[int | None]] = [[0, 0, 0, 1], [1, 1, 2, 0], [None, None, None, 0]]
    found = of(solving(graded(base, [row[:3] for row in base]), evaluation()), "base")
    assert found["pass@1"] == pytest.approx(5 / 12) and found["maj@4"] == pytest.approx(2 / 3)
    # Of three draws: the first problem always, the second as one of three different in two subsets, the third in three of four.
    assert found["maj@3"] == pytest.approx((1 + 2 / 4 / 3 + 3 / 4) / 3)
    assert set(found) == {"pass@1", "pass@2", "maj@3", "maj@4"}


def test_a_side_with_fewer_draws_has_what_these_can_tell() -> None:
    random = np.random.default_rng(1)
    base = random.integers(0, 3, (20, 8)).tolist()
    table = solving(graded(base, random.integers(0, 2, (20, 2)).tolist()), evaluation())
    assert set(of(table, "base")) == {"pass@1", "pass@2", "pass@3", "pass@4", "maj@3", "maj@4", "maj@8"}
    assert set(of(table, "ssd")) == {"pass@1"}
    assert table.filter(pl.col("arm") == "ssd")["draws"].to_list() == [2]
    assert of(table, "base")["pass@1"] == pytest.approx(np.mean(np.array(base) == 0))
    assert all(low <= middle <= high for low, middle, high in table.select("low", "estimate", "high").iter_rows())


def test_k_goes_to_half_the_draws_and_further_where_it_is_asked_for() -> None:
    assert passes(8, [1]) == [1, 2, 3, 4] and passes(2, [1, 2, 5]) == [1, 2] and passes(1, [1]) == [1]
    assert voters(2) == [] and voters(3) == [3] and voters(16) == [3, 4, 8, 16]
    assert words.pass_estimand(1) == "pass@1" and words.majority_estimand(3) == "maj@3"
