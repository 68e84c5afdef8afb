"""Resampling of families: how often a choice would have fallen otherwise, and bands that hold for a whole curve at once."""

from collections.abc import Sequence

import numpy as np

from selfdistill.statistics.clusters import Array, Randomness, Totals, cluster_mean, t_reached
from selfdistill.statistics.intervals import UNKNOWN, Interval
from selfdistill.statistics.normal import normal_above


def resample_counts(clusters: int, resamples: int, randomness: Randomness) -> Array:
    """How often each cluster occurs in each resample with replacement: a row per resample."""
    generator = np.random.default_rng(randomness)
    picks = generator.integers(0, clusters, size=(resamples, clusters))
    picks += np.arange(resamples)[:, None] * clusters
    return np.bincount(picks.ravel(), minlength=resamples * clusters).reshape(resamples, clusters).astype(float)


def simultaneous_band(
    points: Sequence[Totals], resamples: int, randomness: Randomness, level: float = 0.95
) -> list[Interval]:
    """An interval at each point of a curve (the same clusters at each), which all hold at once with the level's chance.

    The largest |t| over the points is what its law is asked for: every cluster's influence is multiplied by a random
    normal, the same at each point, so that points that move together need little more than one interval would.
    """
    means = [cluster_mean(*point) for point in points]
    moving = [place for place, mean in enumerate(means) if mean.standard_error > 0]
    bands = [UNKNOWN] * len(points)
    if not moving:
        return bands
    influences = np.stack(
        [
            (points[place].totals - means[place].estimate * points[place].sizes) / points[place].sizes.sum()
            for place in moving
        ]
    )
    influences /= np.linalg.norm(influences, axis=1, keepdims=True)
    influences = np.asarray(
        np.linalg.qr(influences.T, mode="r")
    ).T  # the same law, from no more normals than there are points
    normal = np.random.default_rng(randomness).standard_normal((influences.shape[1], resamples))
    largest = np.abs(influences @ normal).max(axis=0)
    reached = float(np.quantile(largest, level))
    for place in moving:
        mean = means[place]
        # What a normal would reach, said in the t of this point's degrees of freedom.
        factor = -t_reached(normal_above(reached), mean.degrees_of_freedom)
        half = factor * mean.standard_error
        bands[place] = Interval(mean.estimate - half, mean.estimate + half)
    return bands
