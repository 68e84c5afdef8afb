"""How far two measurements of the same things agree: in their order, and in what they say.

Spearman's ρ tells whether they rank alike, however far apart they lie. Bland and Altman's limits tell how far apart they
lie: the mean difference, and the range that 95 % of differences are expected in. Each with its interval; the units must be
independent, so one measurement of each family of problems.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from selfdistill.statistics.clusters import ClusterMean
from selfdistill.statistics.intervals import UNKNOWN, Interval, t_interval
from selfdistill.statistics.normal import normal_reached

LEAST = 4  # units of a correlation's interval


@dataclass(frozen=True)
class Estimate:
    estimate: float
    interval: Interval


@dataclass(frozen=True)
class Agreement:
    """Of a measurement less another."""

    bias: Estimate
    lower_limit: Estimate
    upper_limit: Estimate


def spearman(one: ArrayLike, other: ArrayLike, level: float = 0.95) -> Estimate:
    """ρ of the ranks, ties sharing theirs. Its interval is Fisher's z with the variance of Bonett and Wright (2000),
    (1 + ρ²/2) / (n − 3). Where one side never varies there is no order to agree with."""
    from scipy.stats import rankdata  # which loads for half a second, and few programs rank

    first, second = np.asarray(one, dtype=float), np.asarray(other, dtype=float)
    if len(first) < 2 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return Estimate(math.nan, UNKNOWN)
    rho = float(np.corrcoef(rankdata(first), rankdata(second))[0, 1])
    if len(first) < LEAST or abs(rho) > 1 - 1e-12:
        return Estimate(rho, UNKNOWN)
    half = normal_reached((1 + level) / 2) * math.sqrt((1 + rho**2 / 2) / (len(first) - 3))
    return Estimate(rho, Interval(math.tanh(math.atanh(rho) - half), math.tanh(math.atanh(rho) + half)))


def bland_altman(one: ArrayLike, other: ArrayLike, level: float = 0.95) -> Agreement:
    """Of `one` less `other` (Bland and Altman 1986): mean ± z·s, with t intervals of their standard errors, s/√n of the bias
    and s·√(1/n + z²/2(n − 1)) of a limit."""
    differences = np.asarray(one, dtype=float) - np.asarray(other, dtype=float)
    n = len(differences)
    if n < 2:
        bias = float(differences.mean()) if n else math.nan
        return Agreement(Estimate(bias, UNKNOWN), *[Estimate(math.nan, UNKNOWN)] * 2)
    bias, spread = float(differences.mean()), float(differences.std(ddof=1))
    z = normal_reached(0.975)
    of_limit = spread * math.sqrt(1 / n + z**2 / (2 * (n - 1)))

    def estimate(value: float, error: float) -> Estimate:
        # Differences that are all the same prove nothing of others.
        return Estimate(value, t_interval(ClusterMean.of(value, error, n), level) if spread > 0 else UNKNOWN)

    return Agreement(
        estimate(bias, spread / math.sqrt(n)),
        estimate(bias - z * spread, of_limit),
        estimate(bias + z * spread, of_limit),
    )
