"""Equivalence: does a mean lie within a margin? (TOST)"""

import math

from scipy import stats

from selfdistill.statistics.clusters import ClusterMean


def equivalence_p(mean: ClusterMean, margin: float) -> float:
    """TOST: the larger p of the two one-sided t tests that the mean lies within ±margin (a difference of shares)."""
    if mean.clusters < 2:
        return math.nan
    if mean.standard_error == 0:  # no spread to test with: see no_pair_differs_interval
        return (1 - margin) ** mean.clusters if mean.estimate == 0 else 1.0
    nearest = (margin - abs(mean.estimate)) / mean.standard_error
    return float(stats.t.sf(nearest, mean.degrees_of_freedom))
