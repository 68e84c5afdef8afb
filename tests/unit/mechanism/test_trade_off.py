"""The trade-off of time and data: recovered where it is known, and said to be open where it is."""

from typing import Any

import numpy as np
import polars as pl
import pytest

from selfdistill.mechanism.trade_off import critical_batch, examples_to, trade_off
from selfdistill.tables import words
from selfdistill.tables.mechanism import BRANCH_LOSSES

BATCHES, EXAMPLES, HELD_OUT = (4, 8, 16, 32, 64), 512, 12


def losses(critical: float, scatter: float = 0.0, seeds: int = 3, seed: int = 0, bend: float = 0.0) -> pl.DataFrame:
    """Loss falls by examples / (critical + batch), the law of McCandlish et al.; orders and examples scatter about it."""
    rng = np.random.default_rng(seed)
    tokens = rng.integers(20, 60, HELD_OUT)
    level = rng.normal(2, 0.3, HELD_OUT)
    rows = []
    for order in range(seeds):
        common = rng.normal() * scatter
        for batch in BATCHES:
            own = rng.normal() * scatter
            for step in range(0, EXAMPLES // batch + 1, max(1, EXAMPLES // batch // 8)):
                fall = (1 + common + own) * step * batch / (critical + batch) / 100 - bend * step * batch / EXAMPLES
                for name in range(HELD_OUT):
                    loss = tokens[name] * (level[name] - fall)
                    rows.append((batch, order, step, step * batch, 1e-3, f"r{name}", int(tokens[name]), loss))
    return pl.DataFrame(rows, schema=BRANCH_LOSSES, orient="row")


def row(table: pl.DataFrame, estimand: str, batch: int | None = None) -> dict[str, Any]:
    wanted = (pl.col("estimand") == estimand) & pl.col("seed").is_null() & pl.col("batch").eq_missing(batch)
    return table.filter(wanted).sort("examples").row(-1, named=True)


def test_the_critical_batch_of_the_law_is_recovered() -> None:
    table = trade_off(losses(24.0), 16)
    assert row(table, words.CRITICAL_BATCH)["estimate"] == pytest.approx(24, rel=1e-6)
    # At the critical batch a training takes twice the fewest steps and twice the fewest examples.
    steps, examples = row(table, words.STEPS_LEAST)["estimate"], row(table, words.EXAMPLES_LEAST)["estimate"]
    assert examples / steps == pytest.approx(24)
    assert row(table, words.EXAMPLES_TO_TARGET, 64)["estimate"] == pytest.approx(EXAMPLES)
    assert row(table, words.EXAMPLES_TO_TARGET, 8)["estimate"] == pytest.approx(EXAMPLES * (24 + 8) / (24 + 64))


def test_its_interval_covers_as_often_as_it_says() -> None:
    inside = bounded = 0
    for repeat in range(120):
        found = row(trade_off(losses(24.0, 0.05, seed=repeat), 16), words.CRITICAL_BATCH)
        bounded += found["high"] is not None
        inside += (found["low"] or 0) <= 24 <= (np.inf if found["high"] is None else found["high"])
    assert inside / 120 >= 0.89 and bounded > 40  # three standard errors below 95 %


def test_a_batch_that_costs_nothing_has_a_critical_size_without_an_end() -> None:
    found = row(trade_off(losses(1e6, 0.05), 16), words.CRITICAL_BATCH)
    assert found["high"] is None and words.NOT_RESOLVED in found["method"]


def test_where_no_branch_learns_nothing_is_said() -> None:
    found = row(trade_off(losses(24.0, bend=3.0), 16), words.CRITICAL_BATCH)
    assert found["estimate"] is None and found["method"] == words.LOSS_NOT_LOWERED


def test_differences_are_paired_within_a_data_order() -> None:
    """The level of an order, common to its branches, falls out of the difference and not out of the level."""
    table = trade_off(losses(24.0, 0.0), 16)
    difference = row(table, words.HELD_OUT_DIFFERENCE, 64)
    assert difference["estimate"] == pytest.approx(EXAMPLES / 100 * (1 / 40 - 1 / 88))
    assert difference["high"] - difference["low"] < 1e-9 and difference["examples"] == EXAMPLES
    assert row(table, words.HELD_OUT_LOSS, 16)["n"] == 3
    assert table.filter((pl.col("estimand") == words.HELD_OUT_DIFFERENCE) & (pl.col("batch") == 16)).is_empty()


def test_a_crossing_is_read_between_looks() -> None:
    curve = pl.DataFrame({"examples": [0, 10, 20], "loss": [3.0, 2.0, 1.0]})
    assert examples_to(curve, 1.5) == 15 and examples_to(curve, 3.0) == 0 and np.isnan(examples_to(curve, 0.5))


def test_with_two_orders_a_noisy_fit_is_not_resolved() -> None:
    found = critical_batch(np.array([1.0, -1.0]), np.array([20.0, 22.0]))
    assert found.high is None and words.NOT_RESOLVED in found.method
