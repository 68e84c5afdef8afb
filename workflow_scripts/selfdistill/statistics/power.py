"""Power: what a design finds whose error is known before anything was measured."""

import math

from selfdistill.statistics.clusters import ClusterMean, t_reached


def minimal_detectable_difference(mean: ClusterMean, alpha: float = 0.05, power: float = 0.8) -> float:
    """The true difference that a t test with this error finds with the given power (MDE80)."""
    if not mean.degrees_of_freedom > 0 or mean.standard_error == 0:
        return math.nan
    return reach(mean.degrees_of_freedom, alpha, power) * mean.standard_error


def reach(degrees_of_freedom: float, alpha: float, power: float) -> float:
    """Standard errors between nothing and a difference found with this power: t(1−α/2) + t(power)."""
    return t_reached(1 - alpha / 2, degrees_of_freedom) + t_reached(power, degrees_of_freedom)
