"""The statistics of the study as small pure functions on numpy arrays: no tables, no files.

The unit is never the sample. Draws are averaged within their problem, problems are added up within their family
(`cluster_totals`), and families are what is resampled, flipped and counted for degrees of freedom. A mean over
problems is then a ratio of two sums over families, and so is a share "of those that finished": one estimator,
`cluster_mean`, serves both. Where every family holds one problem all of it reduces to the textbook formulas.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats
from statsmodels.stats.multitest import multipletests

Array = NDArray[Any]
Randomness = np.random.Generator | int

EXACT_FLIPS = 12  # up to 2^12 sign patterns are enumerated


@dataclass(frozen=True)
class Interval:
    low: float
    high: float


UNKNOWN = Interval(math.nan, math.nan)


@dataclass(frozen=True)
class ClusterMean:
    """A ratio of two sums over clusters, with its cluster-robust standard error (nan for one cluster)."""

    estimate: float
    standard_error: float
    clusters: int

    @property
    def degrees_of_freedom(self) -> int:
        return self.clusters - 1


@dataclass(frozen=True)
class Bootstrap:
    """What each resample of the clusters gave."""

    estimates: Array
    standard_errors: Array


# ---- levels ----------------------------------------------------------------------------------------------------


def wilson_interval(successes: float, n: float, level: float = 0.95) -> Interval:
    """Wilson's score interval for a share of n independent yes-or-no outcomes."""
    return _wilson(successes / n, n, float(stats.norm.ppf((1 + level) / 2))) if n > 0 else UNKNOWN


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
    return _wilson(p, n, _t_quantile(mean, level))


def _wilson(p: float, n: float, z: float) -> Interval:
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return Interval(max(0.0, centre - half), min(1.0, centre + half))


def pass_at_k(draws: ArrayLike, correct: ArrayLike, k: int) -> Array:
    """Chance that at least one of k draws is right, unbiased: 1 − C(n−c, k)/C(n, k) (Chen et al. 2021), per problem."""
    n, c = np.broadcast_arrays(np.asarray(draws, dtype=int), np.asarray(correct, dtype=int))
    if k < 1 or (n < k).any():
        raise ValueError(f"pass@{k} needs at least {max(k, 1)} draws of every problem")
    misses = np.ones(n.shape)
    for i in range(k):  # the ratio of binomials, factor by factor: nothing overflows
        misses *= np.clip(n - c - i, 0, None) / (n - i)
    return 1 - misses


# ---- means over clusters ---------------------------------------------------------------------------------------


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


def t_interval(mean: ClusterMean, level: float = 0.95) -> Interval:
    if mean.clusters < 2:
        return UNKNOWN
    half = _t_quantile(mean, level) * mean.standard_error
    return Interval(mean.estimate - half, mean.estimate + half)


def no_pair_differs_interval(clusters: int, level: float = 0.95) -> Interval:
    """For a difference of shares when no pair differs: t would say ±0.

    A true difference of d makes a pair differ with a chance of at least |d|, so that G equal pairs have a chance of
    at most (1−|d|)^G. ("Rule of three": about ±3/G.)
    """
    bound = 1 - (1 - level) ** (1 / clusters) if clusters else math.nan
    return Interval(-bound, bound)


def t_test_p(mean: ClusterMean, null: float = 0.0) -> float:
    """Two-sided p of the t test over clusters."""
    if mean.clusters < 2:
        return math.nan
    if mean.standard_error == 0:
        return 1.0 if mean.estimate == null else 0.0
    statistic = abs(mean.estimate - null) / mean.standard_error
    return float(2 * stats.t.sf(statistic, mean.degrees_of_freedom))


def equivalence_p(mean: ClusterMean, margin: float) -> float:
    """TOST: the larger p of the two one-sided t tests that the mean lies within ±margin (a difference of shares)."""
    if mean.clusters < 2:
        return math.nan
    if mean.standard_error == 0:  # no spread to test with: see no_pair_differs_interval
        return (1 - margin) ** mean.clusters if mean.estimate == 0 else 1.0
    nearest = (margin - abs(mean.estimate)) / mean.standard_error
    return float(stats.t.sf(nearest, mean.degrees_of_freedom))


def _t_quantile(mean: ClusterMean, level: float) -> float:
    return float(stats.t.ppf((1 + level) / 2, mean.degrees_of_freedom))


# ---- resampling ------------------------------------------------------------------------------------------------


def resample_counts(clusters: int, resamples: int, randomness: Randomness) -> Array:
    """How often each cluster occurs in each resample with replacement: a row per resample."""
    generator = np.random.default_rng(randomness)
    picks = generator.integers(0, clusters, size=(resamples, clusters))
    picks += np.arange(resamples)[:, None] * clusters
    return np.bincount(picks.ravel(), minlength=resamples * clusters).reshape(resamples, clusters).astype(float)


def cluster_bootstrap(totals: Array, sizes: Array, counts: Array) -> Bootstrap:
    """Estimate and standard error of `cluster_mean` in every resample, by matrix products with the counts."""
    clusters = int((sizes > 0).sum())
    weight = counts @ sizes
    with np.errstate(invalid="ignore", divide="ignore"):
        estimates = (counts @ totals) / weight
        squares = counts @ totals**2 - 2 * estimates * (counts @ (totals * sizes)) + estimates**2 * (counts @ sizes**2)
        squares = np.where(squares > 1e-12 * (counts @ totals**2), squares, 0.0)  # rounding, not spread
        errors = np.sqrt(clusters / max(clusters - 1, 1) * squares) / weight
    return Bootstrap(estimates, errors)


def percentile_interval(bootstrap: Bootstrap, level: float = 0.95) -> Interval:
    """The plain bootstrap interval: too narrow below some fifty clusters, so it never leads."""
    estimates = bootstrap.estimates[np.isfinite(bootstrap.estimates)]
    if len(estimates) == 0:
        return UNKNOWN
    low, high = np.quantile(estimates, _tails(level))
    return Interval(float(low), float(high))


def studentised_interval(mean: ClusterMean, bootstrap: Bootstrap, level: float = 0.95) -> Interval:
    """The bootstrap-t interval. Unknown where too many resamples have no spread for their quantile to be finite."""
    if mean.clusters < 2 or mean.standard_error == 0:
        return UNKNOWN
    known = np.isfinite(bootstrap.estimates)
    shift, errors = bootstrap.estimates[known] - mean.estimate, bootstrap.standard_errors[known]
    studentised = np.where(np.abs(shift) > 1e-12, np.copysign(np.inf, shift), 0.0)
    np.divide(shift, errors, out=studentised, where=errors > 0)
    below, above = np.quantile(studentised, _tails(level), method="inverted_cdf")
    if not (np.isfinite(below) and np.isfinite(above)):
        return UNKNOWN
    return Interval(
        float(mean.estimate - above * mean.standard_error), float(mean.estimate - below * mean.standard_error)
    )


def _tails(level: float) -> tuple[float, float]:
    below = round((1 - level) / 2, 12)  # (1 − 0.95)/2 is a hair over 0.025, which would take the next resample
    return below, 1 - below


def sign_flip_p(totals: Array, flips: int, randomness: Randomness) -> float:
    """Two-sided p of the test that flips each cluster's difference: all 2^G patterns up to G = 12, else (b+1)/(m+1).

    Clusters without a difference change nothing and are left out. With one draw of single problems the exact form
    is McNemar's exact test.
    """
    differing = totals[np.abs(totals) > 1e-12]
    if len(differing) == 0:
        return 1.0
    reached = abs(float(differing.sum())) - 1e-9 * float(np.abs(differing).sum())
    if len(differing) <= EXACT_FLIPS:
        signs = np.array(list(product((-1.0, 1.0), repeat=len(differing))))
        return float((np.abs(signs @ differing) >= reached).mean())
    generator = np.random.default_rng(randomness)
    signs = generator.integers(0, 2, size=(flips, len(differing)), dtype=np.int8) * 2.0 - 1.0
    return (int((np.abs(signs @ differing) >= reached).sum()) + 1) / (flips + 1)


# ---- planning and many hypotheses ------------------------------------------------------------------------------


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


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's adjusted p-values: the chance of one false claim in the family stays below the level."""
    return _adjust(p_values, "holm")


def benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values for a grid: the expected share of false claims among the claims stays below the level."""
    return _adjust(p_values, "fdr_bh")


def _adjust(p_values: Sequence[float], method: str) -> list[float]:
    known = [i for i, p in enumerate(p_values) if not math.isnan(p)]
    adjusted = [math.nan] * len(p_values)
    if known:
        for i, p in zip(known, multipletests([p_values[i] for i in known], method=method)[1], strict=True):
            adjusted[i] = float(p)
    return adjusted
