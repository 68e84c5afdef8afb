"""Simulated trainings on a model's own answers whose truth is known: chances, lengths, doubt and cuts by generation.

A question has a place of its own in the Beta law of chances around the generation's, and keeps it; its rollouts are draws.
So the truth of every mean is what was put in, that of groups with one reward is the Beta-binomial's, and questions are the
unit. Another world has other questions; trainings of one world share them.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl
from scipy.special import betaincinv, gammaincinv
from scipy.stats import betabinom

from selfdistill.analysis.practice import Practised
from selfdistill.analysis.practice_questions import without_prompts
from selfdistill.tables.practice import ROLLOUTS, UPDATES
from selfdistill.tables.schema import conform
from selfdistill.tables.training import RUN_LOG

ALIKE = 4.0  # α + β of a question's chance


@dataclass(frozen=True)
class Truth:
    """Of the first generation and of the last one; on a straight line between them."""

    reward: tuple[float, float] = (0.6, 0.2)
    tokens: tuple[float, float] = (120.0, 60.0)
    doubts_per_token: tuple[float, float] = (0.04, 0.01)
    cut: tuple[float, float] = (0.0, 0.0)
    looping: float = 0.5  # of the cut ones
    generations: int = 10
    questions: int = 16
    rollouts: int = 8
    updates: int = 2
    coverage: int = 10_000
    distil: bool = True
    training_sd: float = 0.0  # of the reward, between trainings
    replays: bool = False
    extra: dict[str, tuple[float, float]] = field(default_factory=dict)  # columns of UPDATES

    def at(self, ends: tuple[float, float], generation: int) -> float:
        first, last = ends
        return first + (last - first) * (generation - 1) / max(1, self.generations - 1)

    def flat(self, generation: int) -> tuple[float, float]:
        """The chances of a group that is all wrong, and of one that is all right, where nothing is cut."""
        chance = self.at(self.reward, generation)
        law = betabinom(self.rollouts, ALIKE * chance, ALIKE * (1 - chance))
        return float(law.pmf(0)), float(law.pmf(self.rollouts))


def rollouts(truth: Truth, seed: int, world: int = 0) -> pl.DataFrame:
    """ROLLOUTS of one training. The reward of a cut answer is 0: its chance is that of the others, less the cut ones."""
    places = np.random.default_rng(world).random((2, truth.coverage))
    random = np.random.default_rng([world, seed])
    moved = truth.training_sd * random.standard_normal()
    asked = np.concatenate(
        [random.permutation(truth.coverage) for _ in range(1 + truth.generations * truth.questions // truth.coverage)]
    )
    parts, counts = [], np.zeros(truth.coverage, dtype=int)
    for generation in range(1, truth.generations + 1):
        chosen = asked[(generation - 1) * truth.questions : generation * truth.questions]
        draws = []
        for question in chosen:
            draws.append(counts[question] + np.arange(truth.rollouts))
            counts[question] += truth.rollouts
        own = np.repeat(chosen, truth.rollouts)
        part = _generation(truth, generation, places[:, own], moved, random)
        parts.append(
            part.with_columns(draw=np.concatenate(draws), problem_id=pl.Series([f"q{each:05d}" for each in own]))
        )
    frame = pl.concat(parts)
    missing = [pl.lit(None).alias(name) for name in ROLLOUTS if name not in frame.columns]
    return conform(frame.with_columns(missing), ROLLOUTS, "simulated rollouts")


def _generation(
    truth: Truth, generation: int, places: np.ndarray, moved: float, random: np.random.Generator
) -> pl.DataFrame:
    """`places` of each rollout's question in the laws of chances and of lengths."""
    chance = float(np.clip(truth.at(truth.reward, generation) + moved, 0.001, 0.999))
    size = places.shape[1]
    right = random.random(size) < betaincinv(ALIKE * chance, ALIKE * (1 - chance), places[0])
    cut = random.random(size) < truth.at(truth.cut, generation)
    looping = cut & (random.random(size) < truth.looping)
    pace = gammaincinv(8, places[1]) / 8
    tokens = np.maximum(1, random.poisson(truth.at(truth.tokens, generation) * pace))
    doubts = random.poisson(truth.at(truth.doubts_per_token, generation) * tokens)
    reward = np.where(cut, 0.0, right)
    share = truth.questions // truth.updates
    step = (
        (generation - 1) * truth.updates
        + 1
        + np.minimum(np.arange(size) // (share * truth.rollouts), truth.updates - 1)
    )
    groups = reward.reshape(-1, truth.rollouts)
    taught = np.repeat(groups.any(axis=1) & truth.distil, truth.rollouts)
    return pl.DataFrame({
        "generation": generation, "step": step, "n_tokens": tokens, "logprob": -0.5 * tokens, "finish_class": np.where(looping, "loop", np.where(cut, "cut", "answered")),
        "verdict": np.where(cut, "unanswered", np.where(right, "correct", "wrong")), "reward": reward,
        "advantage": reward - np.repeat(groups.mean(axis=1), truth.rollouts), "doubts": doubts, "looping": looping,
        "teacher_ids": [[1, 2, 3] if each else None for each in taught],
    })  # fmt: skip


def updates(truth: Truth, seed: int = 0) -> pl.DataFrame:
    """UPDATES: what is given in `extra` goes along its line, exactly."""
    steps = range(1, truth.generations * truth.updates + 1)
    generation = [(step - 1) // truth.updates + 1 for step in steps]
    first = [(step - 1) % truth.updates == 0 for step in steps]
    taught = 1.0 if truth.distil else None
    frame = pl.DataFrame({
        "step": steps, "generation": generation, "taught": [taught for _ in steps],
        "seconds_answering": [None if truth.replays else 3.0 if start else None for start in first],
        "seconds_learning": [2.0 for _ in steps], "peak_bytes": [10**9 + seed for _ in steps],
        **{name: [truth.at(ends, each) for each in generation] for name, ends in truth.extra.items()},
    })  # fmt: skip
    missing = [pl.lit(None).alias(name) for name in UPDATES if name not in frame.columns]
    return conform(frame.with_columns(missing), UPDATES, "simulated updates")


def log(truth: Truth) -> pl.DataFrame:
    steps = range(1, truth.generations * truth.updates + 1)
    blank: dict[str, Any] = dict.fromkeys(RUN_LOG, 0.0)
    return conform(pl.DataFrame([blank | {"step": step, "entropy": 1.0} for step in steps]), RUN_LOG, "simulated log")


def families(truth: Truth, size: int = 1) -> pl.DataFrame:
    """Every problem by itself, or so many in a family."""
    numbers = range(truth.coverage)
    return pl.DataFrame(
        {"problem_id": [f"q{n:05d}" for n in numbers], "family": [f"f{n // size:05d}" for n in numbers]}
    )


def practised(arm: str, truth: Truth, seeds: int = 1, world: int = 0, size: int = 1) -> list[Practised]:
    return [
        Practised.of(
            f"{arm}/seed-{seed}", truth.rollouts, without_prompts(rollouts(truth, seed, world)), updates(truth, seed), log(truth),
            families(truth, size), truth.replays,
        )
        for seed in range(seeds)
    ]  # fmt: skip
