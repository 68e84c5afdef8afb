"""Sums and differences of ratios of sums, as of doubts per 1,000 tokens under two contexts, paired by problem.

Each ratio answers to its numerators and denominators by the delta method, problem by problem, so that what a problem does
to several of them cancels. Where all denominators are equal it is the paired difference of means.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from selfdistill.statistics.clusters import Array, ClusterMean, cluster_mean, cluster_totals


def combined_ratios(terms: Sequence[tuple[float, Array, Array]], clusters: Array) -> ClusterMean:
    """Σ weight · Σ numerators / Σ denominators: each term's weight, and its numerators and denominators by problem, all in the
    same order."""
    found = [(weight, *ratio_influence(numerators, denominators)) for weight, numerators, denominators in terms]
    moved = np.sum([weight * influence for weight, _, influence in found], axis=0)
    spread = cluster_mean(*cluster_totals(moved, clusters))
    return replace(spread, estimate=float(sum(weight * ratio for weight, ratio, _ in found)))


def ratio_influence(numerators: Array, denominators: Array) -> tuple[float, Array]:
    """The ratio of the sums, and how much each problem moves it, times the number of problems."""
    whole = float(denominators.mean())
    ratio = float(numerators.mean()) / whole
    return ratio, (numerators - ratio * denominators) / whole
