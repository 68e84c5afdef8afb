"""The components of a paired difference, estimated from every answer of both sides to the same problems.

By the method of moments: each component is a mean over problems of a term whose expectation it is, so that it is unbiased, may
come out negative, and has its interval from how the terms vary over families. What is left of the variance between problems
once draws and trainings are taken off is the problems' own; so the components, put into the design that was measured, give
its squared standard error.

    draws        the variance of the draws of one model at one problem
    coupled      the mean product of two answers with the same noise, less that of two with different noise
    by training  the interaction of trainings and problems, less the draws in it
    trainings    the variance of the trainings' effects, less what problems and draws make them differ (`trainings.py`)
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import combinations, product

import numpy as np
from scipy import special

from selfdistill.statistics.clusters import Array, cluster_mean, cluster_totals, t_quantile
from selfdistill.statistics.components import Answers, Components, Design, SideComponents, Weights
from selfdistill.statistics.intervals import UNKNOWN, Interval
from selfdistill.statistics.trainings import Trainings, trainings


@dataclass(frozen=True)
class Sampled:
    """The answers of one side: by problem, training and draw; and of every draw of a training the number of its noise."""

    values: Array
    noises: Array
    is_trained: bool = True

    @property
    def answers(self) -> Answers:
        return Answers(tuple(int(noise) for noise in self.noises.ravel()), self.trainings)

    @property
    def trainings(self) -> int:
        return int(self.values.shape[1])

    @property
    def draws(self) -> int:
        return int(self.values.shape[2])


@dataclass(frozen=True)
class Term:
    """A component and what it is a mean of; nan where it cannot be told."""

    variance: float
    by_problem: Array | None = field(default=None, repr=False)
    is_taken: bool = False  # from another component, which it is assumed to be like

    @classmethod
    def of(cls, by_problem: Array) -> "Term":
        return cls(float(by_problem.mean()), by_problem)

    @property
    def is_known(self) -> bool:
        return math.isfinite(self.variance)

    @property
    def known(self) -> float:
        return self.variance if self.is_known else 0.0

    def taken(self) -> "Term":
        return Term(self.variance, self.by_problem, is_taken=True)

    def interval(self, families: Array) -> Interval:
        if self.by_problem is None or self.is_taken:
            return UNKNOWN
        mean = cluster_mean(*cluster_totals(self.by_problem, families))
        half = t_quantile(mean, 0.95) * mean.standard_error if mean.clusters > 1 else math.nan
        return Interval(self.variance - half, self.variance + half)


UNTOLD = Term(math.nan)


@dataclass(frozen=True)
class SideTerms:
    draws: Term
    by_training: Term
    shared: Term
    trainings: Trainings | None  # None: nothing was trained

    @property
    def between_trainings(self) -> float | None:
        """τ², unbiased: below 0 where trainings differ by less than problems and draws alone would make them. None: nothing
        was trained."""
        return None if self.trainings is None else self.trainings.variance - self.trainings.noise

    def interval_between_trainings(self) -> Interval:
        """By the chi-square of the effects' variance, less what problems and draws give to it."""
        if self.trainings is None or self.trainings.count < 2:
            return UNKNOWN
        freedom = self.trainings.count - 1
        squares = freedom * self.trainings.variance
        low, high = (
            squares / chi_square_reached(quantile, freedom) - self.trainings.noise for quantile in (0.975, 0.025)
        )
        return Interval(float(low), float(high))

    @property
    def components(self) -> SideComponents:
        return SideComponents(self.draws.known, self.between_trainings, self.by_training.known, self.shared.known)


@dataclass(frozen=True)
class Decomposition:
    """The components of one comparison, what each was estimated from, and the design that was measured."""

    problems: Term
    families: float
    coupled: Term
    side: SideTerms
    other: SideTerms
    design: Design
    tells_draws: bool

    @property
    def components(self) -> Components:
        return Components(
            self.problems.variance,
            self.side.components,
            self.other.components,
            self.coupled.known,
            self.families,
            self.tells_draws,
        )


def decomposed(side: Sampled, other: Sampled, families: Array, is_coupled: bool = False) -> Decomposition:
    """With one draw on both sides draws cannot be told from problems: they are counted with them, and with what a training
    does to a problem."""
    draws = _draws(side, other)
    tells_draws = draws[0].is_known
    coupled = UNTOLD
    if is_coupled and tells_draws:
        coupled = _alike_by_noise(side, other, product(range(side.trainings), range(other.trainings)))
    mine, theirs = (
        _side_terms(one, against, own, coupled, families, is_coupled and tells_draws)
        for one, against, own in ((side, other, draws[0]), (other, side, draws[1]))
    )
    means = side.values.mean(axis=(1, 2)) - other.values.mean(axis=(1, 2))
    whole = cluster_mean(*cluster_totals(means, families))
    count, squares, variance = len(means), (means - means.mean()) ** 2, whole.standard_error**2
    total = float(squares.mean()) + variance  # of the difference at one problem, unbiased
    sizes = np.bincount(np.unique(families, return_inverse=True)[1])
    size = float((sizes**2).sum() / count)
    alike = (variance * count - total) / (size - 1) if size > 1 else 0.0
    design = Design(count, side.answers, other.answers, is_coupled, whole.degrees_of_freedom + 1, size)
    own = squares * (total / float(squares.mean()) if squares.any() else 1.0)
    problems = Term.of(own - _beside(design.weights, draws, coupled, mine, theirs))
    return Decomposition(problems, alike, coupled, mine, theirs, design, tells_draws)


def _beside(weights: Weights, draws: tuple[Term, Term], coupled: Term, mine: SideTerms, theirs: SideTerms) -> Array:
    """At each problem, what draws and trainings are expected to add to the square of the difference."""
    terms = (*draws, coupled, mine.shared, theirs.shared, mine.by_training, theirs.by_training)
    there = [(weight, term.by_problem) for weight, term in zip(weights, terms, strict=False)]
    return np.asarray(sum(weight * by_problem for weight, by_problem in there if by_problem is not None))


def _draws(side: Sampled, other: Sampled) -> tuple[Term, Term]:
    """The variance between draws; of a side with one draw it is taken to be the other's."""
    one, two = (
        Term.of(each.values.var(axis=2, ddof=1).mean(axis=1)) if each.draws > 1 else UNTOLD for each in (side, other)
    )
    return (one if one.is_known else two.taken(), two if two.is_known else one.taken())


def _side_terms(
    side: Sampled, other: Sampled, draws: Term, coupled: Term, families: Array, is_coupled: bool
) -> SideTerms:
    several = side.trainings > 1
    shared = UNTOLD
    if is_coupled:
        shared = _alike_by_noise(side, side, combinations(range(side.trainings), 2))
        shared = shared if shared.is_known else coupled.taken()
    by_training = UNTOLD
    if several:
        by_training = _by_training(side, draws, shared)
    effects = None
    if side.is_trained:
        against, ones = other.values.mean(axis=(1, 2)), np.ones(len(side.values))
        each = [side.values[:, training].mean(axis=1) - against for training in range(side.trainings)]
        effects = trainings(each, [ones] * len(each), families)
    return SideTerms(draws, by_training, shared, effects)


def _by_training(side: Sampled, draws: Term, shared: Term) -> Term:
    means = side.values.mean(axis=2)
    apart = means - means.mean(axis=1, keepdims=True) - means.mean(axis=0) + means.mean()
    problems, count = means.shape
    terms = (apart**2).sum(axis=1) / (count - 1) * problems / (problems - 1)
    if draws.by_problem is None:
        return Term.of(terms)
    terms = terms - draws.by_problem / side.draws
    if shared.by_problem is not None:
        terms = terms + shared.by_problem * side.answers.pairs / (side.draws**2 * count * (count - 1))
    return Term.of(terms)


def _alike_by_noise(side: Sampled, other: Sampled, models: Iterable[tuple[int, int]]) -> Term:
    """How much more two answers have in common that share their noise; over pairs of models that have pairs of both kinds."""
    found = []
    for one, two in models:
        same = side.noises[one][:, None] == other.noises[two][None, :]
        if same.any() and not same.all():
            products = side.values[:, one, :, None] * other.values[:, two, None, :]
            found.append(products[:, same].mean(axis=1) - products[:, ~same].mean(axis=1))
    return Term.of(np.mean(found, axis=0)) if found else UNTOLD


def chi_square_reached(share: float, freedom: float) -> float:
    """What a chi-square with so many degrees of freedom stays below with this chance."""
    return 2 * float(special.gammaincinv(freedom / 2, share))
