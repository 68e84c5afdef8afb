"""Shared noise and unequal draws leave intervals as true as they were, and make them narrower: simulated studies."""

import numpy as np
import pytest

from selfdistill.analysis.differences import Difference, estimated
from selfdistill.study.evaluation import Draws

STUDIES, PROBLEMS = 1000, 200
Array = np.ndarray


def chances(randomness: np.random.Generator, shape: tuple[int, ...], effect: float) -> tuple[Array, Array]:
    """True accuracies of base and arm; an effect differs from problem to problem."""
    logits = randomness.normal(0.4, 1.5, shape)
    moved = logits + effect * randomness.normal(1.0, 1.0, shape)
    return 1 / (1 + np.exp(-logits)), 1 / (1 + np.exp(-moved))


def studies(draws: Draws, shared: float, effect: float) -> tuple[Array, Array, Array]:
    """Low and high ends and p of the accuracy's difference, a row a study. Each draw has, with the chance `shared`, the same
    noise on both sides."""
    randomness = np.random.default_rng(4)
    rows = []
    for _ in range(STUDIES):
        base, arm = chances(randomness, (PROBLEMS,), effect)
        noise = randomness.random((PROBLEMS, draws.base))
        own = randomness.random((PROBLEMS, draws.arms))
        same = randomness.random(own.shape) < shared
        right = np.where(same, noise[:, : draws.arms], own) < arm[:, None]
        values = right.mean(1) - (noise < base[:, None]).mean(1)
        row = estimated(Difference("accuracy", values, np.ones(PROBLEMS), True), np.arange(PROBLEMS), "problem")
        rows.append((row["low"], row["high"], row["p_value"]))
    low, high, p = np.array(rows).T
    return low, high, p


@pytest.mark.parametrize("draws", [Draws(base=1, arms=1), Draws(base=2, arms=2), Draws(base=4, arms=1)], ids=str)
def test_coverage_and_false_positives_hold_and_intervals_are_narrower(draws: Draws) -> None:
    low, high, p = studies(draws, shared=0.7, effect=0.0)
    assert (p < 0.05).mean() <= 0.065
    assert ((p < 0.05) == ((low > 0) | (high < 0))).all()
    base, arm = chances(np.random.default_rng(5), (2_000_000,), effect=0.3)
    truth = float((arm - base).mean())
    low, high, _ = studies(draws, shared=0.7, effect=0.3)
    assert 0.93 <= ((low <= truth) & (truth <= high)).mean() <= 0.97
    own_low, own_high, _ = studies(draws, shared=0.0, effect=0.3)
    assert (high - low).mean() < (0.95 if draws.base > draws.arms else 0.75) * (own_high - own_low).mean()
