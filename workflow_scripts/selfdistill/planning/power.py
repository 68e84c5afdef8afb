"""The differences that a study could find, before it runs: the smallest true one that a comparison detects with 80 % power.

A comparison is of paired means over problems. Of one answer's variance p(1 − p), a share lies between problems and the
rest between draws of one problem. Two arms share most of what lies between problems (the correlation of their true
accuracies, problem by problem). What lies between draws is each answer's own and shrinks with their number, unless models
draw with shared noise (evaluation.coupling). Then answers of two models with the same noise have a correlation c, of what
lies between draws. With n(ν) answers of the noise ν among a side's N (all its draws, all its trainings):

    Var(mean difference) = [ 2·between·(1 − correlation)
                             + within·(1 − c)·(1/N + 1/N') + within·c·Σ_ν (n(ν)/N − n'(ν)/N')² ] / problems

What is shared cancels as far as both sides rest on it in equal parts. With c = 0, or a noise of its own for every answer, the
last line is within/N + within/N'. Trainings of one arm are more alike than either and the base, which is left out: of the
lab's `ssd` c is 0.8 between two trainings and 0.65 with the base.

Problems in families count as fewer, at worst as many as there are families. The detectable difference is
(t(1 − α/2) + t(power))·SE: (z + z)² stands in the formula for n, squared.
"""

import math
from collections import Counter
from dataclasses import dataclass

from scipy import stats

from selfdistill.planning.counts import number
from selfdistill.planning.figures import Figures
from selfdistill.statistics.clusters import ClusterMean
from selfdistill.statistics.power import minimal_detectable_difference
from selfdistill.study.evaluation import Draws, Hypothesis
from selfdistill.study.study import Study

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
class Answers:
    """What one side of a comparison is asked for at each problem: for every answer the number of its noise."""

    noises: tuple[int, ...]

    @classmethod
    def of(cls, draws: Draws, trainings: int | None = None) -> "Answers":
        """Of so many training seeds of an arm; without them, of the base."""
        models = [None] if trainings is None else range(trainings)
        each = draws.of(trained=trainings is not None)
        return cls(tuple(draws.noise(draw, model) for model in models for draw in range(each)))

    def __len__(self) -> int:
        return len(self.noises)

    def shares(self) -> dict[int, float]:
        """Noise → the part of the answers that is drawn with it."""
        return {noise: count / len(self) for noise, count in Counter(self.noises).items()}


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


def standard_error(spread: Spread, problems: float, side: Answers, against: Answers, coupled: bool = False) -> float:
    between = spread.between_share * spread.of_one_answer
    within = spread.of_one_answer - between
    shared = spread.draw_correlation if coupled else 0.0
    mine, theirs = side.shares(), against.shares()
    unequal = sum((mine.get(noise, 0.0) - theirs.get(noise, 0.0)) ** 2 for noise in mine.keys() | theirs.keys())
    noise = within * ((1 - shared) * (1 / len(side) + 1 / len(against)) + shared * unequal)
    return math.sqrt((2 * between * (1 - spread.correlation) + noise) / problems)


def reaches(study: Study, figures: Figures) -> list[Reach]:
    """One for every hypothesis of the study, in its order."""
    if not study.hypotheses:
        return []
    spread = spread_of(study, figures)
    problems = round(number(study.evaluation.budgets["full"]) * (1 - study.problems.dev_share))
    units = max(2, round(problems / figures.value("family_size")))
    families = [hypothesis.family for hypothesis in study.hypotheses.values()]
    return [
        _reach(name, hypothesis, study, spread, problems, units, ALPHA / families.count(hypothesis.family))
        for name, hypothesis in study.hypotheses.items()
    ]


def spread_of(study: Study, figures: Figures) -> Spread:
    coupled = ["draw_correlation"] if study.evaluation.coupling == "shared" else []
    return Spread(*(figures.value(key) for key in ("accuracy", "between_share", "correlation", *coupled)))


def couples(study: Study, hypothesis: Hypothesis) -> bool:
    """Whether both sides draw with the same noise: at the same decode, which a fair comparison need not have, and without a
    twin, which has a stream of its own."""
    twins = [side for side in (hypothesis.arm, hypothesis.against) if side in study.arms and study.arms[side].resample]
    return study.evaluation.coupling == "shared" and hypothesis.comparison == "matched" and not twins


def _reach(
    name: str, hypothesis: Hypothesis, study: Study, spread: Spread, problems: int, units: int, alpha: float
) -> Reach:
    side, against = (answers_a_problem(study, arm) for arm in (hypothesis.arm, hypothesis.against))
    error = standard_error(spread, units, side, against, couples(study, hypothesis))
    return Reach(
        hypothesis=name,
        family=hypothesis.family,
        alpha=alpha,
        problems=problems,
        units=units,
        draws=len(side),
        draws_against=len(against),
        standard_error=error,
        standard_error_uncoupled=standard_error(spread, units, side, against),
        detectable=detectable(error, units, alpha),
        equivalent_within=equivalent_within(error, units, alpha),
        margin=hypothesis.margin,
    )


def answers_a_problem(study: Study, arm: str) -> Answers:
    """A trained arm has a model for every training seed; the base and its twins are one model."""
    trained = arm in study.arms and not study.arms[arm].resample
    return Answers.of(study.evaluation.draws_by_side, len(study.arms[arm].seeds) if trained else None)


def detectable(error: float, units: int, alpha: float = ALPHA, power: float = POWER) -> float:
    return minimal_detectable_difference(ClusterMean.of(0.0, error, units), alpha, power)


def equivalent_within(error: float, units: int, alpha: float = ALPHA, power: float = POWER) -> float:
    """Two one-sided tests at α find truly equal arms equivalent when both pass: t(1 − α) + t((1 + power)/2) errors."""
    quantiles = stats.t.ppf(1 - alpha, units - 1) + stats.t.ppf((1 + power) / 2, units - 1)
    return float(quantiles * error)
