"""The differences that a study could find, before it runs: the smallest true one that a comparison detects with 80 % power.

A comparison is of paired means over problems. Of one answer's variance p(1 − p), a share lies between problems and the
rest between draws of one problem. Two arms share most of what lies between problems (the correlation of their true
accuracies, problem by problem); what lies between draws is each arm's own and shrinks with its draws and training seeds:

    Var(mean difference) = [ 2·between·(1 − correlation) + within/draws_arm + within/draws_other ] / problems

Problems in families count as fewer, at worst as many as there are families. The detectable difference is
(t(1 − α/2) + t(power))·SE: (z + z)² stands in the formula for n, squared.
"""

import math
from dataclasses import dataclass

from scipy import stats

from selfdistill.planning.counts import number
from selfdistill.planning.figures import Figures
from selfdistill.statistics.clusters import ClusterMean
from selfdistill.statistics.power import minimal_detectable_difference
from selfdistill.study.evaluation import Hypothesis
from selfdistill.study.study import Study

ALPHA = 0.05
POWER = 0.8


@dataclass(frozen=True)
class Spread:
    accuracy: float
    between_share: float
    correlation: float

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
    detectable: float
    equivalent_within: float  # the margin inside which equal arms are shown to be with the same power
    margin: float


def standard_error(spread: Spread, problems: float, draws: int, draws_against: int) -> float:
    between = spread.between_share * spread.of_one_answer
    within = spread.of_one_answer - between
    variance = 2 * between * (1 - spread.correlation) + within / draws + within / draws_against
    return math.sqrt(variance / problems)


def reaches(study: Study, figures: Figures) -> list[Reach]:
    """One for every hypothesis of the study, in its order."""
    if not study.hypotheses:
        return []
    spread = Spread(*(figures.value(key) for key in ("accuracy", "between_share", "correlation")))
    problems = round(number(study.evaluation.budgets["full"]) * (1 - study.problems.dev_share))
    units = max(2, round(problems / figures.value("family_size")))
    families = [hypothesis.family for hypothesis in study.hypotheses.values()]
    return [
        _reach(name, hypothesis, study, spread, problems, units, ALPHA / families.count(hypothesis.family))
        for name, hypothesis in study.hypotheses.items()
    ]


def _reach(
    name: str, hypothesis: Hypothesis, study: Study, spread: Spread, problems: int, units: int, alpha: float
) -> Reach:
    draws, against = (answers_a_problem(study, arm) for arm in (hypothesis.arm, hypothesis.against))
    error = standard_error(spread, units, draws, against)
    return Reach(
        hypothesis=name,
        family=hypothesis.family,
        alpha=alpha,
        problems=problems,
        units=units,
        draws=draws,
        draws_against=against,
        standard_error=error,
        detectable=detectable(error, units, alpha),
        equivalent_within=equivalent_within(error, units, alpha),
        margin=hypothesis.margin,
    )


def answers_a_problem(study: Study, arm: str) -> int:
    """The arm's draws over all its training seeds; the base and its twins are one model."""
    trained = arm in study.arms and not study.arms[arm].resample
    return study.evaluation.draws * (len(study.arms[arm].seeds) if trained else 1)


def detectable(error: float, units: int, alpha: float = ALPHA, power: float = POWER) -> float:
    return minimal_detectable_difference(ClusterMean.of(0.0, error, units), alpha, power)


def equivalent_within(error: float, units: int, alpha: float = ALPHA, power: float = POWER) -> float:
    """Two one-sided tests at α find truly equal arms equivalent when both pass: t(1 − α) + t((1 + power)/2) errors."""
    quantiles = stats.t.ppf(1 - alpha, units - 1) + stats.t.ppf((1 + power) / 2, units - 1)
    return float(quantiles * error)
