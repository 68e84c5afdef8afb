"""The median of clustered draws with Woodruff's interval: that of the share below it, read back at the quantiles."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from selfdistill.statistics.clusters import Array, cluster_mean, cluster_totals, t_quantile


@dataclass(frozen=True)
class Median:
    estimate: float  # nan where half of the draws are infinite
    low: float
    high: float  # nan where no upper end is known
    clusters: int


def median_interval(draws: Sequence[Array], clusters: Array, level: float = 0.95) -> Median:
    """`draws` has a table of problems by draws for each model: a draw that never ended is infinite. Models weigh alike."""
    values = np.concatenate([table.ravel() for table in draws])
    weights = np.concatenate([np.full(table.size, 1 / (len(draws) * table.size)) for table in draws])
    order = np.argsort(values, kind="stable")
    values, reached = values[order], np.cumsum(weights[order])

    def quantile(share: float) -> float:
        place = int(np.searchsorted(reached, share - 1e-12))
        return float(values[place]) if place < len(values) and math.isfinite(values[place]) else math.nan

    estimate = quantile(0.5)
    last = estimate if math.isfinite(estimate) else float(np.max(values[np.isfinite(values)], initial=0.0))
    below = np.mean([(table <= last).mean(axis=1) for table in draws], axis=0)
    mean = cluster_mean(*cluster_totals(below, clusters))
    half = t_quantile(mean, level) * mean.standard_error
    if mean.clusters < 2 or not math.isfinite(half):
        return Median(estimate, math.nan, math.nan, mean.clusters)
    low = quantile(max(0.5 - half, 0.0))
    return Median(estimate, low, quantile(0.5 + half), mean.clusters)
