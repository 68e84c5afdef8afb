"""From values by position to rows with intervals, clustered by family of problems.

Every position counts once. A mean is a ratio of two sums over families, and its error is that of `statistics/clusters.py`.
Of several trainings of one arm the values are averaged first, and the interval speaks of the method: it has the noise
between trainings in it (`statistics/trainings.py`). Of one training it speaks of these checkpoints, and `method` says so.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from selfdistill.mechanism.theory import Array
from selfdistill.statistics.clusters import ClusterMean, cluster_mean
from selfdistill.statistics.intervals import UNKNOWN, Interval, t_interval, wilson_effective_interval
from selfdistill.statistics.trainings import of_the_method, trainings
from selfdistill.tables import words

Row = dict[str, Any]


@dataclass(frozen=True)
class Sums:
    """Per family the sums of values and of weights; of several trainings a row each."""

    values: Array  # [trainings, families]
    weights: Array
    positions: int

    @property
    def families(self) -> int:
        return int((self.weights.sum(0) != 0).sum())

    def __sub__(self, other: "Sums") -> "Sums":
        """A difference of ratios whose weights are the same."""
        return Sums(self.values.mean(0, keepdims=True) - other.values.mean(0), self.weights[:1], self.positions)


class Families:
    """Adds up over families."""

    def __init__(self, names: Array) -> None:
        _, self.codes = np.unique(names, return_inverse=True)
        self.count = int(self.codes.max()) + 1 if len(names) else 0

    def sums(self, values: Array, chosen: Array, weights: Array | None = None) -> Sums:
        """Values [trainings, positions] of the chosen positions (of each training, where that is two-dimensional)."""
        values = np.atleast_2d(values)
        chosen = np.broadcast_to(chosen, values.shape)
        weighing = np.ones_like(values) if weights is None else np.broadcast_to(weights, values.shape)
        return Sums(
            np.stack([self._added(each, mask) for each, mask in zip(values, chosen, strict=True)]),
            np.stack([self._added(each, mask) for each, mask in zip(weighing, chosen, strict=True)]),
            round(float(chosen.sum(-1).mean())),
        )

    def _added(self, values: Array, chosen: Array) -> Array:
        return np.bincount(self.codes[chosen], weights=values[chosen], minlength=self.count).astype(float)


def mean_of(sums: Sums) -> tuple[ClusterMean, str]:
    """The mean with the error of what it speaks of, and what that is."""
    mean = cluster_mean(sums.values.mean(0), sums.weights.mean(0))
    if len(sums.values) > 1:
        there = sums.weights.sum(0) != 0
        values, weights = sums.values[:, there], sums.weights[:, there]
        wider = of_the_method(mean, [(1.0, trainings(list(values), list(weights), np.arange(values.shape[1])))])
        if math.isfinite(wider.standard_error):
            return wider, words.METHOD
    return mean, words.CHECKPOINTS


def interval_row(sums: Sums, least: int, share: bool = False, chosen: str = "") -> Row:
    """Estimate, interval, method, positions and n; `share`: of yes and no."""
    mean, claim = mean_of(sums)
    counted: Row = {"estimate": known(mean.estimate), "positions": sums.positions, "n": mean.clusters}
    reason = too_few(sums, least)
    if reason:
        return {**counted, "low": None, "high": None, "method": reason}
    interval = wilson_effective_interval(mean, sums.positions) if share else t_interval(mean)
    method = f"{words.WILSON_EFFECTIVE if share else words.T}, {claim}"
    return {**counted, **ends(interval), "method": f"{method}; {chosen}" if chosen else method}


def too_few(sums: Sums, least: int) -> str | None:
    if sums.positions < least:
        return words.too_few_positions(sums.positions, least)
    return words.TOO_FEW_PROBLEMS if sums.families < 2 else None


def ends(interval: Interval) -> Row:
    return {"low": known(interval.low), "high": known(interval.high)}


def known(value: float) -> float | None:
    return value if math.isfinite(value) else None


def difference_of_means(one: Sums, other: Sums) -> tuple[float, Interval]:
    """Of two means over different positions of overlapping families: each family's pull on both."""
    means = [float(each.values.sum() / each.weights.sum()) for each in (one, other)]
    pulls = [
        (each.values.mean(0) - mean * each.weights.mean(0)) / each.weights.mean(0).sum()
        for each, mean in zip((one, other), means, strict=True)
    ]
    pull = pulls[0] - pulls[1]
    there = (one.weights.sum(0) + other.weights.sum(0)) > 0
    families = int(there.sum())
    estimate = means[0] - means[1]
    if families < 2:
        return estimate, UNKNOWN
    variance = float((pull**2).sum()) * families / (families - 1)
    return estimate, t_interval(ClusterMean.of(estimate, math.sqrt(variance), families))
