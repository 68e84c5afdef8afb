"""A paired difference as it is judged: interval, p, equivalence and power of one statistic, so that they cannot disagree.

Means (tokens) are judged by t. Shares are judged by Tango's score statistic (1998), because a t interval trusts the
spread that it saw: where few pairs differ, and all one way, it saw next to none, and calls a model equivalent that has
only not failed yet. The score statistic asks of each possible difference δ how many pairs would have to differ for it:

    T(δ) = (d − δ) / √((q(δ) − δ²) / n)        q(δ): the likeliest share of differing pairs if the difference is δ

Draws and families: n is the number of single pairs that would have given the standard error found, as Wilson's interval
at the effective n has it, and T is held against a t with the degrees of freedom of that error. With one draw of single
problems, and z for t, all of it is Tango's interval, and T(0)² is McNemar's test.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from selfdistill.statistics import power as t_power
from selfdistill.statistics.clusters import Array, ClusterMean, t_reached, t_share_below
from selfdistill.statistics.intervals import UNKNOWN, Interval, t_interval
from selfdistill.statistics.roots import zero_of


class Paired(ABC):
    """A difference and a statistic T(δ) that falls as δ grows; everything below is read off this one statistic."""

    degrees_of_freedom: float

    @abstractmethod
    def statistic(self, null: float) -> float: ...

    @abstractmethod
    def interval(self, level: float = 0.95) -> Interval: ...

    @abstractmethod
    def detectable(self, alpha: float = 0.05, power: float = 0.8) -> float:
        """The true difference that the test at level α finds with this power."""

    @property
    def is_known(self) -> bool:
        return self.degrees_of_freedom > 0  # not where it is nan

    def p(self, null: float = 0.0) -> float:
        """Two-sided: below 1 − level exactly where the interval of that level does not hold `null`."""
        return self._tail(lambda: 2 * t_share_below(-abs(self.statistic(null)), self.degrees_of_freedom))

    def p_above(self, null: float) -> float:
        """One-sided: small where the difference is above `null`."""
        return self._tail(lambda: t_share_below(-self.statistic(null), self.degrees_of_freedom))

    def p_below(self, null: float) -> float:
        return self._tail(lambda: t_share_below(self.statistic(null), self.degrees_of_freedom))

    def equivalence_p(self, margin: float) -> float:
        """TOST: small where the difference lies within ±margin."""
        return max(self.p_above(-margin), self.p_below(margin))

    def _tail(self, share: Callable[[], float]) -> float:
        return float(share()) if self.is_known else math.nan


@dataclass(frozen=True)
class PairedMeans(Paired):
    """A difference of means, by t."""

    mean: ClusterMean

    @property
    def degrees_of_freedom(self) -> float:  # type: ignore[override]
        return self.mean.degrees_of_freedom

    @property
    def is_known(self) -> bool:
        return self.mean.standard_error > 0 and self.degrees_of_freedom > 0  # equal lengths prove nothing of others

    def statistic(self, null: float) -> float:
        shift = self.mean.estimate - null
        if self.mean.standard_error > 0:
            return shift / self.mean.standard_error
        return math.copysign(math.inf, shift) if shift else 0.0

    def interval(self, level: float = 0.95) -> Interval:
        return t_interval(self.mean, level) if self.is_known else UNKNOWN

    def detectable(self, alpha: float = 0.05, power: float = 0.8) -> float:
        return t_power.minimal_detectable_difference(self.mean, alpha, power)


@dataclass(frozen=True)
class PairedShares(Paired):
    """Shares gained and lost, so that the difference is span·(gained − lost), as well known as so many single pairs tell.

    `span` is the largest difference that there can be: 1 for two shares, 2 for a difference of two differences.
    """

    gained: float
    lost: float
    pairs: float
    degrees_of_freedom: float
    span: float = 1.0

    @classmethod
    def of(cls, values: Array, weights: Array, mean: ClusterMean, span: float = 1.0) -> "PairedShares":
        """From the differences by problem and their mean with its standard error; unknown where nothing could differ."""
        whole = float(weights.sum()) * span
        if whole <= 0:
            return cls(0.0, 0.0, float(mean.clusters), math.nan)
        gained, lost = float(values[values > 0].sum()) / whole, -float(values[values < 0].sum()) / whole
        spread, variance = gained + lost - (gained - lost) ** 2, (mean.standard_error / span) ** 2
        known = spread > 1e-12 and variance > 1e-18
        pairs = spread / variance if known else float(mean.clusters)
        return cls(gained, lost, pairs, mean.degrees_of_freedom, span)

    def statistic(self, null: float) -> float:
        return self._statistic(null / self.span)

    def interval(self, level: float = 0.95) -> Interval:
        if not self.is_known:
            return UNKNOWN
        beyond = t_reached((1 + level) / 2, self.degrees_of_freedom)
        seen = self.gained - self.lost
        low = _crossing(lambda null: self._statistic(null) - beyond, -1.0, seen)
        high = _crossing(lambda null: self._statistic(null) + beyond, seen, 1.0)
        return Interval(self.span * low, self.span * high)

    def detectable(self, alpha: float = 0.05, power: float = 0.8) -> float:
        """Where T(0) is expected t(power) of its own deviations beyond t(1 − α/2). It varies by less than 1 where most pairs
        that differ go one way, as its denominator counts the same pairs: 1 − ¾·d²/q² − ¼·d²/q, by the delta method. More
        pairs differ there than were seen where the difference asks for it."""
        if not self.is_known:
            return math.nan
        beyond = t_reached(1 - alpha / 2, self.degrees_of_freedom)
        within = t_reached(power, self.degrees_of_freedom)

        def lacking(difference: float) -> float:
            differing = max(self.gained + self.lost, difference)
            varies = max(0.0, 1 - 0.75 * (difference / differing) ** 2 - 0.25 * difference**2 / differing)
            return (beyond + within * math.sqrt(varies)) * math.sqrt(differing / self.pairs) - difference

        found = _crossing(lacking, 0.0, 1.0)
        return self.span * found if found < 1 else math.nan  # no difference that there can be

    def _statistic(self, null: float) -> float:
        shift = self.gained - self.lost - null
        if abs(shift) < 1e-15:
            return 0.0
        variance = (self.differing(null) - null**2) / self.pairs
        return shift / math.sqrt(variance) if variance > 0 else math.copysign(math.inf, shift)

    def differing(self, null: float) -> float:
        """The likeliest share of pairs that differ if the share gained less the share lost is `null`: the root of Tango's
        quadratic."""
        linear = -(self.gained + self.lost) + (2 - self.gained + self.lost) * null
        root = math.sqrt(max(linear**2 + 8 * self.lost * null * (1 - null), 0.0))
        return 2 * max((root - linear) / 4, 0.0, -null) + null


def _crossing(falling: Callable[[float], float], low: float, high: float) -> float:
    """Where a falling function crosses nothing; the end that it does not reach, if it does not."""
    near = 1e-12
    if high - low <= 2 * near or falling(low + near) <= 0:
        return low
    if falling(high - near) >= 0:
        return high
    return float(np.clip(zero_of(falling, low + near, high - near, within=1e-10), low, high))
