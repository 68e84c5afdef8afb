"""Power: what a design finds, and how large a design would have to be."""

import math

from scipy import stats
from scipy.optimize import brentq

from selfdistill.statistics.clusters import ClusterMean


def minimal_detectable_difference(mean: ClusterMean, alpha: float = 0.05, power: float = 0.8) -> float:
    """The true difference that this many clusters, spread as these are, find with the given power (MDE80)."""
    if mean.clusters < 2 or mean.standard_error == 0:
        return math.nan
    return _reach(mean.degrees_of_freedom, alpha, power) * mean.standard_error


def clusters_needed(effect: float, mean: ClusterMean, alpha: float = 0.05, power: float = 0.8) -> int | None:
    """The fewest clusters that would find this difference with the given power; None where no number would.

    By the same approximation as the detectable difference, so that the two agree. (The exact power of a t test, which
    statsmodels solves for, asks for one or two clusters fewer.)
    """
    if mean.clusters < 2 or mean.standard_error == 0 or abs(effect) < 1e-12:
        return None
    deviation = mean.standard_error * math.sqrt(mean.clusters)

    def lacking(clusters: float) -> float:
        """How many more would be needed if the quantiles were those of so many: the answer is where none is lacking."""
        return (_reach(float(clusters) - 1, alpha, power) * deviation / abs(effect)) ** 2 - clusters

    fewest = enough = 2
    while lacking(enough) > 0:
        enough *= 2
    if enough > fewest:
        fewest = math.floor(brentq(lacking, enough / 2, enough))
    return fewest if lacking(fewest) <= 0 else fewest + 1


def _reach(degrees_of_freedom: float, alpha: float, power: float) -> float:
    """Standard errors between nothing and a difference found with this power: t(1−α/2) + t(power)."""
    return float(stats.t.ppf(1 - alpha / 2, degrees_of_freedom) + stats.t.ppf(power, degrees_of_freedom))
