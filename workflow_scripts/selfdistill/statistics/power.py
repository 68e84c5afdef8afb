"""Power: what a design finds, and how large a design would have to be."""

import math

from scipy import stats

from selfdistill.statistics.clusters import ClusterMean


def minimal_detectable_difference(mean: ClusterMean, alpha: float = 0.05, power: float = 0.8) -> float:
    """The true difference that this many clusters, spread as these are, find with the given power (MDE80)."""
    if mean.clusters < 2 or mean.standard_error == 0:
        return math.nan
    return _reach(mean.degrees_of_freedom, alpha, power) * mean.standard_error


def clusters_needed(effect: float, mean: ClusterMean, alpha: float = 0.05, power: float = 0.8) -> int | None:
    """Clusters that would find this difference with the given power; None where no number would."""
    if mean.clusters < 2 or mean.standard_error == 0 or abs(effect) < 1e-12:
        return None
    deviation = mean.standard_error * math.sqrt(mean.clusters)
    needed, degrees_of_freedom = 2, 10**6
    for _ in range(20):  # the quantiles hang on the answer: start from the normal ones, which settles in a few rounds
        needed = max(2, math.ceil((_reach(degrees_of_freedom, alpha, power) * deviation / abs(effect)) ** 2))
        if degrees_of_freedom == needed - 1:
            break
        degrees_of_freedom = needed - 1
    return needed


def _reach(degrees_of_freedom: int, alpha: float, power: float) -> float:
    """Standard errors between nothing and a difference found with this power: t(1−α/2) + t(power)."""
    return float(stats.t.ppf(1 - alpha / 2, degrees_of_freedom) + stats.t.ppf(power, degrees_of_freedom))
