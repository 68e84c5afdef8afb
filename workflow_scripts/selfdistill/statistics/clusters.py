"""The unit of every statistic: families of problems, and the ratio of two sums over them.

The unit is never the sample. Draws are averaged within their problem, problems are added up within their family
(`cluster_totals`), and families are what is resampled, flipped and counted for degrees of freedom. A mean over
problems is then a ratio of two sums over families, and so is a share "of those that finished": one estimator,
`cluster_mean`, serves both. Where every family holds one problem all of it reduces to the textbook formulas.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

Array = NDArray[Any]

Randomness = np.random.Generator | int


@dataclass(frozen=True)
class ClusterMean:
    """A ratio of two sums over clusters, with its cluster-robust standard error (nan for one cluster)."""

    estimate: float
    standard_error: float
    clusters: int

    @property
    def degrees_of_freedom(self) -> int:
        return self.clusters - 1


def cluster_totals(values: ArrayLike, clusters: ArrayLike, weights: ArrayLike | None = None) -> tuple[Array, Array]:
    """Per cluster the sum of the values and of the weights (how many problems, unless weights are given)."""
    numerators = np.asarray(values, dtype=float)
    denominators = np.ones_like(numerators) if weights is None else np.asarray(weights, dtype=float)
    _, codes = np.unique(np.asarray(clusters), return_inverse=True)
    return np.bincount(codes, weights=numerators), np.bincount(codes, weights=denominators)


def cluster_mean(totals: Array, sizes: Array) -> ClusterMean:
    """Σ totals / Σ sizes; SE² = G/(G−1) · Σ (total − mean·size)² / (Σ sizes)², over the G clusters that have a size."""
    clusters, weight = int((sizes > 0).sum()), float(sizes.sum())
    if clusters == 0:
        return ClusterMean(math.nan, math.nan, 0)
    estimate = float(totals.sum()) / weight
    if clusters == 1:
        return ClusterMean(estimate, math.nan, 1)
    residuals = totals - estimate * sizes
    squares = float(residuals @ residuals)
    if squares <= 1e-24 * max(1.0, float(totals @ totals)):  # rounding, not spread
        squares = 0.0
    return ClusterMean(estimate, math.sqrt(clusters / (clusters - 1) * squares) / weight, clusters)


def _t_quantile(mean: ClusterMean, level: float) -> float:
    return float(stats.t.ppf((1 + level) / 2, mean.degrees_of_freedom))
