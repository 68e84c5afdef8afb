"""Tokens that it takes to settle a question of 2 points in a field study: today's design against shared random numbers and looks.

    python benchmarks/tokens_to_settle.py        (writes benchmarks/tokens_to_settle.md)

Today's design: base and arm answer each problem once, with independent random numbers, and all problems are asked at once.
The other: both answer with the same random numbers (as far as their laws allow and answers stay coupled), and studies stop
at a look when the question is settled. Sizes are computed for 80 % power and then simulated.
"""

import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from itertools import product
from pathlib import Path

import numpy as np
from scipy import stats
from scipy.optimize import brentq
from scipy.special import expit

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "workflow_scripts"))

from selfdistill.statistics.sequential import boundaries  # noqa: E402

from selfdistill.machine.provenance import provenance  # noqa: E402

# Of the studied work: accuracy at T 0.7 on 1,000 problems; at least 85 % of the variance of one answer lies between
# problems; the interval of base against SSD there, +1.90 [−0.20, +4.10], gives the variance of one pair.
ACCURACY = 0.64
WITHIN = 0.15 * ACCURACY * (1 - ACCURACY)
PUBLISHED = 1000 * (0.0430 / 2 / 1.959964) ** 2
CLOSE = (
    2 * WITHIN + (PUBLISHED - 2 * WITHIN) / 10
)  # of an arm whose true differences are a tenth of that: a control, a variant
TRAINING_SD = 0.01  # assumed
POINTS = 0.02
LOOKS = (1 / 3, 2 / 3, 1.0)
STUDIES = 4000
COUPLINGS = (0.0, 0.25, 0.5, 0.75, 0.9, 1.0)


@dataclass(frozen=True)
class Population:
    """Problems on the logit scale, and how far an arm's strengths by problem are from the base's."""

    place: float
    spread: float
    strengths: float
    shift: float  # of the arm's place

    def chances(self, difficulty: np.ndarray, strength: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        logits = self.place + self.spread * difficulty
        return expit(logits), expit(logits + self.shift + self.strengths * strength)


@cache
def grid() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Standard normal difficulty and strength, evenly by their chance, with equal weight."""
    normal = stats.norm.ppf((np.arange(1200) + 0.5) / 1200)
    return normal[:, None], normal[None, ::3], np.full((1200, 400), 1 / (1200 * 400))


@cache
def fitted(effect: float, variance: float) -> Population:
    """The population with the variances of the studied work, and an arm that is better by `effect`; `variance` is that of one
    pair of answers without an effect."""
    difficulty = grid()[0]

    def place(spread: float) -> float:
        return float(brentq(lambda at: expit(at + spread * difficulty).mean() - ACCURACY, -50, 50))

    def within(spread: float) -> float:
        p = expit(place(spread) + spread * difficulty)
        return float((p * (1 - p)).mean())

    spread = float(brentq(lambda s: within(s) - WITHIN, 0.5, 40))

    def arm(strengths: float, effect: float) -> Population:
        def gain(shift: float) -> float:
            a, b = reversed(Population(place(spread), spread, strengths, shift).chances(*grid()[:2]))
            return float(a.mean() - b.mean()) - effect

        return Population(place(spread), spread, strengths, float(brentq(gain, -10, 10)))

    strengths = brentq(lambda s: pair_variance(arm(float(s), 0.0), 0.0) - variance, 1e-6, 20)
    return arm(float(strengths), effect)


def pair_variance(population: Population, coupling: float, trainings: int = 1) -> float:
    """Variance over problems of (mean of an arm's trainings) − base, one answer of each; `coupling` is the chance that an
    answer of the arm and the base's come from the same random number."""
    b, a = population.chances(*grid()[:2])
    noise_b, noise_a = b * (1 - b), a * (1 - a) * (1 / trainings + (1 - 1 / trainings) * coupling**2)
    shared = coupling * (np.minimum(a, b) - a * b)
    return float((noise_a + noise_b - 2 * shared).mean() + (a - b).var())


def problems_needed(variance: float, errors: float, between: float = 0.0) -> float:
    """Problems for which `errors` standard errors fit into the points; inf where trainings alone vary too much."""
    left = (POINTS / errors) ** 2 - between
    return variance / left if left > 0 else math.inf


TO_FIND = stats.norm.ppf(0.975) + stats.norm.ppf(0.8)
TO_BOUND = stats.norm.ppf(0.95) + stats.norm.ppf(0.9)


@dataclass(frozen=True)
class Settled:
    """A simulated design: problems at most, the mean number asked, and how often it says what is true."""

    most: int
    asked: float
    right: float


def simulated(
    effect: float, variance: float, coupling: float, most: int, looks: tuple[float, ...], seed: int
) -> Settled:
    """Studies with a difference of `effect` that stop at the first look at which it is found, or bounded by the points."""
    random = np.random.default_rng(seed)
    population = fitted(effect, variance)
    found_at, bounded_at = boundaries(looks, 0.025), boundaries(looks, 0.05)
    ends = [round(most * share) for share in looks]
    right, asked = 0, 0
    for _ in range(STUDIES):
        differences = _pairs(population, coupling, most, random)
        for look, end in enumerate(ends):
            seen = differences[:end]
            mean, error = float(seen.mean()), max(float(seen.std(ddof=1) / math.sqrt(end)), 1e-9)
            found = abs(mean) / error > found_at[look]
            bounded = (POINTS - abs(mean)) / error > bounded_at[look]
            if found or bounded or end == ends[-1]:
                right += (found and mean > 0) if effect else bounded
                asked += end
                break
    return Settled(most, asked / STUDIES, right / STUDIES)


def _pairs(population: Population, coupling: float, problems: int, random: np.random.Generator) -> np.ndarray:
    b, a = population.chances(random.standard_normal(problems), random.standard_normal(problems))
    noise = random.random(problems)
    own = np.where(random.random(problems) < coupling, noise, random.random(problems))
    return (own < a).astype(float) - (noise < b)


@cache
def sized(effect: float, variance: float, coupling: float, looks: tuple[float, ...]) -> Settled:
    """The smallest design with 80 % power: computed for one look, then grown until the simulation has it."""
    needed = problems_needed(pair_variance(fitted(effect, variance), coupling), TO_FIND if effect else TO_BOUND)
    step = 1.0
    while True:
        found = simulated(effect, variance, coupling, round(needed * step), looks, 1)
        if found.right >= 0.8 - 0.4 * math.sqrt(0.16 / STUDIES) or step > 1.4:
            return found
        step += 0.02


def page() -> str:
    machine = provenance()
    within = 100 * WITHIN / ACCURACY / (1 - ACCURACY)
    lines = [
        "# What it takes to settle a question of two points",
        "",
        f"`python benchmarks/tokens_to_settle.py`, {datetime.now(UTC):%Y-%m-%d}, {machine['machine']}, Python "
        f"{machine['python']}, commit {machine['commit'][:10]}.",
        "",
        f"A field study like the studied work: accuracy {100 * ACCURACY:.0f} %, {within:.0f} % of the variance of one answer within "
        "problems (it says at most 15).",
        f"Its interval +1.90 [−0.20, +4.10] on 1,000 problems gives a variance of {PUBLISHED:.3f} for one pair of answers, more than "
        f"the {2 * WITHIN:.3f}",
        "that chance within problems makes: the rest is true difference by problem, which no sampling takes away.",
        "",
        "“Today” asks each problem once of base and arm, with independent random numbers, and all problems at once. “Coupled” is the",
        "chance that an answer of the arm comes from the same random number as the base's: 1 if answers stay coupled to their end,",
        "which is the most that shared random numbers can do. With looks, a study stops at a third, two thirds or all of its problems",
        "(error spending like O'Brien and Fleming) as soon as a difference is found, or shown to be below two points. Sizes have",
        f"80 % power by simulation of {STUDIES:,} studies. All answers are taken to be as long: a share of the problems asked is one of",
        "the tokens.",
        "",
    ]
    for name, variance in (("as far from the base as the published one", PUBLISHED), ("close to the base", CLOSE)):
        lines += [f"## These checkpoints: an arm {name}", "", *_checkpoint_lines(variance), ""]
    lines += ["## The method: several trainings of the arm", "", *_method_lines()]
    return "\n".join(lines) + "\n"


def _checkpoint_lines(variance: float) -> Iterator[str]:
    b, a = fitted(0.0, variance).chances(*grid()[:2])
    yield (
        f"Variance of one pair {variance:.3f}; root mean square of the true difference by problem "
        f"{100 * math.sqrt(float(((a - b) ** 2).mean())):.0f} points, mean of its size {100 * float(np.abs(a - b).mean()):.1f} points."
    )
    yield ""
    yield (
        "| design | a difference of 2 points: problems at most | asked on average | of today's tokens | no difference: problems at "
        "most | asked on average | of today's tokens |"
    )
    yield "|---|---|---|---|---|---|---|"
    for coupling, looks in product(COUPLINGS, ((1.0,), LOOKS)):
        cells = []
        for effect in (POINTS, 0.0):
            found, today = (sized(effect, variance, *design) for design in ((coupling, looks), (0.0, (1.0,))))
            cells += [f"{found.most:,}", f"{found.asked:,.0f}", f"{found.asked / today.asked:.2f}"]
        name = f"coupled {coupling:g}" if coupling else "today" if len(looks) == 1 else "independent"
        yield f"| {name}{', looks' if len(looks) > 1 else ''} | {' | '.join(cells)} |"


def _method_lines() -> Iterator[str]:
    yield (
        f"With a standard deviation of {100 * TRAINING_SD:g} point between trainings (assumed), one training cannot speak of the method, "
        "and few cannot at any number of"
    )
    yield "problems. Computed for the published arm, one look, normal quantiles; answers are those of the base and of every training."
    yield ""
    yield "| trainings | today: problems | answers | coupled 0.5: answers | of today's | coupled 1: answers | of today's |"
    yield "|---|---|---|---|---|---|---|"
    for trainings in (1, 2, 3, 4, 6, 8, 12):
        needed = [
            problems_needed(
                pair_variance(fitted(POINTS, PUBLISHED), coupling, trainings), TO_FIND, TRAINING_SD**2 / trainings
            )
            for coupling in (0.0, 0.5, 1.0)
        ]
        if math.isinf(needed[0]):
            yield f"| {trainings} | no number is enough | | | | | |"
            continue
        answers = [problems * (1 + trainings) for problems in needed]
        cells = [f"{needed[0]:,.0f}", f"{answers[0]:,.0f}"]
        for found in answers[1:]:
            cells += [f"{found:,.0f}", f"{found / answers[0]:.2f}"]
        yield f"| {trainings} | {' | '.join(cells)} |"


def main() -> None:
    (ROOT / "benchmarks/tokens_to_settle.md").write_text(page())
    print(page())


if __name__ == "__main__":
    main()
