"""The differences that a study could find, before it runs: the smallest true one that a comparison detects with 80 % power.

The error of a comparison follows from the components of its variance (`statistics/components.py`): from a pilot, or from
figures. Of one answer's variance p(1 − p), a share lies between problems and the rest between draws of one problem. Two arms
share most of what lies between problems (the correlation of their true accuracies, problem by problem), so that their
difference has 2·between·(1 − correlation) of it. What lies between draws is each answer's own and shrinks with their number,
unless models draw with shared noise (evaluation.coupling): then answers with the same noise have a correlation.

Two claims are planned for: of these checkpoints, and of the method, whose error has the noise of training anew (training_sd) in
it, and which takes two trainings or more. Of figures, problems in families count as fewer, at worst as many as there are
families. The detectable difference is (t(1 − α/2) + t(power))·SE: (z + z)² stands in the formula for n, squared.
"""

import math
from dataclasses import dataclass, replace
from typing import Protocol

from selfdistill.planning.counts import number
from selfdistill.planning.figures import Figures
from selfdistill.statistics import designs
from selfdistill.statistics.clusters import ClusterMean
from selfdistill.statistics.components import (
    Answers,
    Components,
    Design,
    SideComponents,
    error_of_difference,
    variance_of_difference,
)
from selfdistill.study.answers import answers_of
from selfdistill.study.evaluation import Hypothesis
from selfdistill.study.study import Study
from selfdistill.tables import words

ALPHA = 0.05
POWER = 0.8


@dataclass(frozen=True)
class Spread:
    accuracy: float
    between_share: float
    correlation: float
    draw_correlation: float = 0.0  # of coupled draws, of what lies between draws

    @property
    def of_one_answer(self) -> float:
        return self.accuracy * (1 - self.accuracy)


@dataclass(frozen=True)
class Reach:
    """What one hypothesis' comparison can show. Differences are of accuracy, as shares."""

    hypothesis: str
    family: str
    alpha: float  # Holm's first step: the level that the smallest p of the family must beat
    problems: int
    units: int  # families of problems
    draws: int  # answers a problem, all training seeds together, of the arm
    draws_against: int
    standard_error: float
    standard_error_uncoupled: float  # what it would be if both sides drew with noise of their own
    detectable: float
    equivalent_within: float  # the margin inside which equal arms are shown to be with the same power
    margin: float
    trainings: int = 1  # of the side that has fewer; 0: nothing is trained
    detectable_of_method: float | None = None  # None: it takes two trainings, and a figure of how they vary
    equivalent_of_method: float | None = None

    @property
    def equivalent_of_claim(self) -> float:
        """Of the claim that the verdict will make: of the method where it can be made."""
        return self.equivalent_within if self.equivalent_of_method is None else self.equivalent_of_method

    @property
    def error_of_claim(self) -> float:
        """The error that detects as much by t with as many units."""
        if self.detectable_of_method is None:
            return self.standard_error
        return self.standard_error * self.detectable_of_method / self.detectable


class Basis(Protocol):
    """What a plan reckons with."""

    def components(self, study: Study, hypothesis: Hypothesis) -> Components: ...

    def design(self, study: Study, hypothesis: Hypothesis, problems: float) -> Design:
        """Of so many test problems, with the draws, trainings and coupling of the study."""


@dataclass(frozen=True)
class Stated:
    """By the figures of the model."""

    spread: Spread
    family_size: float
    training_sd: float | None

    def components(self, study: Study, hypothesis: Hypothesis) -> Components:
        between = math.nan if self.training_sd is None else self.training_sd**2
        mine, other = (is_trained(study, arm) for arm in (hypothesis.arm, hypothesis.against))
        return components_of(self.spread, between if mine else None, between if other else None)

    def design(self, study: Study, hypothesis: Hypothesis, problems: float) -> Design:
        units = max(2, round(problems / self.family_size))
        side, other = (answers_a_problem(study, arm) for arm in (hypothesis.arm, hypothesis.against))
        return Design(units, side, other, couples(study, hypothesis))


def components_of(spread: Spread, trainings: float | None = None, trainings_against: float | None = None) -> Components:
    between = spread.between_share * spread.of_one_answer
    within = spread.of_one_answer - between
    shared = spread.draw_correlation * within
    return Components(
        problems=2 * between * (1 - spread.correlation),
        side=SideComponents(within, trainings, shared=shared),
        other=SideComponents(within, trainings_against, shared=shared),
        coupled=shared,
    )


def standard_error(spread: Spread, problems: float, side: Answers, against: Answers, coupled: bool = False) -> float:
    return math.sqrt(variance_of_difference(components_of(spread), Design(problems, side, against, coupled)))


def stated(study: Study, figures: Figures) -> Stated:
    sd = figures.value("training_sd") if figures.has("training_sd") else None
    return Stated(spread_of(study, figures), figures.value("family_size"), sd)


def reaches(study: Study, figures: Figures, basis: Basis | None = None) -> list[Reach]:
    """One for every hypothesis about accuracy, in the study's order; by a pilot, or by the stated figures, which say
    nothing of other outcomes."""
    if not study.hypotheses:
        return []
    known, problems = basis or stated(study, figures), reported_problems(study)
    return [
        _reach(name, hypothesis, study, known, problems)
        for name, hypothesis in study.hypotheses.items()
        if hypothesis.outcome == words.ACCURACY
    ]


@dataclass(frozen=True)
class Seen:
    """Whether this study could see a difference that somebody reported."""

    name: str
    hypothesis: str
    of: str  # the full budget or a mixture
    source: str
    difference: float
    problems: int
    detectable: float  # at 5 %, by itself: one difference is asked about, not a family
    detectable_of_method: float | None

    @property
    def in_these_checkpoints(self) -> bool:
        return abs(self.difference) >= self.detectable

    @property
    def in_the_method(self) -> bool:
        return self.detectable_of_method is not None and abs(self.difference) >= self.detectable_of_method


def seen(study: Study, figures: Figures, basis: Basis | None = None) -> list[Seen]:
    """What was reported of a benchmark is held against that benchmark's test problems alone."""
    known = basis or (stated(study, figures) if study.reported else None)
    found = []
    for name, each in study.reported.items():
        assert known is not None
        problems = reported_problems(study, each.of)
        hypothesis = study.hypotheses[each.hypothesis]
        components, design = known.components(study, hypothesis), known.design(study, hypothesis, problems)
        error, method = (error_of_difference(components, design, of_method=claim) for claim in (False, True))
        of_method = _known(designs.detectable(method, ALPHA, POWER))
        found.append(
            Seen(name, each.hypothesis, each.of, each.source, each.difference, problems, designs.detectable(error, ALPHA, POWER), of_method)
        )  # fmt: skip
    return found


def reported_problems(study: Study, of: str = "full") -> int:
    """Of the test split of the full budget, or of a mixture."""
    mixtures = study.evaluation.mixtures
    asked = sum(map(number, mixtures[of].values())) if of in mixtures else number(study.evaluation.budgets["full"])
    return round(asked * (1 - study.problems.dev_share))


def level_of(study: Study, hypothesis: Hypothesis) -> float:
    """Holm's first step: what the smallest p of the family must beat."""
    return ALPHA / [each.family for each in study.hypotheses.values()].count(hypothesis.family)


def spread_of(study: Study, figures: Figures) -> Spread:
    known = study.evaluation.coupling == "shared" or figures.has("draw_correlation")
    coupled = ["draw_correlation"] if known else []
    return Spread(*(figures.value(key) for key in ("accuracy", "between_share", "correlation", *coupled)))


def is_trained(study: Study, arm: str) -> bool:
    return arm in study.arms and not study.arms[arm].resample


def couples(study: Study, hypothesis: Hypothesis) -> bool:
    """Whether both sides draw with the same noise: at the same decode, which a fair comparison need not have, and without a
    twin, which has a stream of its own."""
    twins = [side for side in (hypothesis.arm, hypothesis.against) if side in study.arms and study.arms[side].resample]
    return study.evaluation.coupling == "shared" and hypothesis.comparison == words.MATCHED and not twins


def _reach(name: str, hypothesis: Hypothesis, study: Study, basis: Basis, problems: int) -> Reach:
    components, alpha = basis.components(study, hypothesis), level_of(study, hypothesis)
    design = basis.design(study, hypothesis, problems)
    error = error_of_difference(components, design)
    method = error_of_difference(components, design, of_method=True)
    trained = [len(study.arms[arm].seeds) for arm in (hypothesis.arm, hypothesis.against) if is_trained(study, arm)]
    return Reach(
        hypothesis=name,
        family=hypothesis.family,
        alpha=alpha,
        problems=problems,
        units=round(design.degrees_of_freedom) + 1,
        draws=len(design.side),
        draws_against=len(design.other),
        standard_error=error.standard_error,
        standard_error_uncoupled=math.sqrt(variance_of_difference(components, replace(design, is_coupled=False))),
        detectable=designs.detectable(error, alpha, POWER),
        equivalent_within=designs.equivalent_within(error, alpha, POWER),
        margin=hypothesis.margin,
        trainings=min(trained, default=0),
        detectable_of_method=_known(designs.detectable(method, alpha, POWER)),
        equivalent_of_method=_known(designs.equivalent_within(method, alpha, POWER)),
    )


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None


def answers_a_problem(study: Study, arm: str) -> Answers:
    """A trained arm has a model for every training seed; the base and its twins are one model."""
    return answers_of(study.evaluation.draws_by_side, len(study.arms[arm].seeds) if is_trained(study, arm) else None)


def detectable(error: float, units: int, alpha: float = ALPHA, power: float = POWER) -> float:
    return designs.detectable(ClusterMean.of(0.0, error, units), alpha, power)


def equivalent_within(error: float, units: int, alpha: float = ALPHA, power: float = POWER) -> float:
    return designs.equivalent_within(ClusterMean.of(0.0, error, units), alpha, power)
