"""Where a difference in accuracy comes from: finishing more often, or being right more often when finished; and on which
problems.

Accuracy is P(finished) · P(right | finished). Between two models it differs by

    (finished more) · mean of the two conditional accuracies + (right more when finished) · mean of the two finish rates,

and these two parts add up exactly. Each is a smooth function of four means over problems, so that its error is that of its
linearised influence (delta method). `gain_parts` gives them problem by problem: their means are the parts, their spread over
families is the error, and in every problem the two add up to the difference seen there. They are differences of shares with a
span, and judged as such: where few answers are cut, t would trust the spread of the few.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from selfdistill.statistics.clusters import Array


class Parts(NamedTuple):
    """Two parts of a difference in accuracy, by problem, and the largest that each can be."""

    finished_more: Array
    right_more: Array
    finished_span: float  # the mean of the two conditional accuracies
    right_span: float  # the mean of the two finish rates


def gain_parts(right: Array, finished: Array, other_right: Array, other_finished: Array) -> Parts | None:
    """Shares of right and of finished answers by problem, of one side and of the other. None where a side never finished:
    then nobody knows how often it is right when finished."""
    if not finished.any() or not other_finished.any():
        return None
    finishing, when_right = _finishing(finished), _when_finished(right, finished)
    other_finishing, other_when_right = _finishing(other_finished), _when_finished(other_right, other_finished)
    mean_when_right, mean_finishing = (when_right + other_when_right) / 2, (finishing + other_finishing) / 2
    return Parts(
        _product(finishing - other_finishing, mean_when_right),
        _product(when_right - other_when_right, mean_finishing),
        float(mean_when_right.mean()),
        float(mean_finishing.mean()),
    )


# A quantity is carried as its value plus its influence, by problem: the mean of these is the value.


def _finishing(finished: Array) -> Array:
    return finished.astype(float)


def _when_finished(right: Array, finished: Array) -> Array:
    rate = right.sum() / finished.sum()
    return np.asarray(rate + (right - rate * finished) / finished.mean())


def _product(a: Array, b: Array) -> Array:
    return np.asarray(a.mean() * b + b.mean() * a - a.mean() * b.mean())


def cross_fitted_gains(base_right: Array, arms_right: Sequence[Array], shared: Sequence[Array]) -> Array:
    """By problem and draw of the base: how much more often the arm is right than the base's other draws.

    The draw that stands for a column may then say which kind of problem it is, because it measures nothing: a draw that did
    both would find gains where it had been unlucky, and losses where it had been lucky. `shared[k][j]` says of each model of
    the arm whether its draw j was drawn with the noise of the base's draw k, and so must be left out with it; a model of
    which nothing is left sits that column out, and where that is all of them the column is nan.
    """
    draws = base_right.shape[1]
    with np.errstate(invalid="ignore", divide="ignore"):
        others = (base_right.sum(axis=1, keepdims=True) - base_right) / np.float64(draws - 1)
        kept = [(~same).astype(float) for same in shared]
        means = np.array([right @ own.T / own.sum(axis=1) for right, own in zip(arms_right, kept, strict=True)])
        there = np.isfinite(means)
        return np.asarray(np.where(there, means, 0.0).sum(axis=0) / there.sum(axis=0) - others)


def gains_in_class(gains: Array, in_class: Array) -> tuple[Array, Array]:
    """By problem: the gains where the classifying draw fell into the class, and how often it did (a mean over draws)."""
    usable = np.isfinite(gains).all(axis=0)
    here = in_class[:, usable].astype(float)
    return (here * gains[:, usable]).mean(axis=1), here.mean(axis=1)
