"""Ratios of rates: against a generalised linear model, against simulated truths, and where nothing can be told."""

import math

import numpy as np
import pytest
import statsmodels.api as sm

from selfdistill.statistics.clusters import Array
from selfdistill.statistics.paired import PairedMeans
from selfdistill.statistics.rates import (
    LEAST_SHOWING,
    Rates,
    jackknife_values,
    log_rate_ratios,
    rate_ratio,
    trained_ratios,
)
from simulated_rates import WORLDS, World, covers


@pytest.mark.parametrize("name", WORLDS)
def test_intervals_cover_simulated_ratios(name: str) -> None:
    world, random, runs = WORLDS[name], np.random.default_rng(5), 1500
    each = np.arange(world.problems)
    covered = np.mean([covers(rate_ratio(*world.drawn(random), each), world.ratio) for _ in range(runs)])
    assert 0.93 <= covered <= 0.97


def test_families_are_the_unit() -> None:
    """Four copies of every problem tell no more than one."""
    one, two = World(problems=40).drawn(np.random.default_rng(1))
    alone = rate_ratio(one, two, np.arange(40))
    fourfold = [Rates(*(np.tile(each, 4) for each in (side.events, side.exposure))) for side in (one, two)]
    copied = rate_ratio(fourfold[0], fourfold[1], np.tile(np.arange(40), 4))
    assert copied.mean == pytest.approx(alone.mean)


def test_it_is_poissons_regression_with_an_offset_and_errors_by_problem() -> None:
    problems = 400
    one, two = World(problems=problems, draws=1, other_draws=1).drawn(np.random.default_rng(3))
    events, tokens = np.concatenate([one.events, two.events]), np.concatenate([one.exposure, two.exposure])
    side, problem = np.repeat([1.0, 0.0], problems), np.tile(np.arange(problems), 2)
    model = sm.GLM(events, sm.add_constant(side), family=sm.families.Poisson(), offset=np.log(tokens))
    fitted = model.fit(cov_type="cluster", cov_kwds={"groups": problem})
    found = rate_ratio(one, two, np.arange(problems))
    assert found.log == pytest.approx(fitted.params[1], abs=1e-8)
    assert found.mean.estimate == pytest.approx(found.log)
    assert found.mean.standard_error == pytest.approx(fitted.bse[1], rel=0.03)


def test_a_ratio_is_that_of_the_rates() -> None:
    found = rate_ratio(Rates(np.full(8, 1.0), np.full(8, 10.0)), Rates(np.full(8, 4.0), np.full(8, 20.0)), np.arange(8))
    assert (found.rate, found.other_rate, found.ratio, found.matched) == pytest.approx((0.1, 0.2, 0.5, 1.0))


def of_lengths(lengths: Array, rate: float, random: np.random.Generator) -> Rates:
    """Answers that doubt more often, the longer they are, in four bins of length."""
    bins = (np.log2(lengths) * 2).astype(int)
    events, tokens, answers = (np.zeros((len(lengths), bins.max() + 1)) for _ in range(3))
    rows = np.arange(len(lengths))
    events[rows, bins] = random.poisson(rate * lengths**2)
    tokens[rows, bins], answers[rows, bins] = lengths, 1
    return Rates(events, tokens, answers)


def padded(one: Rates, two: Rates) -> tuple[Rates, Rates]:
    width = max(one.events.shape[1], two.events.shape[1])
    grown = [
        Rates(*(np.pad(each, ((0, 0), (0, width - each.shape[1]))) for each in side if each is not None))
        for side in (one, two)
    ]
    return grown[0], grown[1]


def test_the_same_lengths_take_out_what_length_alone_does() -> None:
    random = np.random.default_rng(2)
    short, long = random.uniform(4, 32, 600), random.uniform(8, 64, 600)
    one, two = padded(of_lengths(short, 0.01, random), of_lengths(long, 0.01, random))
    each = np.arange(600)
    short_ones, long_ones = (Rates(side.events.sum(axis=1), side.exposure.sum(axis=1)) for side in (one, two))
    plain = rate_ratio(short_ones, long_ones, each)
    matched = rate_ratio(one, two, each)
    assert plain.ratio < 0.6 and not covers(plain, 1.0)
    assert matched.ratio == pytest.approx(1.0, abs=0.07) and covers(matched, 1.0)
    assert 0.3 < matched.matched < 0.8


def test_lengths_that_never_meet_tell_nothing() -> None:
    one = Rates(np.tile([2.0, 0.0], (9, 1)), np.tile([5.0, 0.0], (9, 1)), np.tile([1.0, 0.0], (9, 1)))
    two = Rates(*(np.asarray(each)[:, ::-1] for each in one))
    found = rate_ratio(one, two, np.arange(9))
    assert found.matched == 0 and found.values is None and math.isnan(found.ratio)


@pytest.mark.parametrize("showing", [LEAST_SHOWING - 2, LEAST_SHOWING])
def test_only_doubts_among_the_same_lengths_count_for_an_interval(showing: int) -> None:
    """All problems doubt at lengths of their own side; at the length that both have only some."""
    count = 20

    def side(own: int) -> Rates:
        events, answers = np.zeros((count, 3)), np.zeros((count, 3))
        events[:showing, 1], events[:, own] = 1, 3
        answers[:, 1] = answers[:, own] = 1
        return Rates(events, 10 * answers, answers)

    found = rate_ratio(side(0), side(2), np.arange(count))
    assert found.matched == 0.5 and found.ratio == pytest.approx(1)
    assert (found.values is not None) == (showing >= LEAST_SHOWING)


@pytest.mark.parametrize("showing", [0, 1, LEAST_SHOWING - 1])
def test_too_few_problems_with_doubt_have_no_interval(showing: int) -> None:
    events = np.zeros(40)
    events[:showing] = 1
    some = Rates(np.ones(40), np.full(40, 10.0))
    found = rate_ratio(Rates(events, np.full(40, 10.0)), some, np.arange(40))
    assert found.values is None and found.ratio == pytest.approx(showing / 40)
    assert math.isnan(PairedMeans(found.mean).interval().low)
    turned = rate_ratio(some, Rates(events, np.full(40, 10.0)), np.arange(40))
    assert math.isnan(turned.ratio) == (showing == 0)
    assert not np.isfinite(trained_ratios([found, found]).noise)


def test_jackknife_values_have_the_estimate_as_mean_and_the_jackknifes_variance() -> None:
    numbers = np.random.default_rng(0).exponential(size=30)
    without = np.log((numbers.sum() - numbers) / 29)
    values = jackknife_values(math.log(numbers.mean()), without)
    assert values.mean() == pytest.approx(math.log(numbers.mean()))
    assert values.var(ddof=1) / 30 == pytest.approx(29 / 30 * ((without - without.mean()) ** 2).sum())


def test_many_kinds_at_once_are_each_by_itself_but_for_half_an_event() -> None:
    random = np.random.default_rng(4)
    one, two = (Rates(random.poisson(3.0, (50, 3)).astype(float), random.uniform(5, 9, (50, 1))) for _ in range(2))
    logs, values = log_rate_ratios(one, two, added=0.0)
    for kind in range(3):
        alone = rate_ratio(
            Rates(one.events[:, kind], one.exposure), Rates(two.events[:, kind], two.exposure), np.arange(50)
        )
        assert logs[kind] == pytest.approx(alone.log)
        assert values[:, kind] == pytest.approx(alone.values)
    gone = Rates(np.zeros((50, 3)), one.exposure)
    assert np.isfinite(log_rate_ratios(gone, two)[0]).all()


def test_trainings_that_differ_make_the_method_less_sure() -> None:
    random = np.random.default_rng(6)
    other = World().drawn(random)[1]
    drawn = [World(ratio=ratio)._replace(length=1.0).drawn(random)[0] for ratio in (0.3, 0.6, 1.2)]
    found = trained_ratios([rate_ratio(one, other, np.arange(60)) for one in drawn])
    assert found.count == 3 and found.excess > 0
