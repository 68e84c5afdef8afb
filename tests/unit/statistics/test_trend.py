"""A trend along rungs is Page's, a step is a paired difference, and neither is seen where there is none."""

import numpy as np
import pytest
from scipy import stats

from selfdistill.statistics.clusters import Array, ClusterMean
from selfdistill.statistics.paired import PairedMeans
from selfdistill.statistics.ratios import combined_ratios
from selfdistill.statistics.trend import strictest, trend

# Ratings of three teaching styles by ten students: the example of scipy's page_trend_test.
RATINGS = np.array(
    [[3, 4, 3], [2, 2, 4], [3, 3, 5], [1, 3, 2], [2, 3, 2], [2, 4, 5], [1, 2, 4], [3, 4, 4], [2, 4, 5], [1, 3, 4]]
)


def alone(problems: int) -> Array:
    return np.arange(problems)


def test_the_statistic_is_pages() -> None:
    found, page = trend(RATINGS, alone(10)), stats.page_trend_test(RATINGS)
    assert found.page_l == pytest.approx(page.statistic) == pytest.approx(133.5)
    assert found.paired.p_above(0) < 0.01  # exactly .0018 by permutation


def test_all_problems_climbing_is_one_and_all_tying_says_nothing() -> None:
    assert trend(np.tile([1.0, 2.0, 5.0], (6, 1)), alone(6)).mean.estimate == pytest.approx(1)
    assert trend(np.ones((6, 3)), alone(6)).mean.estimate == 0
    with pytest.raises(ValueError, match="two rungs"):
        trend(np.ones((6, 1)), alone(6))


def test_no_trend_raises_no_more_alarms_than_it_may_even_where_the_spread_grows_along_the_rungs() -> None:
    """Page's own variance takes all orders of a problem for equally likely; with growing spread or families they are not."""
    random = np.random.default_rng(3)
    families = np.repeat(np.arange(30), 2)
    p = []
    for _ in range(400):
        shared = np.repeat(random.normal(0, 1, (30, 4)) * [0.5, 1, 2, 4], 2, axis=0)
        p.append(trend(shared + random.normal(0, 0.5, (60, 4)), families).paired.p())
    assert 0.02 <= np.mean(np.array(p) < 0.05) <= 0.085


def test_a_small_trend_is_found_as_often_as_pages_test_finds_it() -> None:
    random = np.random.default_rng(4)
    ours, theirs = [], []
    for _ in range(150):
        values = random.normal(0, 1, (40, 4)) + 0.13 * np.arange(4)
        ours.append(trend(values, alone(40)).paired.p_above(0) < 0.05)
        theirs.append(stats.page_trend_test(values, method="asymptotic").pvalue < 0.05)
    assert abs(np.mean(ours) - np.mean(theirs)) < 0.05 and 0.4 < np.mean(ours) < 0.9


def test_every_step_is_shown_only_where_the_least_sure_one_is() -> None:
    assert strictest([0.001, 0.03, 0.0]) == 0.03
    assert np.isnan(strictest([0.001, float("nan")])) and np.isnan(strictest([]))


def judged(mean: ClusterMean) -> PairedMeans:
    return PairedMeans(mean)


def test_with_equal_denominators_a_difference_of_ratios_is_the_paired_t() -> None:
    random = np.random.default_rng(5)
    one, other, same = random.normal(3, 1, 25), random.normal(2, 1, 25), np.full(25, 4.0)
    found = combined_ratios([(1, one, same), (-1, other, same)], alone(25))
    paired = stats.ttest_rel(one / 4, other / 4)
    assert judged(found).p() == pytest.approx(paired.pvalue)
    assert judged(found).interval().low == pytest.approx(paired.confidence_interval().low)


def test_the_interval_of_a_difference_of_ratios_holds_the_true_one() -> None:
    """Doubts are Poisson at 40 and 30 in 1,000 tokens of texts of very unlike lengths; both sides share the problem's length."""
    random, held = np.random.default_rng(6), []
    for _ in range(300):
        lengths = random.gamma(2, 60, 80)
        first, second = lengths * random.gamma(20, 1 / 20, 80), 0.5 * lengths * random.gamma(20, 1 / 20, 80)
        doubts = random.poisson(0.04 * first), random.poisson(0.03 * second)
        found = combined_ratios([(1, doubts[1], second), (-1, doubts[0], first)], alone(80))
        interval = judged(found).interval()
        held.append(interval.low <= -0.01 <= interval.high)
    assert 0.91 <= np.mean(held) <= 0.985
