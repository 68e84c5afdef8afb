"""Tests: is a mean different from a null value?"""

import math

from scipy import stats

from selfdistill.statistics.clusters import ClusterMean


def t_test_p(mean: ClusterMean, null: float = 0.0) -> float:
    """Two-sided p of the t test over clusters."""
    if mean.clusters < 2:
        return math.nan
    if mean.standard_error == 0:
        return 1.0 if mean.estimate == null else 0.0
    statistic = abs(mean.estimate - null) / mean.standard_error
    return float(2 * stats.t.sf(statistic, mean.degrees_of_freedom))
