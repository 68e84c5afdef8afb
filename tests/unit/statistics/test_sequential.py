"""Looks: boundaries as the published software has them, and levels that hold for all looks together, by simulation."""

import math

import numpy as np
import pytest
from scipy import stats

from selfdistill.statistics.sequential import (
    boundaries,
    chance_above,
    nominal_levels,
    sequential_p,
    stopping,
)
from selfdistill.statistics.spending import Spending, obrien_fleming, pocock

EQUAL_3 = (1 / 3, 2 / 3, 1.0)
EQUAL_5 = (0.2, 0.4, 0.6, 0.8, 1.0)
FIELD = (0.3, 0.6, 1.0)


@pytest.mark.parametrize(
    ("times", "level", "spending", "published"),
    [
        # gsDesign (sfLDOF) and rpact (asOF) agree to four decimals.
        pytest.param(EQUAL_3, 0.025, obrien_fleming, (3.7103, 2.5114, 1.9930), id="three equal looks"),
        pytest.param(EQUAL_5, 0.025, obrien_fleming, (4.8769, 3.3570, 2.6803, 2.2898, 2.0310), id="five equal looks"),
        pytest.param(EQUAL_5, 0.025, pocock, (2.4380, 2.4268, 2.4102, 2.3966, 2.3860), id="five equal looks, Pocock-like"),
        # The README of SeqBounds.jl: one-sided 5 %.
        pytest.param((0.25, 0.5, 0.75, 1), 0.05, obrien_fleming, (3.74955, 2.53993, 2.01604, 1.72014), id="four looks, 5 %"),
        # rpact's test suite: asP, alpha = 0.13, informationRates 0.35, 0.7, 1.
        pytest.param((0.35, 0.7, 1), 0.13, pocock, (1.5446617, 1.4828682, 1.4620058), id="unequal, Pocock-like, 13 %"),
        pytest.param((1.0,), 0.025, obrien_fleming, (1.95996,), id="one look is the usual test"),
    ],
)  # fmt: skip
def test_boundaries_are_the_published_ones(
    times: tuple[float, ...], level: float, spending: Spending, published: tuple[float, ...]
) -> None:
    assert boundaries(times, level, spending) == pytest.approx(published, abs=1e-4)


def test_what_is_spent_at_the_end_is_the_level() -> None:
    for spending in (obrien_fleming, pocock):
        assert spending(1.0, 0.025) == pytest.approx(0.025)
    assert obrien_fleming(1 / 3, 0.025) == pytest.approx(2 * stats.norm.sf(2.241403 * math.sqrt(3)), rel=1e-5)


@pytest.mark.parametrize("spending", [obrien_fleming, pocock])
@pytest.mark.parametrize("times", [EQUAL_3, FIELD, (0.02, 0.97, 1.0)])
def test_the_chance_to_be_stopped_without_an_effect_is_what_was_spent(
    times: tuple[float, ...], spending: Spending
) -> None:
    bounds = boundaries(times, 0.025, spending)
    above = stopping(times, [[(-math.inf, bound)] for bound in bounds[:-1]] + [[(-math.inf, bounds[-1])]], drift=0.0)
    spent = np.cumsum([stopped.probability for stopped in above])
    assert spent == pytest.approx([spending(time, 0.025) for time in times], abs=1e-7)


def test_the_integration_agrees_with_a_million_simulated_paths() -> None:
    bounds = boundaries(FIELD, 0.025)
    drift = 2.0
    steps = np.diff((0.0, *FIELD))
    paths = np.cumsum(np.random.default_rng(1).normal(drift * steps, np.sqrt(steps), size=(1_000_000, 3)), axis=1)
    z = paths / np.sqrt(FIELD)
    out = np.abs(z) >= bounds
    out[:, -1] = True  # the last look stops all
    first = out.argmax(axis=1)
    found = stopping(FIELD, [[(-bound, bound)] for bound in bounds[:-1]] + [[]], drift)
    for look, stopped in enumerate(found):
        here = first == look
        assert stopped.probability == pytest.approx(here.mean(), abs=0.002)
        assert stopped.mean == pytest.approx(paths[here, look].mean(), abs=0.01)


def test_nominal_levels_grow_with_the_level_so_that_holm_may_step_through_them() -> None:
    """What Maurer and Bretz (2013) ask of a spending function."""
    for spending in (obrien_fleming, pocock):
        for times in (EQUAL_3, FIELD, EQUAL_5, (0.1, 0.2, 1.0)):
            levels = np.array([nominal_levels(times, level, spending) for level in np.geomspace(1e-8, 0.5, 60)])
            assert (np.diff(levels, axis=0) > -1e-15).all()


@pytest.mark.parametrize("look", [1, 2, 3])
def test_the_sequential_p_is_the_level_at_which_the_look_just_stops(look: int) -> None:
    for level in (1e-4, 0.0083, 0.025, 0.2):
        p = nominal_levels(FIELD, level)[look - 1]
        assert sequential_p(p, look, FIELD) == pytest.approx(level, rel=1e-4)


def test_the_sequential_p_of_a_single_look_is_p() -> None:
    assert sequential_p(0.031, 1, (1.0,)) == pytest.approx(0.031, rel=1e-4)
    assert sequential_p(0.8, 1, (1.0,)) == 0.8
    assert sequential_p(0.0, 2, FIELD) < 1e-11


def test_an_effect_in_the_other_direction_is_never_a_small_sequential_p() -> None:
    assert all(sequential_p(p, look, FIELD) >= 0.5 for p in (0.5, 0.9, 1.0) for look in (1, 2, 3))


def test_conditional_power_is_that_of_the_rest_of_the_path() -> None:
    # Jennison and Turnbull (2000), chapter 10: Φ((Z_k√t + θ(1−t) − b)/√(1−t)), here by hand.
    assert chance_above(1.96, position=1.0, time=0.5, drift=2.8) == pytest.approx(
        float(stats.norm.cdf((1.0 + 2.8 * 0.5 - 1.96) / math.sqrt(0.5)))
    )
