"""Does something rise, or fall, along rungs that were put in order before they were measured?

Page's test (1963) for the same problems on every rung. Within each problem the rungs are ranked, and Spearman's correlation
of the ranks with the order is what a problem says: L of Page is their mean, scaled. Its error is taken over families of
problems, not from the permutations of each problem's ranks, so that a trend is not confused with a difference of spread,
and families count once. Ties share their ranks, and a problem whose rungs all tie says nothing: 0.

A trend does not say that every step goes the same way. `strictest` does: the largest of the steps' one-sided p-values, which
is small only where each step is shown by itself (an intersection of hypotheses, so that nothing is adjusted).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from selfdistill.statistics.clusters import Array, ClusterMean, cluster_mean, cluster_totals
from selfdistill.statistics.paired import PairedMeans


@dataclass(frozen=True)
class Trend:
    """The mean over problems of the rank correlation with the order: 1 where every problem climbs, −1 where every one falls."""

    mean: ClusterMean
    rungs: int
    problems: int

    @property
    def paired(self) -> PairedMeans:
        return PairedMeans(self.mean)

    @property
    def page_l(self) -> float:
        """Page's own statistic, Σ_j j·(Σ_i rank_ij)."""
        k = self.rungs
        return self.problems * (self.mean.estimate * k * (k * k - 1) / 12 + k * (k + 1) ** 2 / 4)


def trend(values: Array, clusters: Array) -> Trend:
    """`values` has a row for each problem and a column for each rung, in the order that is asked about."""
    problems, rungs = values.shape
    if rungs < 2:
        raise ValueError("a trend needs two rungs")
    from scipy.stats import rankdata  # which loads for half a second, and few programs rank

    ranks = rankdata(values, axis=1)
    order = np.arange(1, rungs + 1) - (rungs + 1) / 2
    along = (ranks - (rungs + 1) / 2) @ order / (rungs * (rungs**2 - 1) / 12)
    return Trend(cluster_mean(*cluster_totals(along, clusters)), rungs, problems)


def strictest(one_sided: Sequence[float]) -> float:
    """The p of "every step goes this way"; nan where a step could not be tested."""
    return float(np.max(one_sided)) if len(one_sided) else float("nan")
