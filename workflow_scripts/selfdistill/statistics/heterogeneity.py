"""Do the means of several groups differ? Welch's test, over clusters that may reach into several groups.

For groups that share no cluster the statistic is Welch's (1951). A problem that is counted partly in one group and partly
in another, or a family with problems in several, makes the means of the groups vary together: their covariance is then
estimated over clusters, as that of one mean is.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy import special

from selfdistill.statistics.clusters import Array


@dataclass(frozen=True)
class Heterogeneity:
    groups: int  # that could be compared: of two clusters and more, with a spread
    statistic: float  # F
    degrees_of_freedom: float  # of its denominator; the numerator's are groups − 1
    p_value: float


UNTESTED = Heterogeneity(0, math.nan, math.nan, math.nan)


def groups_differ(totals: Array, sizes: Array) -> Heterogeneity:
    """`totals` and `sizes` have a row for each cluster and a column for each group: a group's mean is a ratio of their sums.

    F = (η − q + 1)/(η q) · (Cθ)ᵀ(C V Cᵀ)⁻¹(Cθ) with q = groups − 1 contrasts: Hotelling's statistic with as many degrees
    of freedom η as the estimate of V is worth (Zhang 2012), which for two groups are Satterthwaite's.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        means = totals.sum(axis=0) / sizes.sum(axis=0)
    residuals = (totals - means * sizes) / np.where(sizes.sum(axis=0) > 0, sizes.sum(axis=0), 1)
    clusters = (sizes > 0).sum(axis=0)
    usable = (clusters >= 2) & (np.sqrt((np.nan_to_num(residuals) ** 2).sum(axis=0)) > 1e-12)
    if usable.sum() < 2:
        return UNTESTED
    means, residuals, clusters, sizes = means[usable], residuals[:, usable], clusters[usable], sizes[:, usable]
    scaled = residuals * np.sqrt(clusters / (clusters - 1))
    covariance = scaled.T @ scaled
    contrasts = np.eye(len(means))[1:] - np.eye(len(means))[0]
    q = len(contrasts)
    spread = contrasts @ covariance @ contrasts.T
    if np.linalg.matrix_rank(spread, hermitian=True) < q:
        return UNTESTED
    difference = contrasts @ means
    distance = float(difference @ np.linalg.solve(spread, difference))
    freedom = _degrees_of_freedom(contrasts, covariance, spread, sizes, clusters)
    if freedom <= q - 1:
        return UNTESTED
    statistic = (freedom - q + 1) / (freedom * q) * distance
    return Heterogeneity(len(means), statistic, freedom - q + 1, float(special.fdtrc(q, freedom - q + 1, statistic)))


def _degrees_of_freedom(contrasts: Array, covariance: Array, spread: Array, sizes: Array, clusters: Array) -> float:
    """η = q(q+1) / Σ Var(D_st) of D = Ω^{−½} C V̂ Cᵀ Ω^{−½}, each cluster adding its share of V̂ by its size in the groups."""
    q = len(contrasts)
    values, vectors = np.linalg.eigh(spread)
    root = vectors @ np.diag(1 / np.sqrt(values)) @ vectors.T @ contrasts
    shares = sizes**2 / (sizes**2).sum(axis=0) * np.sqrt(clusters / (clusters - 1))
    variance = 0.0
    for share in np.sqrt(shares):
        part = root @ (covariance * np.outer(share, share)) @ root.T
        variance += float(np.trace(part) ** 2 + (part**2).sum())
    return q * (q + 1) / variance
