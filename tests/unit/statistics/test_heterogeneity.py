"""Whether groups differ: Welch's statistic where they share nothing, and few false alarms where they overlap."""

import math

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.oneway import anova_oneway

from selfdistill.statistics.clusters import Array
from selfdistill.statistics.heterogeneity import groups_differ


def apart(*groups: Array) -> tuple[Array, Array]:
    """Every observation a cluster of its own."""
    n = sum(map(len, groups))
    totals, sizes = np.zeros((n, len(groups))), np.zeros((n, len(groups)))
    start = 0
    for column, group in enumerate(groups):
        totals[start : start + len(group), column] = group
        sizes[start : start + len(group), column] = 1
        start += len(group)
    return totals, sizes


def test_two_groups_are_compared_as_by_welchs_t() -> None:
    random = np.random.default_rng(1)
    one, other = random.normal(0, 1, 40), random.normal(0.8, 3, 15)
    found, welch = groups_differ(*apart(one, other)), stats.ttest_ind(one, other, equal_var=False)
    assert found.statistic == pytest.approx(welch.statistic**2)
    assert found.degrees_of_freedom == pytest.approx(welch.df) and found.p_value == pytest.approx(welch.pvalue)


def test_several_groups_are_compared_almost_as_by_welchs_analysis_of_variance() -> None:
    random = np.random.default_rng(2)
    groups = [random.normal(mean, sd, n) for mean, sd, n in ((0, 1, 60), (0.1, 2, 35), (0.5, 0.5, 25), (0, 3, 50))]
    found, welch = groups_differ(*apart(*groups)), anova_oneway(groups, use_var="unequal")
    assert found.groups == 4
    assert found.statistic == pytest.approx(welch.statistic, rel=0.03)
    assert found.p_value == pytest.approx(welch.pvalue, rel=0.15)


def test_groups_that_share_clusters_raise_no_false_alarm() -> None:
    random = np.random.default_rng(3)
    p = []
    for _ in range(800):
        parts = random.dirichlet((1, 1, 1), 60)  # a problem that is in each group by a part
        effects = random.normal(0.2, 1, 60) + random.normal(0, 0.3, 60)
        p.append(groups_differ(parts * effects[:, None], parts).p_value)
    assert 0.01 <= np.mean(np.array(p) < 0.05) <= 0.06  # errs, where it does, on the side of silence


def test_small_groups_raise_no_false_alarm() -> None:
    random = np.random.default_rng(4)
    p = [
        groups_differ(*apart(random.normal(0, 1, 8), random.normal(0, 3, 12), random.normal(0, 0.5, 30))).p_value
        for _ in range(800)
    ]
    assert 0.03 <= np.mean(np.array(p) < 0.05) <= 0.075


def test_what_cannot_be_compared_is_left_out() -> None:
    random = np.random.default_rng(5)
    one, other = random.normal(size=9), random.normal(size=9)
    assert groups_differ(*apart(one, other, np.zeros(5), np.ones(1))).groups == 2
    assert math.isnan(groups_differ(*apart(one, np.zeros(4))).p_value)
