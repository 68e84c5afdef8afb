"""From these checkpoints to the method: the noise of training anew, which no number of problems averages away.

Two claims are never mixed. *These checkpoints*: problems and draws vary, the weights do not. *The method*: another training
would give other weights, too. The effects of k trainings differ by that noise, τ², and by what problems and draws do to
each of them; the problems and the base's draws are common to all k and do not show in their differences. So

    τ²  =  variance of the k effects  −  what problems and draws alone make them differ
    SE² =  SE² of the mean effect over problems  +  τ²/k                                      (of each side that was trained)
        =  what is common to all trainings  +  variance of the k effects / k

and no less than the first part: trainings that happen to agree do not make the method surer than its checkpoints are.
Satterthwaite's degrees of freedom are those of the second sum, whose parts are known by families of problems and by k − 1.
Of one training τ² is unknown, and so is everything about the method.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from selfdistill.statistics.clusters import Array, ClusterMean, cluster_totals


@dataclass(frozen=True)
class Trainings:
    """The effects of several trainings of one side against the same other side."""

    effects: Array
    noise: float  # the variance that problems and draws alone give to each effect beside what is common to all

    @property
    def count(self) -> int:
        return len(self.effects)

    @property
    def variance(self) -> float:
        return float(self.effects.var(ddof=1)) if self.count > 1 else math.nan

    @property
    def excess(self) -> float:
        """τ², the variance between trainings."""
        return max(0.0, self.variance - self.noise)


def trainings(values: Sequence[Array], weights: Sequence[Array], families: Array) -> Trainings:
    """From each training's differences by problem; the same problems in all."""
    effects, influences = [], []
    for each, weight in zip(values, weights, strict=True):
        whole = weight.sum()
        effect = float(each.sum() / whole) if whole else math.nan
        effects.append(effect)
        influences.append(cluster_totals((each - effect * weight) / whole, families).totals if whole else math.nan)
    known = np.isfinite(effects)
    if known.sum() < 2:
        return Trainings(np.array(effects)[known], math.nan)
    moved = np.stack([influence for influence, is_known in zip(influences, known, strict=True) if is_known])
    clusters = moved.shape[1]
    covariances = moved @ moved.T * clusters / max(1, clusters - 1)
    count = len(moved)
    common = (covariances.sum() - np.trace(covariances)) / (count * (count - 1))
    return Trainings(np.array(effects)[known], max(0.0, float(np.trace(covariances)) / count - float(common)))


def of_the_method(mean: ClusterMean, sides: Sequence[tuple[float, Trainings]]) -> ClusterMean:
    """The same estimate with the error of a claim about the method; each side with its weight in the estimate.

    Nothing is known (nan) where a side has one training, or where all its trainings gave the same answers, which is no
    proof that all would.
    """
    unknown = ClusterMean(mean.estimate, math.nan, mean.clusters, math.nan)
    if not sides or not math.isfinite(mean.standard_error) or any(side.count < 2 for _, side in sides):
        return unknown
    if any(side.variance == 0 and side.noise == 0 for _, side in sides):
        return unknown
    sums = [(weight**2 * side.variance, weight**2 * side.noise, side.count) for weight, side in sides]
    variance, freedom = with_trainings(mean.standard_error**2, mean.degrees_of_freedom, sums)
    return ClusterMean(mean.estimate, math.sqrt(variance), mean.clusters, freedom)


def with_trainings(
    of_problems: float, degrees_of_freedom: float, sides: Sequence[tuple[float, float, int]]
) -> tuple[float, float]:
    """The squared error of the method and its degrees of freedom; of each side the variance of its effects, what problems
    and draws alone give to it, and how many trainings there are.

    For the degrees of freedom the effects differ by the noise of problems and draws at least: where they agree by luck the
    error is small, and must not be held for well known, too.
    """
    common = max(0.0, of_problems - sum(noise / count for _, noise, count in sides))
    seen = sum(variance / count for variance, _, count in sides)
    expected = [(max(variance, noise) / count, count - 1) for variance, noise, count in sides]
    uncertain = common**2 / degrees_of_freedom + sum(part**2 / freedom for part, freedom in expected)
    whole = common + sum(part for part, _ in expected)
    freedom = whole**2 / uncertain if uncertain > 0 else degrees_of_freedom
    return max(of_problems, common + seen), min(freedom, degrees_of_freedom)
