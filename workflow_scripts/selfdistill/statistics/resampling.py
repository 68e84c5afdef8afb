"""Resampling: bootstraps over families, and the test that flips the sign of their differences."""

from dataclasses import dataclass
from itertools import product

import numpy as np

from selfdistill.statistics.clusters import Array, ClusterMean, Randomness
from selfdistill.statistics.intervals import UNKNOWN, Interval

EXACT_FLIPS = 12  # up to 2^12 sign patterns are enumerated


@dataclass(frozen=True)
class Bootstrap:
    """What each resample of the clusters gave."""

    estimates: Array
    standard_errors: Array


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
