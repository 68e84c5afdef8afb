"""Simulated studies whose truth is known: a population of problems, models that solve them, and the answers they give.

`simulate` gives graded answers as the analysis reads them. Many studies go into one table, each under a decode of its own:
problems, trainings and draws are drawn anew for each, only the sizes of the families are common. So one call of the
real functions judges them all.

The population: a problem has a difficulty on the logit scale, and every model its own strengths by problem beside its mean.
Problems of a family share half of the variance of both. A training moves the mean accuracy of its arm, and a little of
each problem; the mean over trainings is `effect`, in shares.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.special import expit

Array = NDArray[Any]

FAMILY_SHARE = 0.5  # of the variance between problems, common to a family
STRENGTHS = 0.35  # SD on the logit scale of an arm's own strengths by problem
WOBBLE = 0.25  # the same of a single training, where trainings vary
CUT_AMONG_WRONG = 0.15
CAP = 2048
DEV = 4  # problems of the dev split beside those of test: the fair comparison cannot do without

# Difficulty: parts of the population with their share, place and spread on the logit scale.
PARTS = {
    "logit-normal": ((1.0, 0.0, 1.5),),
    "bimodal": ((0.5, -2.5, 0.7), (0.5, 2.5, 0.7)),
}


@dataclass(frozen=True)
class World:
    """A population and a design."""

    problems: int = 300  # of the test split
    draws: int = 1
    base_draws: int | None = None  # where the base has others than the arms
    difficulty: Literal["logit-normal", "bimodal", "settled"] = "logit-normal"  # settled: each answer is certain
    accuracy: float = 0.64  # of the base
    families: Literal["single", "one to five", "one giant"] = "single"
    arms: tuple[str, ...] = ("arm",)
    trainings: int = 1
    training_sd: float = 0.0  # of the accuracy, between trainings of one arm
    effect: float = 0.0  # of every arm on the accuracy, as a mean over trainings
    effects: tuple[float, ...] = ()  # of each arm, where they are not the same
    resampled: bool = False  # whether the base answers anew, under the name of aa
    coupling: float = 0.0  # chance that an arm's answer comes from the same random number as the base's

    @property
    def draws_of_base(self) -> int:
        return self.base_draws or self.draws


@dataclass(frozen=True)
class Studies:
    """Graded answers of many studies, and what is true of them."""

    graded: pl.DataFrame
    names: list[str]  # the decodes, one a study
    effects: dict[str, Array]  # by arm, of the very trainings of each study


def simulate(world: World, studies: int, random: np.random.Generator) -> Studies:
    families = family_sizes(world, random)
    names = [f"study-{study:03d}" for study in range(studies)]
    population = _Settled(world) if world.difficulty == "settled" else _Logistic(world)
    population.draw(families, studies, random)
    splits = np.repeat(["test", "dev"], [world.problems, DEV])
    noise = random.random((studies, len(families), max(world.draws, world.draws_of_base)))
    right = noise[:, :, : world.draws_of_base] < population.of_base()[:, :, None]
    frames, effects = [answers("base", names, right, families, splits, random)], {}
    if world.resampled:
        again = random.random((*noise.shape[:2], world.draws_of_base)) < population.of_base()[:, :, None]
        frames.append(answers("aa", names, again, families, splits, random))
    for arm, effect in zip(world.arms, world.effects or [world.effect] * len(world.arms), strict=True):
        moved = world.training_sd * random.standard_normal((world.trainings, studies))
        effects[arm] = effect + moved.mean(axis=0)
        common = population.strengths(random)
        for training in range(world.trainings):
            shares = population.of_training(effect + moved[training], common, random)
            right = _coupled(noise, world, random) < shares[:, :, None]
            frames.append(answers(f"{arm}/seed-{training}/at-100", names, right, families, splits, random))
    return Studies(pl.concat(frames), names, effects)


def family_sizes(world: World, random: np.random.Generator) -> Array:
    """The family of each problem, as a number; those of dev come last and stand alone."""
    numbers = np.arange(world.problems)
    if world.families == "one giant":
        numbers = np.maximum(numbers - world.problems // 3 + 1, 0)
    if world.families == "one to five":
        numbers = np.repeat(numbers, random.integers(1, 6, size=world.problems))[: world.problems]
    return np.concatenate([numbers, numbers[-1] + 1 + np.arange(DEV)])


def _coupled(noise: Array, world: World, random: np.random.Generator) -> Array:
    fresh = random.random((*noise.shape[:2], world.draws))
    shared = min(world.draws, world.draws_of_base)
    same = random.random((*noise.shape[:2], shared)) < world.coupling
    fresh[:, :, :shared] = np.where(same, noise[:, :, :shared], fresh[:, :, :shared])
    return fresh


class _Logistic:
    """Chances of right answers: logistic in difficulty plus the model's mean, its strengths and its training's."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.wobble = WOBBLE if world.training_sd else 0.0
        self.spread = float(np.hypot(STRENGTHS, self.wobble))

    def draw(self, families: Array, studies: int, random: np.random.Generator) -> None:
        self.families, self.studies = families, studies
        parts = PARTS[self.world.difficulty]
        # A family lies in one part of the population, as its problems are alike.
        part = random.choice(len(parts), p=[share for share, _, _ in parts], size=(studies, families.max() + 1))
        _, places, spreads = (np.array(column) for column in zip(*parts, strict=True))
        part = part[:, families]
        self.difficulty = places[part] + spreads[part] * self._normal(random)

    def of_base(self) -> Array:
        place = place_of(self.world.accuracy, self.world.difficulty, 0.0)
        return expit(place + self.difficulty)

    def strengths(self, random: np.random.Generator) -> Array:
        return STRENGTHS * self._normal(random)

    def of_training(self, effects: Array, common: Array, random: np.random.Generator) -> Array:
        places = place_of(self.world.accuracy + effects, self.world.difficulty, self.spread)
        own = self.wobble * self._normal(random) if self.wobble else 0.0
        return expit(places[:, None] + self.difficulty + common + own)

    def _normal(self, random: np.random.Generator) -> Array:
        """A standard normal by problem, of which families share their part."""
        own = random.standard_normal((self.studies, len(self.families)))
        if self.world.families == "single":
            return own
        shared = random.standard_normal((self.studies, self.families.max() + 1))[:, self.families]
        return np.sqrt(FAMILY_SHARE) * shared + np.sqrt(1 - FAMILY_SHARE) * own


class _Settled:
    """Every answer is certain, and an arm loses (or wins) a few: few pairs differ, and all one way."""

    def __init__(self, world: World) -> None:
        self.world = world

    def draw(self, families: Array, studies: int, random: np.random.Generator) -> None:
        self.right = random.random((studies, families.max() + 1))[:, families] < self.world.accuracy

    def of_base(self) -> Array:
        return self.right.astype(float)

    def strengths(self, random: np.random.Generator) -> Array:
        return random.random(self.right.shape)

    def of_training(self, effects: Array, common: Array, random: np.random.Generator) -> Array:
        lost = common < np.maximum(-effects, 0)[:, None] / max(self.world.accuracy, 1e-12)
        won = common < np.maximum(effects, 0)[:, None] / max(1 - self.world.accuracy, 1e-12)
        return np.where(self.right, ~lost, won).astype(float)


def place_of(accuracy: Any, difficulty: str, spread: float) -> Array:
    """The mean on the logit scale at which a population is solved in such a share; `spread` is the model's own."""
    places, shares = _accuracy_curve(difficulty, spread)
    return np.interp(accuracy, shares, places)


@lru_cache
def _accuracy_curve(difficulty: str, spread: float) -> tuple[Array, Array]:
    nodes, weights = np.polynomial.hermite_e.hermegauss(61)
    weights = weights / weights.sum()
    places = np.linspace(-16, 16, 6401)
    shares = np.zeros_like(places)
    for share, place, deviation in PARTS[difficulty]:
        shares += share * expit(places[:, None] + place + np.hypot(deviation, spread) * nodes) @ weights
    return places, shares


def answers(
    model: str,
    decodes: Sequence[str],
    right: Array,
    families: Array,
    splits: Array,
    random: np.random.Generator,
) -> pl.DataFrame:
    """Graded answers of one model; `right` by decode, problem and draw."""
    n_decodes, problems, draws = right.shape
    right = right.ravel()
    cut = ~right & (random.random(right.size) < CUT_AMONG_WRONG)
    tokens = np.minimum(np.exp(random.normal(6, 0.4, right.size)), CAP - 1).astype(np.int64)
    problem = np.tile(np.repeat(np.arange(problems), draws), n_decodes)
    numbered = pl.Series([f"p{number:05d}" for number in range(problems)])
    named = pl.Series([f"f{number:05d}" for number in families])
    split = pl.Series(splits.tolist())
    return pl.DataFrame(
        {
            "model_id": pl.Series([model]).gather(np.zeros(right.size, dtype=np.int64)),
            "decode_id": pl.Series(list(decodes)).gather(np.repeat(np.arange(n_decodes), problems * draws)),
            "problem_id": numbered.gather(problem),
            "family": named.gather(problem),
            "split": split.gather(problem),
            "rank": problem,
            "purpose": pl.Series(["eval"]).gather(np.zeros(right.size, dtype=np.int64)),
            "draw": np.tile(np.arange(draws), n_decodes * problems),
            "n_tokens": np.where(cut, CAP, tokens),
            "finish_class": pl.Series(["answered", "cut"]).gather(cut.astype(np.int64)),
            "think_closed": ~cut,
            "boxed": ~cut,
            "other_correct": pl.Series([None], dtype=pl.Boolean).gather(np.zeros(right.size, dtype=np.int64)),
            "verdict": pl.Series(["wrong", "correct", "unanswered"]).gather(np.where(cut, 2, right.astype(np.int64))),
        }
    )
