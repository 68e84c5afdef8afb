"""Agreement of two measurements, against published figures and simulations."""

import math

import numpy as np
import pytest
from scipy import stats

from selfdistill.statistics.agreement import bland_altman, spearman

# Peak expiratory flow by two meters, in litres a minute: Bland and Altman, Lancet 1986, table 1, first readings.
LARGE = [494, 395, 516, 434, 476, 557, 413, 442, 650, 433, 417, 656, 267, 478, 178, 423, 427]
MINI = [512, 430, 520, 428, 500, 600, 364, 380, 658, 445, 432, 626, 260, 477, 259, 350, 451]


def test_the_figures_of_bland_and_altman_come_out() -> None:
    """The paper has a bias of −2.1 (−22.1 to 17.8), s = 38.8, and −79.7 (−114.3 to −45.1) and 75.5 (40.9 to 110.1) with
    limits at 2 s, an error of √(3 s²/n) and t = 2.12."""
    found = bland_altman(LARGE, MINI)
    assert found.bias.estimate == pytest.approx(-2.1, abs=0.05)
    assert (found.bias.interval.low, found.bias.interval.high) == pytest.approx((-22.1, 17.8), abs=0.1)
    assert found.upper_limit.estimate - found.bias.estimate == pytest.approx(1.96 * 38.8, abs=0.1)
    half = found.lower_limit.interval.high - found.lower_limit.estimate
    assert half == pytest.approx(34.6, abs=0.5)
    assert found.upper_limit.interval.high - found.upper_limit.estimate == pytest.approx(half)


def test_ranks_agree_as_scipy_says_with_ties_too() -> None:
    one, other = [1, 2, 2, 4, 5, 5, 9], [2, 1, 3, 3, 8, 7, 7]
    assert spearman(one, other).estimate == pytest.approx(stats.spearmanr(one, other).statistic)
    assert spearman(LARGE, MINI).interval.low < 0.9 < spearman(LARGE, MINI).interval.high


@pytest.mark.parametrize("correlation", [0.0, 0.6])
def test_the_interval_of_rho_holds_the_true_one_as_often_as_it_says(correlation: float) -> None:
    generator, n = np.random.default_rng(7), 60
    true = 6 / math.pi * math.asin(correlation / 2)  # of a bivariate normal
    covered = 0
    for _ in range(600):
        one = generator.standard_normal(n)
        other = correlation * one + math.sqrt(1 - correlation**2) * generator.standard_normal(n)
        interval = spearman(one, other).interval
        covered += interval.low <= true <= interval.high
    assert 0.925 <= covered / 600 <= 0.975


def test_the_interval_of_a_limit_holds_the_true_one_as_often_as_it_says() -> None:
    generator = np.random.default_rng(11)
    covered = [
        found.low <= 1 + 1.959964 * 2 <= found.high
        for found in (bland_altman(1 + 2 * generator.standard_normal(40), np.zeros(40)).upper_limit.interval for _ in range(800))
    ]  # fmt: skip
    assert 0.93 <= sum(covered) / 800 <= 0.97


def test_what_never_varies_has_no_order_to_agree_with() -> None:
    assert math.isnan(spearman([0, 0, 0, 0, 0], [1, 2, 3, 4, 5]).estimate)
    assert math.isnan(bland_altman([], []).bias.estimate)
    found = spearman([1, 2, 3, 4, 5], [2, 4, 6, 8, 10])
    assert found.estimate == pytest.approx(1) and math.isnan(found.interval.low)
