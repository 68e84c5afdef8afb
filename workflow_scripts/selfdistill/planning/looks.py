"""What looks are expected to save, before anything runs: how many problems a hypothesis takes if it stops when it may.

The law is that of `statistics/sequential.py`, the rules of stopping are those of `analysis/looks.py`, the standard error is
that of the plan at the last look. Information is taken as the share of problems.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from selfdistill.analysis.looks import FUTILE, best_chance
from selfdistill.planning.counts import number
from selfdistill.planning.power import Reach
from selfdistill.statistics.multiplicity import ALPHA
from selfdistill.statistics.sequential import Interval, boundaries, landing
from selfdistill.study.study import Study

TRUTHS = {"no effect": 0.0, "the margin": 1.0, "twice the margin": 2.0}  # in margins
FAR = 40.0
GRID = 401

FOUND, EQUAL, ON = "found", "equal", "on"


@dataclass(frozen=True)
class Expected:
    """Of one hypothesis under one truth. Shares are of all such studies; the rest stays open."""

    hypothesis: str
    truth: str
    problems: float  # on average, of the last look's
    found: float
    equivalent: float


def expectations(study: Study, found: Sequence[Reach]) -> list[Expected]:
    """For every hypothesis, where the study has looks."""
    sizes = [number(size) for size in study.evaluation.looks]
    return [
        expected(reach.hypothesis, truth, margins * reach.margin, reach, sizes)
        for reach in (found if sizes else ())
        for truth, margins in TRUTHS.items()
    ]


def expected(hypothesis: str, truth: str, effect: float, reach: Reach, sizes: Sequence[int]) -> Expected:
    times = [size / sizes[-1] for size in sizes]
    margin, drift = reach.margin / reach.error_of_claim, effect / reach.error_of_claim
    kinds, going_on = rules(times, margin, reach.alpha)
    looks = landing(times, kinds, going_on, drift)
    steps = np.diff([0, *sizes])
    reached = [1.0, *(look[ON] for look in looks[:-1])]
    return Expected(
        hypothesis,
        truth,
        float(steps @ np.array(reached)),
        sum(look[FOUND] for look in looks),
        sum(look[EQUAL] for look in looks),
    )


def rules(
    times: Sequence[float], margin: float, level: float = ALPHA
) -> tuple[list[dict[str, list[Interval]]], list[list[Interval]]]:
    """In which Z each look finds a difference, equivalence, or nothing and goes on; the margin is in standard errors of the
    last look. Where a look does none of it, the hypothesis is given up."""
    bounds, equivalence = boundaries(times, level / 2), boundaries(times, level)
    kinds, going_on = [], []
    for time, bound, one_sided in zip(times, bounds, equivalence, strict=True):
        equal = min(margin * time**0.5 - one_sided, bound)
        on = [] if time == 1 else _on(time, bound, equal, margin, bounds[-1], margin - equivalence[-1])
        kinds.append({FOUND: [(-FAR, -bound), (bound, FAR)], EQUAL: [(-equal, equal)] if equal > 0 else [], ON: on})
        going_on.append(on)
    return kinds, going_on


def _on(
    time: float, bound: float, equal: float, margin: float, found: float, equal_at_the_end: float
) -> list[Interval]:
    """The values of Z, in steps, that settle nothing and leave a verdict likely enough."""
    edges = np.linspace(-bound, bound, GRID)
    middles = (edges[1:] + edges[:-1]) / 2
    open_ = [
        abs(z) > equal and best_chance(found, equal_at_the_end, margin, float(z) * time**0.5, time) >= FUTILE
        for z in middles
    ]
    turns = np.flatnonzero(np.diff([False, *open_, False]))
    return [(float(edges[first]), float(edges[last])) for first, last in zip(turns[::2], turns[1::2], strict=True)]
