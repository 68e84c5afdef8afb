"""A paired difference of two ratios of sums, as of doubts per 1,000 tokens under two contexts.

Each ratio answers to its numerators and denominators by the delta method, problem by problem, so that what a problem does
to both sides cancels. Where all denominators are equal it is the paired difference of means.
"""

from dataclasses import replace

import numpy as np

from selfdistill.statistics.clusters import Array, ClusterMean, cluster_mean, cluster_totals


def ratio_influence(numerators: Array, denominators: Array) -> tuple[float, Array]:
    """The ratio of the sums, and how much each problem moves it, times the number of problems."""
    whole = float(denominators.mean())
    ratio = float(numerators.mean()) / whole
    return ratio, (numerators - ratio * denominators) / whole


def ratio_difference(side: tuple[Array, Array], other: tuple[Array, Array], clusters: Array) -> ClusterMean:
    """Numerators and denominators of two sides, by problem in the same order: the ratio of the one less that of the other."""
    mine, moved_by_mine = ratio_influence(*side)
    theirs, moved_by_theirs = ratio_influence(*other)
    spread = cluster_mean(*cluster_totals(moved_by_mine - moved_by_theirs, clusters))
    return replace(spread, estimate=mine - theirs) if np.isfinite(spread.estimate) else spread
