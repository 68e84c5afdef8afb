"""Whether a judge agrees with counted words of doubt, and with itself; and whether both see the same difference to the base.

Goes in: judgements, a row an answer and pass. Comes out: a row a model and measure. Every answer of a model is of another
family of problems, so that answers are what n counts. Words are held against the first pass; refused replies are left
out, and how many they are is told.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import polars as pl

from selfdistill.statistics.agreement import Estimate, bland_altman, spearman
from selfdistill.statistics.clusters import Array, cluster_mean, cluster_totals
from selfdistill.statistics.intervals import UNKNOWN, t_interval, wilson_interval
from selfdistill.tables import words
from selfdistill.tables.annotation import ANNOTATION

Row = dict[str, Any]


def agreement(judged: pl.DataFrame, models: Sequence[str]) -> pl.DataFrame:
    rows = []
    for model in models:
        mine = judged.filter(pl.col("model_id") == model)
        made = [*_replies(mine), *_levels(mine), *_with_words(mine), *_of_passes(mine)]
        if model != "base":
            made += _differences(mine, judged.filter(pl.col("model_id") == "base"))
        rows += [{"model_id": model, "unit": words.FAMILY, **row} for row in made]
    return pl.DataFrame(rows, schema=ANNOTATION)


def _replies(mine: pl.DataFrame) -> Iterator[Row]:
    """Of the first pass: how many could be read."""
    first = _pass(mine, 1)
    for parse in words.PARSES:
        share = int((first["parse"] == parse).sum())
        found = Estimate(share / first.height, wilson_interval(share, first.height))
        yield _row(words.replies(parse), found, first.height, words.WILSON)


def _levels(mine: pl.DataFrame) -> Iterator[Row]:
    both = _pass(mine, 1).drop_nulls("judged")
    yield _mean(words.JUDGED, _numbers(both, "judged"))
    yield _mean(words.MARKERS, _numbers(both, "markers"))


def _with_words(mine: pl.DataFrame) -> Iterator[Row]:
    both = _pass(mine, 1).drop_nulls("judged")
    for measure, row in _agreeing(_numbers(both, "judged"), _numbers(both, "markers")):
        yield row | {"measure": words.with_markers(measure)}


def _of_passes(mine: pl.DataFrame) -> Iterator[Row]:
    if mine["pass"].n_unique() < 2:
        return
    again = _pass(mine, 2).select("answer_id", pl.col("judged").alias("again"))
    both = _pass(mine, 1).join(again, on="answer_id").drop_nulls(["judged", "again"])
    first, second = _numbers(both, "judged"), _numbers(both, "again")
    for measure, row in _agreeing(second, first):
        yield row | {"measure": words.of_passes(measure)}
    same = int((first == second).sum())
    found = Estimate(same / both.height if both.height else float("nan"), wilson_interval(same, both.height))
    yield _row(words.of_passes(words.SAME_AGAIN), found, both.height, words.WILSON)


def _differences(mine: pl.DataFrame, base: pl.DataFrame) -> Iterator[Row]:
    """On the same problems, where both replies were read."""
    theirs = _pass(base, 1).select(
        "problem_id", pl.col("judged").alias("base"), pl.col("markers").alias("base_markers")
    )
    both = _pass(mine, 1).join(theirs, on="problem_id").drop_nulls(["judged", "base"])
    yield _mean(words.JUDGED_DIFFERENCE, _numbers(both, "judged") - _numbers(both, "base"))
    yield _mean(words.MARKERS_DIFFERENCE, _numbers(both, "markers") - _numbers(both, "base_markers"))


def _agreeing(one: Array, other: Array) -> Iterator[tuple[str, Row]]:
    limits = bland_altman(one, other)
    found = (spearman(one, other), limits.bias, limits.lower_limit, limits.upper_limit)
    for measure, estimate in zip(words.AGREEMENTS, found, strict=True):
        method = words.BONETT_WRIGHT if measure == words.RANKS_AGREE else words.BLAND_ALTMAN
        yield measure, _row(measure, estimate, len(one), method)


def _mean(measure: str, values: Array) -> Row:
    mean = cluster_mean(*cluster_totals(values, np.arange(len(values))))
    interval = t_interval(mean) if mean.standard_error > 0 else UNKNOWN
    return _row(measure, Estimate(mean.estimate, interval), len(values), words.T)


def _row(measure: str, found: Estimate, n: int, method: str) -> Row:
    def known(value: float) -> float | None:
        return value if np.isfinite(value) else None

    low, high = known(found.interval.low), known(found.interval.high)
    return {
        "measure": measure,
        "estimate": known(found.estimate),
        "low": low,
        "high": high,
        "method": method if low is not None else words.TOO_FEW_JUDGED,
        "n": n,
    }


def _pass(judged: pl.DataFrame, number: int) -> pl.DataFrame:
    return judged.filter(pl.col("pass") == number)


def _numbers(frame: pl.DataFrame, column: str) -> Array:
    return frame[column].to_numpy().astype(float)
