"""What a paired difference is and how sure it is: by problem, then over families of problems, with three intervals.

Paired t leads and carries the sign-flip p; two bootstraps over families stand beside it.
"""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import polars as pl

from selfdistill.analysis.pairing import Comparison, paired_cells
from selfdistill.analysis.problem_means import Evaluations, known
from selfdistill.statistics.clusters import Array, cluster_mean, cluster_totals
from selfdistill.statistics.intervals import UNKNOWN, no_pair_differs_interval, t_interval
from selfdistill.statistics.power import minimal_detectable_difference
from selfdistill.statistics.resampling import (
    cluster_bootstrap,
    percentile_interval,
    resample_counts,
    sign_flip_p,
    studentised_interval,
)
from selfdistill.tables import words

SHARES = (words.ACCURACY, words.CUT_RATE, words.LOOP_RATE)


Row = dict[str, Any]


@dataclass(frozen=True)
class Difference:
    """One estimand of a comparison, by problem: a numerator and a weight (1, or the chance that both finished)."""

    estimand: str
    values: Array
    weights: Array
    is_share: bool
    unit: str | None = None
    is_bound: bool = False  # on another difference: it needs no second interval


def differences_of(evaluations: Evaluations, comparison: Comparison) -> list[Difference]:
    mine, other = paired_cells(evaluations, comparison)
    a = {name: mine[name].to_numpy() for name in mine.columns if mine[name].dtype == pl.Float64}
    b = {name: other[name].to_numpy() for name in other.columns if other[name].dtype == pl.Float64}
    ones = np.ones(mine.height)
    found = [Difference(share, a[share] - b[share], ones, True) for share in SHARES]
    tokens = a[words.MEAN_TOKENS] - b[words.MEAN_TOKENS]
    found.append(Difference(words.MEAN_TOKENS, tokens, ones, False))
    # Over all pairs of a draw of one side and a draw of the other, those in which both finished.
    right_a, right_b = a["correct_and_finished"], b["correct_and_finished"]
    finished_a, finished_b = a["finished_rate"], b["finished_rate"]
    both, gain = finished_a * finished_b, right_a * finished_b - finished_a * right_b
    found.append(Difference(words.WHEN_BOTH_FINISHED, gain, both, True, words.FINISHED_BY_BOTH))
    if comparison.side.percent == 100:
        worst = a[words.ACCURACY] - b[words.ACCURACY] - b[words.CUT_RATE]
        best = a[words.ACCURACY] + a[words.CUT_RATE] - b[words.ACCURACY]
        for whom, values in ((comparison.against.arm, worst), (words.THE_ARM, best)):
            found.append(Difference(words.cut_counted_for(whom), values, ones, is_share=True, is_bound=True))
    return found


def estimate_rows(difference: Difference, families: Array, unit: str, resamples: int, seed: int) -> Iterator[Row]:
    """The paired t row with its sign-flip p, then the two bootstraps. The lead of a difference of shares of which no
    pair differs has the bound of `no_pair_differs_interval`, and its bootstraps have none."""
    totals, sizes = cluster_totals(difference.values, families, difference.weights)
    mean = cluster_mean(totals, sizes)
    unit = f"{unit} {difference.unit}" if difference.unit else unit
    nothing_differs = difference.is_share and not np.any(np.abs(totals) > 1e-12)
    interval = no_pair_differs_interval(mean.clusters) if nothing_differs else t_interval(mean)
    shared = {"estimate": known(mean.estimate), "unit": unit, "n": mean.clusters}
    shared["standard_error"] = known(mean.standard_error)
    flips = np.random.default_rng([seed, zlib.crc32(b"sign flips"), len(totals)])
    yield shared | {
        "low": known(interval.low),
        "high": known(interval.high),
        "method": words.LEAD,
        "p_value": sign_flip_p(totals, resamples, flips) if mean.clusters else None,
        "mde80": known(minimal_detectable_difference(mean)),
    }
    if difference.is_bound or mean.clusters == 0:
        return
    bootstrap = cluster_bootstrap(totals, sizes, _counts(len(totals), resamples, seed))
    unknown = nothing_differs or mean.clusters < 2
    for method, interval in (
        (words.STUDENTISED, studentised_interval(mean, bootstrap)),
        (words.PERCENTILE, UNKNOWN if unknown else percentile_interval(bootstrap)),
    ):
        yield shared | {"low": known(interval.low), "high": known(interval.high), "method": method}


@lru_cache(maxsize=4)
def _counts(clusters: int, resamples: int, seed: int) -> Array:
    """The same resamples of the families for every difference over as many of them: drawing them is what costs."""
    return resample_counts(clusters, resamples, np.random.default_rng([seed, zlib.crc32(b"bootstrap"), clusters]))
