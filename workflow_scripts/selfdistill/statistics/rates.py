"""How many times as often: the ratio of two rates of events, as words of doubt per token, paired by problem.

Quasi-Poisson with the log of the length as offset: for two sides its estimate is the ratio of the pooled rates,

    log ρ = log(Σ y / Σ t) − log(Σ y' / Σ t')        y events, t tokens (or answers), by family of problems

and its error comes from the families and not from Poisson's law, so that events may come in bursts, and lengths may vary.
A family stands on both sides, and what it does to both cancels. The error is the jackknife's, which leaves out a family at a
time: with few events it is wider than the sandwich of a generalised linear model, which is then too narrow.

Of the same lengths: events and tokens fall into bins by the length of the answer, and either side's rate is the mean of its
rates in the bins, with the same weights for both: in a bin as many answers count as the side with fewer has.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from selfdistill.statistics.clusters import Array, ClusterMean, cluster_mean, cluster_totals
from selfdistill.statistics.trainings import Trainings, trainings

LEAST_SHOWING = 5  # families with an event that an interval needs, on either side, and in bins that both have


class Rates(NamedTuple):
    """Of one side, by problem: events, and the tokens or answers that they stand in; by bin too, with the answers in each."""

    events: Array
    exposure: Array
    answers: Array | None = None

    def by_family(self, families: Array) -> "Rates":
        return self.through(lambda each: _summed(each, families))

    def through(self, change: Callable[[Array], Array]) -> "Rates":
        return Rates(change(self.events), change(self.exposure), None if self.answers is None else change(self.answers))

    def showing(self, bins: Array) -> int:
        """Families with an event in any of these bins."""
        return int((self.events[:, bins].sum(axis=1) > 0).sum())


@dataclass(frozen=True)
class RateRatio:
    """The log of a ratio of rates, and its jackknife values by family, whose mean it is; none where too few show an event."""

    log: float
    values: Array | None
    families: int
    rate: float
    other_rate: float
    matched: float  # the share of both sides' answers that count; 1 without bins

    @property
    def ratio(self) -> float:
        """nan where the other side has no event."""
        return self.rate / self.other_rate if self.other_rate > 0 else math.nan

    @property
    def mean(self) -> ClusterMean:
        """Of the log."""
        if self.values is None:
            return ClusterMean(self.log, math.nan, self.families, math.nan)
        return cluster_mean(*cluster_totals(self.values, np.arange(self.families)))


def rate_ratio(mine: Rates, other: Rates, families: Array) -> RateRatio:
    """`mine` over `other`; the same problems in both, in the same order."""
    one, two = mine.by_family(families), other.by_family(families)
    count = len(one.events)
    rate, other_rate, matched = (float(each[0]) for each in _rates(_totals(one), _totals(two)))
    log = _log(rate) - _log(other_rate)
    values = None
    shared = _shared(one, two)
    if min(one.showing(shared), two.showing(shared)) >= LEAST_SHOWING:
        left, other_left, _ = _rates(_without_each(one), _without_each(two))
        if left.min() > 0 and other_left.min() > 0:
            values = jackknife_values(log, np.log(left) - np.log(other_left))
    return RateRatio(log, values, count, rate, other_rate, matched)


def trained_ratios(ratios: Sequence[RateRatio]) -> Trainings:
    """Of several trainings, each against the same other side; unknown where one of them has no interval."""
    values = [each.values for each in ratios if each.values is not None]
    if len(values) < len(ratios):
        return Trainings(np.array([]), math.nan)
    families = np.arange(ratios[0].families)
    return trainings(values, [np.ones(len(families))] * len(values), families)


def jackknife_values(whole: Array | float, without_each: Array) -> Array:
    """Pseudo-values along the first axis, with the estimate itself as their mean, and the jackknife's variance."""
    count = len(without_each)
    return np.asarray(whole + (count - 1) * (without_each.mean(axis=0) - without_each))


def log_rate_ratios(mine: Rates, other: Rates, added: float = 0.5) -> tuple[Array, Array]:
    """Of many kinds of events at once, a column each, by family: the logs, and their jackknife values.

    `exposure` has one column. Half an event is added on either side, so that what is never seen has a ratio, too.
    """

    def logs(events: Array, exposure: Array) -> Array:
        return np.asarray(np.log(events + added) - np.log(exposure))

    def without_each(side: Rates) -> Array:
        return logs(side.events.sum(axis=0) - side.events, side.exposure.sum(axis=0) - side.exposure)

    whole = logs(mine.events.sum(axis=0), mine.exposure.sum(axis=0))
    whole = whole - logs(other.events.sum(axis=0), other.exposure.sum(axis=0))
    return whole, jackknife_values(whole, without_each(mine) - without_each(other))


def _shared(one: Rates, two: Rates) -> Array:
    """Which bins count: those in which both sides have an answer."""
    if one.answers is None or two.answers is None:
        return np.ones(one.events.shape[1], dtype=bool)
    return np.asarray((one.answers.sum(axis=0) > 0) & (two.answers.sum(axis=0) > 0))


def _rates(one: Rates, two: Rates) -> tuple[Array, Array, Array]:
    """Row by row both sides' rates over the bins, and the share of answers that count."""
    if one.answers is None or two.answers is None:
        weights, matched = np.ones(one.events.shape), np.ones(len(one.events))
    else:
        weights = np.minimum(one.answers, two.answers)
        matched = 2 * weights.sum(axis=1) / (one.answers + two.answers).sum(axis=1)
    whole = weights.sum(axis=1)
    rates = (_divided((weights * _divided(side.events, side.exposure)).sum(axis=1), whole) for side in (one, two))
    mine, other = rates
    return mine, other, matched


def _totals(side: Rates) -> Rates:
    return side.through(lambda each: each.sum(axis=0, keepdims=True))


def _without_each(side: Rates) -> Rates:
    """A row for each family that is left out. What is left of nothing is nothing, and not the last bits."""
    return side.through(_left)


def _left(each: Array) -> Array:
    left = each.sum(axis=0) - each
    return np.asarray(np.where(left > 1e-9 * each.sum(axis=0), left, 0.0))


def _divided(above: Array, below: Array) -> Array:
    return np.divide(above, below, out=np.zeros(np.shape(above)), where=np.asarray(below) > 0)


def _log(rate: float) -> float:
    return math.log(rate) if rate > 0 else -math.inf


def _summed(each: Array, families: Array) -> Array:
    """By family, bins in columns."""
    columns = each.reshape(len(each), -1)
    _, codes = np.unique(families, return_inverse=True)
    summed = np.zeros((codes.max() + 1 if len(codes) else 0, columns.shape[1]))
    np.add.at(summed, codes, columns)
    return summed
