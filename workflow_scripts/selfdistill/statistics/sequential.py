"""Looks: a test that is asked again as its data grow, at a level that holds for all looks together.

Standardised, the sum of what is known at the looks is a Brownian motion B seen at times 0 < t₁ < … < t_K = 1, the shares of
the information, and the test statistic of look k is Z_k = B(t_k)/√t_k. From the law of B on the paths that no look has
stopped, the chance to be stopped by the next follows by numerical integration (Armitage, McPherson and Rowe 1969);
boundaries are where that chance is what an error-spending function allows (`spending.py`).

Boundaries are one-sided. A two-sided test at a level is two of them at half of it, one each way.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.polynomial.legendre import leggauss
from scipy.special import ndtr

from selfdistill.statistics.clusters import Array
from selfdistill.statistics.normal import normal_above, normal_density
from selfdistill.statistics.roots import zero_of
from selfdistill.statistics.spending import Spending, obrien_fleming

FARTHEST = 9.0  # standard deviations: nothing that matters lies beyond
NODES = 24  # of Gauss and Legendre, on each piece
PIECE = 1.5  # standard deviations of the next step that a piece is wide, at most
LARGEST = 0.5  # of a one-sided level


class Law(NamedTuple):
    """The law of B on the paths that go on: points and the probability at each."""

    points: Array
    mass: Array


START = Law(np.zeros(1), np.ones(1))

Interval = tuple[float, float]


def boundaries(times: Sequence[float], level: float, spending: Spending = obrien_fleming) -> tuple[float, ...]:
    """The values of Z that the looks stop at, so that they stop in a share `level` of all studies without an effect."""
    return _boundaries(tuple(times), level, spending)


@lru_cache(maxsize=4096)
def _boundaries(times: tuple[float, ...], level: float, spending: Spending) -> tuple[float, ...]:
    found: list[float] = []
    law, before, spent = START, 0.0, 0.0
    for time in times:
        allowed = spending(time, level) - spent
        root = np.sqrt(time)

        def excess(
            bound: float, law: Law = law, step: float = time - before, root: float = root, allowed: float = allowed
        ) -> float:
            return float(law.mass @ ndtr((law.points - bound * root) / np.sqrt(step))) - allowed

        bound = zero_of(excess, -FARTHEST, FARTHEST, within=1e-10) if excess(FARTHEST) < 0 else FARTHEST
        found.append(bound)
        law = _next(law, time - before, 0.0, [(-FARTHEST * root, bound * root)])
        before, spent = time, spent + max(allowed, 0.0)
    return tuple(found)


def nominal_levels(times: Sequence[float], level: float, spending: Spending = obrien_fleming) -> list[float]:
    """The one-sided p that each look must stay below: 1 − Φ(boundary). Whatever test gives the p, t or score."""
    return [normal_above(bound) for bound in boundaries(times, level, spending)]


def sequential_p(p: float, look: int, times: Sequence[float], spending: Spending = obrien_fleming) -> float:
    """The smallest one-sided level, over all looks together, at which a one-sided p seen at this look (from 1) stops the
    test there (Liu and Anderson 2008). It is a p-value whenever the study stops, so that Holm may take it as one.

    What would not stop it at one half says nothing for the effect: it gets one half, or stays as it is.
    """
    seen = tuple(times[:look])
    if p >= nominal_levels(seen, LARGEST, spending)[-1]:
        return max(p, LARGEST)
    lowest = 1e-12
    if p <= nominal_levels(seen, lowest, spending)[-1]:
        return lowest
    log_level = zero_of(
        lambda log_level: np.log(nominal_levels(seen, float(np.exp(log_level)), spending)[-1]) - np.log(p),
        np.log(lowest),
        np.log(LARGEST),
        within=1e-7,
    )
    return float(np.exp(log_level))


class Stopped(NamedTuple):
    """Of one look: how often a study stops there, and what B is then on average."""

    probability: float
    mean: float


def stopping(
    times: Sequence[float], going_on: Sequence[Sequence[Interval]], drift: float, start: Law = START, began: float = 0.0
) -> list[Stopped]:
    """How studies stop whose Z has mean `drift` at the last look. `going_on` has the intervals of Z in which each look
    does not stop; the last look stops all."""
    law, before, found = start, began, []
    for time, intervals in zip(times, going_on, strict=True):
        step, root = time - before, float(np.sqrt(time))
        inside = [(low * root, high * root) for low, high in intervals if low < high]
        arriving = float(law.mass.sum())
        total = float(law.mass @ (law.points + drift * step))
        law = _next(law, step, drift * step, inside)
        stopped = arriving - float(law.mass.sum())
        moment = total - float(law.mass @ law.points)
        found.append(Stopped(stopped, moment / stopped if stopped > 1e-12 else float("nan")))
        before = time
    return found


def landing(
    times: Sequence[float],
    kinds: Sequence[Mapping[str, Sequence[Interval]]],
    going_on: Sequence[Sequence[Interval]],
    drift: float,
) -> list[dict[str, float]]:
    """Of each look, how often a study comes to it and its Z lies in each kind of intervals."""
    law, before, found = START, 0.0, []
    for time, named, intervals in zip(times, kinds, going_on, strict=True):
        step, root = time - before, float(np.sqrt(time))
        deviation = float(np.sqrt(step))
        means = law.points + drift * step
        found.append(
            {
                name: sum(float(law.mass @ _between(low * root, high * root, means, deviation)) for low, high in parts)
                for name, parts in named.items()
            }
        )
        law = _next(law, step, drift * step, [(low * root, high * root) for low, high in intervals if low < high])
        before = time
    return found


def _between(low: float, high: float, means: Array, deviation: float) -> Array:
    inside: Array = ndtr((high - means) / deviation) - ndtr((low - means) / deviation)
    return np.maximum(inside, 0.0)


def chance_above(bound: float, position: float, time: float, drift: float) -> float:
    """That Z ends above a bound at the last look, for a study that stands at B(time) = position."""
    left = 1 - time
    return float(ndtr((position + drift * left - bound) / np.sqrt(left)))


def _next(law: Law, step: float, shift: float, intervals: Sequence[Interval]) -> Law:
    """The law after one more step, on the intervals of B in which a study goes on."""
    deviation = float(np.sqrt(step))
    low = float(law.points.min()) + shift - FARTHEST * deviation if len(law.points) else 0.0
    high = float(law.points.max()) + shift + FARTHEST * deviation if len(law.points) else 0.0
    pieces = [_nodes(max(a, low), min(b, high), deviation) for a, b in intervals if max(a, low) < min(b, high)]
    if not pieces:
        return Law(np.zeros(0), np.zeros(0))
    points = np.concatenate([piece[0] for piece in pieces])
    widths = np.concatenate([piece[1] for piece in pieces])
    density = normal_density((points[:, None] - law.points[None, :] - shift) / deviation) @ law.mass / deviation
    return Law(points, density * widths)


def _nodes(low: float, high: float, deviation: float) -> tuple[Array, Array]:
    """Points and weights of an integral, close enough for a density that changes over a deviation."""
    pieces = max(1, int(np.ceil((high - low) / (PIECE * deviation))))
    edges = np.linspace(low, high, pieces + 1)
    x, w = leggauss(NODES)
    half, middle = (edges[1:] - edges[:-1]) / 2, (edges[1:] + edges[:-1]) / 2
    return (middle[:, None] + half[:, None] * x).ravel(), (half[:, None] * w).ravel()
