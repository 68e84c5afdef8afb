"""What a design must be so that a question is settled at its margin, whatever the truth turns out to be.

Settled: a true difference of the margin is found with 80 % power at the level of its test, and where there is no difference
both one-sided tests show with the same power that it lies within the margin. A question of non-inferiority asks for the
first alone, from the other end. The effect that was seen plays no part: power at the observed effect says again what its p
has said.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

from selfdistill.statistics.clusters import ClusterMean, t_reached
from selfdistill.statistics.components import Components, Design, error_of_difference
from selfdistill.statistics.power import reach

LEAST_PROBLEMS = 100  # fewer stand for no population, however often they are asked
MOST_PROBLEMS = 10_000_000  # more than there will ever be: nothing is settled by problems alone
STEP = 1.2


@dataclass(frozen=True)
class Question:
    margin: float
    alpha: float
    of_method: bool
    shows_equivalence: bool = True
    power: float = 0.8


@dataclass(frozen=True)
class Candidate:
    """A design and its cost: by problem, and whatever the number of problems."""

    design: Design
    tokens_by_problem: float
    tokens_beside: float = 0.0

    @property
    def tokens(self) -> float:
        return self.design.problems * self.tokens_by_problem + self.tokens_beside


def detectable(error: ClusterMean, alpha: float, power: float = 0.8) -> float:
    """The true difference found with this power: t(1 − α/2) + t(power) errors."""
    return reach(error.degrees_of_freedom, alpha, power) * error.standard_error


def equivalent_within(error: ClusterMean, alpha: float, power: float = 0.8) -> float:
    """The margin within which both one-sided tests place no difference with this power: t(1 − α) + t((1 + power)/2) errors."""
    one_sided, both = (t_reached(share, error.degrees_of_freedom) for share in (1 - alpha, (1 + power) / 2))
    return (one_sided + both) * error.standard_error


def margin_reached(components: Components, design: Design, question: Question) -> float:
    """The smallest margin at which the design settles the question; nan where that is unknown."""
    error = error_of_difference(components, design, question.of_method)
    found = detectable(error, question.alpha, question.power)
    if not question.shows_equivalence:
        return found
    return max(found, equivalent_within(error, question.alpha, question.power))


def settles(components: Components, design: Design, question: Question) -> bool:
    return margin_reached(components, design, question) <= question.margin


def at_problems(design: Design, problems: float) -> Design:
    """The same with so many problems, whose families are of the same sizes."""
    families = design.problems if design.families is None else design.families
    return replace(design, problems=problems, families=families * problems / design.problems)


def fewest_problems(
    components: Components, design: Design, question: Question, most: float = MOST_PROBLEMS
) -> int | None:
    """None: no number of problems would, up to `most`. Upwards, for trainings few in number count for less where problems are
    many, so that more need not be better."""
    least, tried = LEAST_PROBLEMS, float(LEAST_PROBLEMS)
    while tried <= most * STEP:
        here = math.floor(min(tried, most))
        if settles(components, at_problems(design, here), question):
            return _first(components, design, question, least, here)
        least, tried = here, tried * STEP
    return None


def _first(components: Components, design: Design, question: Question, low: int, high: int) -> int:
    while low < high:
        middle = (low + high) // 2
        if settles(components, at_problems(design, middle), question):
            high = middle
        else:
            low = middle + 1
    return high


def cheapest(
    components: Components, candidates: Iterable[Candidate], question: Question, most: float = MOST_PROBLEMS
) -> Candidate | None:
    """Of designs that may have any number of problems up to `most`."""
    best: Candidate | None = None
    for candidate in sorted(candidates, key=lambda each: each.tokens_beside):
        affordable = (
            most if best is None else min(most, (best.tokens - candidate.tokens_beside) / candidate.tokens_by_problem)
        )
        if affordable < LEAST_PROBLEMS:
            continue
        problems = fewest_problems(components, candidate.design, question, affordable)
        if problems is not None:
            found = replace(candidate, design=at_problems(candidate.design, problems))
            best = found if best is None or found.tokens < best.tokens else best
    return best
