"""The unit of every statistic: families of problems, and the ratio of two sums over them.

The unit is never the sample. Draws are averaged within their problem, problems are added up within their family
(`cluster_totals`), and families are what is resampled and counted for degrees of freedom. A mean over problems is then a
ratio of two sums over families, and so is a share "of those that finished": one estimator, `cluster_mean`, serves both.

Its error is cluster-robust with the small-sample correction of Bell and McCaffrey (CR2) and Satterthwaite's degrees of
freedom (Pustejovsky and Tipton 2018). Where every family holds one problem all of it reduces to the textbook formulas. A
family that holds more than `LARGE` of everything, and far more than its like, moves the estimate as much as its own residual, so that no robust error
can be had from it: then the error is that of families whose members are alike to the degree that the data show.
"""

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

Array = NDArray[Any]

Randomness = np.random.Generator | int

LARGE = 0.1


@dataclass(frozen=True)
class ClusterMean:
    """A ratio of two sums over clusters, with its standard error (nan for one cluster)."""

    estimate: float
    standard_error: float
    clusters: int
    degrees_of_freedom: float

    @classmethod
    def of(cls, estimate: float, standard_error: float, clusters: int) -> "ClusterMean":
        """With as many degrees of freedom as clusters of equal size have."""
        return cls(estimate, standard_error, clusters, clusters - 1)


class Totals(NamedTuple):
    """Per cluster: the sums of values and weights, how many problems, and the sums of products of these two."""

    totals: Array
    sizes: Array
    counts: Array
    values_squared: Array
    values_by_weights: Array
    weights_squared: Array


def cluster_totals(values: ArrayLike, clusters: ArrayLike, weights: ArrayLike | None = None) -> Totals:
    """Per cluster the sum of the values and of the weights (how many problems, unless weights are given)."""
    numerators = np.asarray(values, dtype=float)
    denominators = np.ones_like(numerators) if weights is None else np.asarray(weights, dtype=float)
    _, codes = np.unique(np.asarray(clusters), return_inverse=True)

    def summed(each: Array | None) -> Array:
        return np.bincount(codes, weights=each).astype(float)

    return Totals(
        *map(summed, (numerators, denominators, None)),
        *map(summed, (numerators**2, numerators * denominators, denominators**2)),
    )


def cluster_mean(
    totals: Array,
    sizes: Array,
    counts: Array | None = None,
    values_squared: Array | None = None,
    values_by_weights: Array | None = None,
    weights_squared: Array | None = None,
) -> ClusterMean:
    """Σ totals / Σ sizes over the clusters that have a size; without what follows the sizes each cluster is one unit."""
    there = sizes > 0
    clusters, weight = int(there.sum()), float(sizes.sum())
    if clusters == 0:
        return ClusterMean(math.nan, math.nan, 0, math.nan)
    estimate = float(totals.sum()) / weight
    if clusters == 1:
        return ClusterMean(estimate, math.nan, 1, math.nan)
    residuals = (totals - estimate * sizes)[there]
    shares = sizes[there] / weight
    alike, squares = 0.0, 0.0
    if counts is not None and counts[there].max() > 1:
        assert values_squared is not None and values_by_weights is not None and weights_squared is not None
        each = (values_squared - 2 * estimate * values_by_weights + estimate**2 * weights_squared)[there]
        alike, squares = _likeness(residuals, each, counts[there])
    if _is_rounding(residuals, totals):
        return ClusterMean(estimate, 0.0, clusters, clusters - 1)
    spread = _spread(shares, counts[there] if counts is not None else np.ones(clusters), alike)
    if shares.max() > max(LARGE, 2 / clusters) and counts is not None and counts[there].max() > 1:
        variance = squares * float(spread.sum())
        return ClusterMean(estimate, math.sqrt(variance), clusters, clusters - 1)
    variance = float((residuals / weight) ** 2 @ (1 / (1 - shares)))
    return ClusterMean(estimate, math.sqrt(variance), clusters, _satterthwaite(shares, spread))


def _likeness(residuals: Array, squares: Array, counts: Array) -> tuple[float, float]:
    """How alike members of one family are (their intraclass correlation, no less than 0), and the mean square of a member.

    Families count equally in the mean square, so that one giant does not decide; what varies within families is what
    their members do not share. Where that says next to nothing, as of few members, what the largest family is off by counts.
    """
    mean_square = float((squares / counts).mean())
    if mean_square <= 0:
        return 0.0, 0.0
    inside = max(1.0, float((counts - 1).sum()))
    within = float((squares - residuals**2 / counts).sum()) / inside
    alike = max(0.0, 1 - within / mean_square)
    if alike > 2 * (1 - alike) * math.sqrt(2 / inside + 2 / len(counts)):
        return alike, mean_square
    largest = int(counts.argmax())
    own, left = float(counts[largest]), 1 - float(counts[largest]) / float(counts.sum())
    off = (float(residuals[largest]) ** 2 / mean_square - own * left) / (own * left) ** 2
    return min(1.0, max(alike, off)), mean_square


def _spread(shares: Array, counts: Array, alike: float) -> Array:
    """The variance that each cluster's share of the mean has, in units of one member's variance."""
    return shares**2 * (alike + (1 - alike) / counts)


def _satterthwaite(shares: Array, spread: Array) -> float:
    """Degrees of freedom of CR2 for a mean, under the working model of `_spread`: (tr M)² / tr M².

    M holds the covariances of the clusters' residuals, each divided by what CR2 divides its square by:
    cov(g, h) = spread_g δ_gh − share_g spread_h − spread_g share_h + share_g share_h Σ spread.
    """
    whole = float(spread.sum())
    leverage = 1 - shares
    diagonal = (spread * (1 - 2 * shares) + shares**2 * whole) / leverage
    # Σ over all pairs of (share_g share_h whole − share_g spread_h − spread_g share_h)² / (leverage_g leverage_h) …
    a, b = shares**2 / leverage, spread**2 / leverage
    ab = shares * spread / leverage
    pairs = whole**2 * a.sum() ** 2 + 2 * a.sum() * b.sum() + 2 * ab.sum() ** 2 - 4 * whole * a.sum() * ab.sum()
    # … of which those of a cluster with itself are replaced by the diagonal.
    own = ((shares**2 * whole - 2 * shares * spread) / leverage) ** 2
    squares = float(pairs - own.sum() + (diagonal**2).sum())
    return float(diagonal.sum()) ** 2 / squares if squares > 0 else float(len(shares) - 1)


def _is_rounding(residuals: Array, totals: Array) -> bool:
    """Not spread, only the last bits."""
    return float(residuals @ residuals) <= 1e-24 * max(1.0, float(totals @ totals))


def t_quantile(mean: ClusterMean, level: float) -> float:
    return t_reached((1 + level) / 2, mean.degrees_of_freedom)


def t_reached(share: float, degrees_of_freedom: float) -> float:
    """What a t with so many degrees of freedom stays below with this chance. (scipy.stats checks its arguments for longer
    than it reckons.)"""
    return float(special.stdtrit(degrees_of_freedom, share))


def t_share_below(value: float, degrees_of_freedom: float) -> float:
    """The chance that a t with so many degrees of freedom stays below the value."""
    return float(special.stdtr(degrees_of_freedom, value))
