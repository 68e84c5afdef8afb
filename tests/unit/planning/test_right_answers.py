"""How many problems are expected to have a right answer, against draws of problems and of answers."""

import numpy as np
import pytest

from selfdistill.planning.right_answers import share_answered


@pytest.mark.parametrize(
    ("accuracy", "between", "draws"), [(0.3, 0.48, 8), (0.67, 0.2, 4), (0.05, 0.7, 16), (0.5, 0.5, 1)]
)
def test_the_share_is_that_of_simulated_problems(accuracy: float, between: float, draws: int) -> None:
    """Accuracies of problems from the beta law with this mean, whose variance is this share of that of one answer."""
    rng, spread = np.random.default_rng(3), 1 / between - 1
    problems = rng.beta(accuracy * spread, (1 - accuracy) * spread, 400_000)
    assert np.var(problems) == pytest.approx(between * accuracy * (1 - accuracy), rel=0.02)
    answered = np.mean(rng.binomial(draws, problems) > 0)
    assert share_answered(accuracy, between, draws) == pytest.approx(answered, abs=0.004)


def test_the_ends_are_those_of_equal_problems_and_of_sure_ones() -> None:
    assert share_answered(0.4, 0.0, 3) == pytest.approx(1 - 0.6**3)
    assert share_answered(0.4, 1.0, 3) == 0.4 and share_answered(1.0, 0.5, 2) == 1
    assert share_answered(0.4, 1e-9, 3) == pytest.approx(1 - 0.6**3) and share_answered(0.4, 0.5, 1) == pytest.approx(
        0.4
    )
