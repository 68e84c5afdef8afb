"""Intervals from a formula: Wilson's for shares, t for means."""

import math
from dataclasses import dataclass

from selfdistill.statistics.clusters import ClusterMean, t_quantile
from selfdistill.statistics.normal import normal_reached


@dataclass(frozen=True)
class Interval:
    low: float
    high: float


UNKNOWN = Interval(math.nan, math.nan)


def wilson_interval(successes: float, n: float, level: float = 0.95) -> Interval:
    """Wilson's score interval for a share of n independent yes-or-no outcomes."""
    return _wilson(successes / n, n, normal_reached((1 + level) / 2)) if n > 0 else UNKNOWN


def wilson_effective_interval(mean: ClusterMean, observations: float, level: float = 0.95) -> Interval:
    """Wilson's interval at the n that would have given this standard error, with a t quantile.

    For shares averaged over several draws or clusters. n_eff = p(1−p)/SE² lies between the clusters and all the
    observations; where p is 0 or 1, or all clusters agree, the standard error says nothing and the clusters count.
    """
    if mean.clusters < 2:
        return UNKNOWN
    p = min(max(mean.estimate, 0.0), 1.0)
    spread = p * (1 - p)
    informative = spread > 1e-12 and mean.standard_error > 1e-12
    n = min(spread / mean.standard_error**2, observations) if informative else float(mean.clusters)
    return _wilson(p, n, t_quantile(mean, level))


def _wilson(p: float, n: float, z: float) -> Interval:
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return Interval(max(0.0, centre - half), min(1.0, centre + half))


def t_interval(mean: ClusterMean, level: float = 0.95) -> Interval:
    if mean.clusters < 2:
        return UNKNOWN
    half = t_quantile(mean, level) * mean.standard_error
    return Interval(mean.estimate - half, mean.estimate + half)


def difference_of_intervals(
    estimate: float, own: Interval, other_estimate: float, other: Interval, correlation: float = 0.0
) -> Interval:
    """The interval of a difference from the intervals of its sides (Newcombe 1998, method 10): as far from the difference as
    the ends of theirs are from them, in squares, less what the sides have in common."""

    def reach(mine: float, theirs: float) -> float:
        square = mine**2 + theirs**2 - 2 * correlation * mine * theirs
        return math.sqrt(square) if square > 0 else square * 0  # of the unknown, unknown

    difference = estimate - other_estimate
    below = reach(estimate - own.low, other.high - other_estimate)
    above = reach(own.high - estimate, other_estimate - other.low)
    return Interval(difference - below, difference + above)
