"""Where the error of a paired difference comes from, level by level, and the error that another design would have.

An answer is right or wrong by the chance that its model has at its problem, and by its draw. So a difference of two sides
varies between trainings (τ²), between problems, between problems in another way for each training, and between draws; and
answers drawn with the same noise vary together. With k trainings, N answers of a side and n(ν) of them with the noise ν:

    noise  =  draws/N + draws'/N' − 2·coupled·Σ_ν n(ν)n'(ν)/NN' + Σ_sides shared·Σ_ν n(ν)(n(ν) − 1)/N²
    SE²    =  [ problems + Σ_sides by_training/k + noise + families·(size − 1) ] / problems asked
    SE² of the method  =  SE² + Σ_sides τ²/k

where `families` is the covariance of two problems of one family, and size how many problems the family of a problem has, on
average over problems. Estimates of the components are made in `moments.py`.
"""

import math
from collections import Counter
from dataclasses import dataclass
from typing import NamedTuple

from selfdistill.statistics.clusters import ClusterMean
from selfdistill.statistics.trainings import with_trainings


@dataclass(frozen=True)
class Answers:
    """What one side of a comparison is asked for at each problem: for every answer the number of its noise."""

    noises: tuple[int, ...]
    trainings: int = 1

    def __len__(self) -> int:
        return len(self.noises)

    @property
    def draws(self) -> float:
        """Of each training."""
        return len(self) / self.trainings

    @property
    def pairs(self) -> int:
        """Ordered pairs of answers with the same noise: of two trainings, for one never has it twice."""
        return sum(count * (count - 1) for count in Counter(self.noises).values())

    def in_common(self, other: "Answers") -> int:
        """Pairs of an answer of this side and one of the other with the same noise."""
        theirs = Counter(other.noises)
        return sum(count * theirs[noise] for noise, count in Counter(self.noises).items())


@dataclass(frozen=True)
class SideComponents:
    """The variances that one side brings."""

    draws: float  # of one answer, about the chance of being right that its model has at its problem
    trainings: float | None = None  # τ²; nan: one training cannot tell; None: nothing was trained
    by_training: float = 0.0  # of what a training does to one problem beside what it does to all
    shared: float = 0.0  # covariance of two trainings' draws with the same noise

    @property
    def excess(self) -> float:
        """τ², nothing where nothing was trained."""
        return self.trainings or 0.0


@dataclass(frozen=True)
class Components:
    problems: float  # variance of the true difference, which all trainings have in common
    side: SideComponents
    other: SideComponents
    coupled: float = 0.0  # covariance of a draw of either side with the same noise
    families: float = 0.0  # covariance of the differences of two problems of one family
    tells_draws: bool = (
        True  # no: draws are counted with the problems, so that only designs with as many can be told of
    )

    @property
    def by_weight(self) -> "Weights":
        """What each weight of a design goes with."""
        one, two = self.side, self.other
        return Weights(
            one.draws, two.draws, self.coupled, one.shared, two.shared, one.by_training, two.by_training, self.families
        )


class Weights(NamedTuple):
    """How much of each component stands in the variance of a difference at one problem."""

    draws: float
    other_draws: float
    coupled: float
    shared: float
    other_shared: float
    by_training: float
    other_by_training: float
    families: float

    def of(self, components: "Weights") -> float:
        return sum(weight * part for weight, part in zip(self, components, strict=True))


@dataclass(frozen=True)
class Design:
    problems: float
    side: Answers
    other: Answers
    is_coupled: bool = False
    families: float | None = None  # as many as problems, unless it is said
    family_size: float = 1.0  # of the family that a problem is in, on average over problems

    @property
    def degrees_of_freedom(self) -> float:
        return (self.problems if self.families is None else self.families) - 1

    @property
    def weights(self) -> Weights:
        mine, theirs = len(self.side), len(self.other)
        coupled = shared = other_shared = 0.0
        if self.is_coupled:
            coupled = -2 * self.side.in_common(self.other) / (mine * theirs)
            shared, other_shared = self.side.pairs / mine**2, self.other.pairs / theirs**2
        return Weights(
            draws=1 / mine,
            other_draws=1 / theirs,
            coupled=coupled,
            shared=shared,
            other_shared=other_shared,
            by_training=1 / self.side.trainings,
            other_by_training=1 / self.other.trainings,
            families=self.family_size - 1,
        )


def variance_of_difference(components: Components, design: Design, of_method: bool = False) -> float:
    """The squared standard error of the mean difference; nan where a component that it needs is unknown."""
    by_problem = components.problems + design.weights.of(components.by_weight)
    of_problems = max(0.0, by_problem / design.problems)
    return of_problems + (max(0.0, _between_trainings(components, design)) if of_method else 0.0)


def error_of_difference(components: Components, design: Design, of_method: bool = False) -> ClusterMean:
    """For the method as `trainings.of_the_method` has it."""
    of_problems, freedom = variance_of_difference(components, design), design.degrees_of_freedom
    units = round(freedom) + 1
    if not of_method:
        return ClusterMean(0.0, math.sqrt(of_problems), units, freedom)
    sides = _trained(components, design)
    if not sides or any(asked.trainings < 2 or math.isnan(part.excess) for part, asked in sides):
        return ClusterMean(0.0, math.nan, units, math.nan)
    sums = []
    for part, asked in sides:
        noise = _of_one_training(part, asked, design) / design.problems
        sums.append((max(0.0, part.excess + noise), noise, asked.trainings))
    variance, found = with_trainings(of_problems, freedom, sums)
    return ClusterMean(0.0, math.sqrt(variance), units, found)


def _trained(components: Components, design: Design) -> list[tuple[SideComponents, Answers]]:
    sides = ((components.side, design.side), (components.other, design.other))
    return [(part, asked) for part, asked in sides if part.trainings is not None]


def _between_trainings(components: Components, design: Design) -> float:
    return sum(part.excess / asked.trainings for part, asked in _trained(components, design))


def _of_one_training(part: SideComponents, asked: Answers, design: Design) -> float:
    """The variance at one problem of a training's own effect, beside what is common to all trainings."""
    common = 0.0
    if design.is_coupled and asked.trainings > 1:
        common = part.shared * asked.pairs / (asked.draws**2 * asked.trainings * (asked.trainings - 1))
    return max(0.0, part.by_training + part.draws / asked.draws - common)
