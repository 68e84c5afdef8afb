"""The statistics against known answers: printed intervals, closed forms, other libraries, brute force, simulation."""

from itertools import combinations, product
from typing import Any

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.power import TTestPower

from selfdistill.statistics.clusters import Array, ClusterMean, cluster_mean, cluster_totals
from selfdistill.statistics.equivalence import equivalence_p
from selfdistill.statistics.intervals import (
    no_pair_differs_interval,
    t_interval,
    wilson_effective_interval,
    wilson_interval,
)
from selfdistill.statistics.multiplicity import holm
from selfdistill.statistics.power import clusters_needed, minimal_detectable_difference
from selfdistill.statistics.resampling import (
    cluster_bootstrap,
    percentile_interval,
    resample_counts,
    sign_flip_p,
    studentised_interval,
)
from selfdistill.statistics.significance import t_test_p
from selfdistill.statistics.solving import pass_at_k


def alone(values: Any) -> tuple[Array, Array]:
    """Totals and sizes of problems that are each a family of their own."""
    return np.asarray(values, dtype=float), np.ones(len(values))


def logistic(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


# Printed with the field study's results (research/ssd.md), in percent.
@pytest.mark.parametrize(
    ("correct", "n", "low", "high"),
    [(640, 1000, 60.98, 66.92), (659, 1000, 62.91, 68.77), (154, 299, 45.86, 57.11), (582, 1000, 55.12, 61.22)],
)
def test_wilson_reproduces_the_published_intervals(correct: int, n: int, low: float, high: float) -> None:
    interval = wilson_interval(correct, n)
    assert (round(100 * interval.low, 2), round(100 * interval.high, 2)) == pytest.approx((low, high), abs=0.011)


def test_wilson_is_scipys_for_every_small_sample() -> None:
    for n in (1, 2, 7, 40, 1000):
        for correct in range(0, n + 1, max(1, n // 20)):
            ours, scipys = wilson_interval(correct, n), stats.binomtest(correct, n).proportion_ci(method="wilson")
            assert (ours.low, ours.high) == pytest.approx((scipys.low, scipys.high), rel=1e-12, abs=1e-15)


def test_wilson_stays_inside_0_and_1_and_is_not_a_point_when_all_are_right() -> None:
    everything = wilson_interval(30, 30)
    assert everything.high == pytest.approx(1) and everything.low == pytest.approx(30 / (30 + 1.959964**2))
    for share in (0.0, 1.0):
        interval = wilson_effective_interval(ClusterMean(share, 0.0, 30), observations=480)
        assert 0.1 < interval.high - interval.low < 0.15


def test_wilson_at_effective_n_is_plain_wilson_but_for_the_t_quantile() -> None:
    outcomes = np.repeat([1.0, 0.0], [640, 360])
    interval = wilson_effective_interval(cluster_mean(*alone(outcomes)), observations=1000)
    plain = wilson_interval(640, 1000)
    assert (interval.low, interval.high) == pytest.approx((plain.low, plain.high), abs=2e-4)


def test_the_blogs_difference_is_not_resolved_by_300_problems() -> None:
    """154/299 → about 54.3 %: +3.0 points, printed as [−1.0, +7.4]; 40 problems changed sides."""
    differences = np.repeat([1.0, -1.0, 0.0], [25, 16, 258])
    mean = cluster_mean(*alone(differences))
    bootstrap = cluster_bootstrap(*alone(differences), resample_counts(299, 4000, 0))
    interval = percentile_interval(bootstrap)
    assert mean.estimate == pytest.approx(0.0301, abs=1e-4)
    assert (interval.low, interval.high) == pytest.approx((-0.0100, 0.0736), abs=0.004)
    assert sign_flip_p(differences, 4000, 0) > 0.1


def test_about_1600_problems_a_side_are_needed_for_five_points_when_sides_share_none() -> None:
    """The blog's formula with its missing square: 2σ²(z+z)²/δ², σ² = ¼."""
    mean = ClusterMean(0.05, np.sqrt(2 * 0.25) / np.sqrt(1000), 1000)
    assert clusters_needed(0.05, mean) == pytest.approx(2 * 0.25 * (1.959964 + 0.841621) ** 2 / 0.05**2, rel=0.003)


@pytest.mark.parametrize(("clusters", "deviation", "effect"), [(30, 0.3, 0.1), (300, 0.4, 0.05), (1000, 0.35, 0.03)])
def test_planning_agrees_with_statsmodels(clusters: int, deviation: float, effect: float) -> None:
    mean = ClusterMean(effect, deviation / np.sqrt(clusters), clusters)
    power = TTestPower()
    detectable = power.solve_power(nobs=clusters, alpha=0.05, power=0.8) * deviation
    assert minimal_detectable_difference(mean) == pytest.approx(detectable, rel=0.01)
    needed = power.solve_power(effect_size=effect / deviation, alpha=0.05, power=0.8)
    assert clusters_needed(effect, mean) == pytest.approx(needed, abs=2)


@pytest.mark.parametrize("deviations", [0.001, 0.02, 0.1, 0.3, 0.9, 1.5, 1.8, 2.1, 2.5, 4.0, 20.0])
@pytest.mark.parametrize(("alpha", "power"), [(0.05, 0.8), (0.05 / 3, 0.8), (0.05, 0.9)])
def test_the_number_needed_is_the_smallest_that_detects_the_difference(
    deviations: float, alpha: float, power: float
) -> None:
    """Also of a difference of two standard deviations, where guessing n from the last n swings between 3 and 47."""
    needed = clusters_needed(deviations, ClusterMean(deviations, 1 / np.sqrt(100), 100), alpha, power)
    assert needed is not None
    detectable = {
        n: minimal_detectable_difference(ClusterMean(0.0, 1 / np.sqrt(n), n), alpha, power)
        for n in (needed - 1, needed)
        if n >= 2
    }
    assert detectable[needed] <= deviations
    assert needed == 2 or detectable[needed - 1] > deviations


def test_no_number_of_problems_resolves_a_difference_of_zero() -> None:
    assert clusters_needed(0.0, ClusterMean(0.0, 0.01, 100)) is None
    tiny = clusters_needed(1e-11, ClusterMean(0.0, 0.01, 100))
    assert tiny is not None and tiny > 10**18


def test_pass_at_k_is_the_share_of_subsets_with_a_correct_draw() -> None:
    for n, k in product(range(1, 7), range(1, 7)):
        for c in range(n + 1):
            if k <= n:
                subsets = list(combinations([1] * c + [0] * (n - c), k))
                brute = np.mean([any(subset) for subset in subsets])
                assert pass_at_k([n], [c], k)[0] == pytest.approx(brute)


def test_pass_at_k_refuses_fewer_draws_than_k() -> None:
    with pytest.raises(ValueError, match="pass@4 needs"):
        pass_at_k([3], [1], 4)


def test_paired_t_is_scipys_where_every_family_is_one_problem() -> None:
    a, b = np.random.default_rng(1).random((2, 40))
    mean = cluster_mean(*alone(a - b))
    expected = stats.ttest_rel(a, b)
    assert t_test_p(mean) == pytest.approx(expected.pvalue)
    interval, wanted = t_interval(mean), expected.confidence_interval()
    assert (interval.low, interval.high) == pytest.approx((wanted.low, wanted.high))


def test_families_count_once_however_often_their_problem_is_repeated() -> None:
    values = np.random.default_rng(2).normal(size=30)
    once = cluster_mean(*alone(values))
    thrice = cluster_mean(*cluster_totals(np.repeat(values, 3), np.repeat(np.arange(30), 3)))
    assert (thrice.estimate, thrice.standard_error, thrice.clusters) == pytest.approx(
        (once.estimate, once.standard_error, 30)
    )


def test_the_standard_error_of_families_of_unlike_size_is_true_in_simulation() -> None:
    random = np.random.default_rng(3)
    estimates, errors = [], []
    for _ in range(1500):
        sizes = random.integers(1, 6, size=60)
        families = np.repeat(np.arange(60), sizes)
        values = random.normal(size=60)[families] + random.normal(size=len(families))
        mean = cluster_mean(*cluster_totals(values, families))
        estimates.append(mean.estimate)
        errors.append(mean.standard_error)
    assert np.mean(errors) == pytest.approx(np.std(estimates), rel=0.05)


def test_percentile_bootstrap_agrees_with_scipy() -> None:
    values = np.random.default_rng(4).exponential(size=60)
    interval = percentile_interval(cluster_bootstrap(*alone(values), resample_counts(60, 20_000, 5)))
    expected = stats.bootstrap(
        (values,), np.mean, n_resamples=20_000, method="percentile", rng=np.random.default_rng(6)
    ).confidence_interval
    assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high), abs=0.012)


def test_the_bootstrap_spread_is_the_standard_error_not_its_root_n_part() -> None:
    """The bug that shrinks it by √resamples in a widely used harness: 100 yes-or-no items, SE 0.05."""
    values = np.repeat([1.0, 0.0], 50)
    spread = cluster_bootstrap(*alone(values), resample_counts(100, 4000, 7)).estimates.std()
    assert spread == pytest.approx(0.05, rel=0.05)


def test_bootstrap_t_agrees_with_a_plain_loop() -> None:
    values = np.random.default_rng(8).exponential(size=25)
    counts = resample_counts(25, 2000, 9)
    interval = studentised_interval(cluster_mean(*alone(values)), cluster_bootstrap(*alone(values), counts))
    studentised = []
    for row in counts.astype(int):
        again = np.repeat(values, row)
        studentised.append((again.mean() - values.mean()) / (again.std(ddof=1) / 5))
    below, above = np.quantile(studentised, [0.025, 0.975], method="inverted_cdf")
    error = values.std(ddof=1) / 5
    assert (interval.low, interval.high) == pytest.approx(
        (values.mean() - above * error, values.mean() - below * error)
    )


def test_bootstrap_t_is_the_t_interval_for_normal_data() -> None:
    values = np.random.default_rng(10).normal(size=200)
    mean = cluster_mean(*alone(values))
    interval = studentised_interval(mean, cluster_bootstrap(*alone(values), resample_counts(200, 20_000, 11)))
    wanted = t_interval(mean)
    assert (interval.low, interval.high) == pytest.approx((wanted.low, wanted.high), abs=0.015)


def test_the_exact_sign_flip_test_is_the_full_enumeration() -> None:
    values = np.random.default_rng(12).normal(0.4, 1, size=10)
    reached = [abs(np.dot(signs, values)) >= abs(values.sum()) - 1e-12 for signs in product((-1, 1), repeat=10)]
    assert sign_flip_p(values, 200, 0) == np.mean(reached)
    expected = stats.permutation_test((values,), np.sum, permutation_type="samples", n_resamples=np.inf)
    assert sign_flip_p(values, 200, 0) == pytest.approx(expected.pvalue)


def test_the_exact_sign_flip_test_is_mcnemars_at_one_draw() -> None:
    differences = np.repeat([1.0, -1.0, 0.0], [9, 2, 100])
    assert sign_flip_p(differences, 200, 0) == pytest.approx(stats.binomtest(9, 11).pvalue)


def test_the_sampled_sign_flip_test_nears_the_exact_one_and_is_never_zero() -> None:
    differences = np.repeat([1.0, -1.0], [20, 10])
    assert sign_flip_p(differences, 20_000, 13) == pytest.approx(stats.binomtest(20, 30).pvalue, abs=0.01)
    assert sign_flip_p(np.ones(100), 999, 0) == 1 / 1000


def test_holm_on_the_textbook_example() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.03, float("nan")])[0] == 0.03


def test_tost_is_the_larger_of_two_one_sided_tests() -> None:
    values = np.random.default_rng(14).normal(0.01, 0.1, size=80)
    mean = cluster_mean(*alone(values))
    sides = (
        stats.ttest_1samp(values, -0.04, alternative="greater"),
        stats.ttest_1samp(values, 0.04, alternative="less"),
    )
    assert equivalence_p(mean, 0.04) == pytest.approx(max(side.pvalue for side in sides))


def test_ten_equal_pairs_do_not_prove_equivalence_and_300_do() -> None:
    assert equivalence_p(ClusterMean(0.0, 0.0, 10), 0.03) > 0.7
    assert equivalence_p(ClusterMean(0.0, 0.0, 300), 0.03) < 0.001
    assert no_pair_differs_interval(300).high == pytest.approx(3 / 300, rel=0.01)


@pytest.mark.parametrize("draws", [4, 16])
def test_wilson_at_effective_n_covers_30_problems(draws: int) -> None:
    random = np.random.default_rng(100 + draws)
    truth = logistic(random.normal(0.2, 1.5, size=2_000_000)).mean()
    covered = 0
    for _ in range(3000):
        p = logistic(random.normal(0.2, 1.5, size=30))
        mean = cluster_mean(*alone(random.binomial(draws, p) / draws))
        interval = wilson_effective_interval(mean, observations=30 * draws)
        covered += interval.low <= truth <= interval.high
    assert 0.92 <= covered / 3000 <= 0.975


def two_models_without_a_difference(random: np.random.Generator, problems: int, draws: int, shift: float) -> Array:
    """Correct answers of two models, each moved away from a common difficulty at random: equal on average."""
    difficulty = random.normal(0.2, 1.5, size=(1, problems))
    p = logistic(difficulty + random.normal(0, shift / np.sqrt(2), size=(2, problems)))
    return random.random((2, problems, draws)) < p[:, :, None]


@pytest.mark.parametrize(("draws", "shift"), [(4, 0.35), (16, 0.35), (16, 1.0)])
def test_paired_t_covers_30_problems(draws: int, shift: float) -> None:
    random = np.random.default_rng(int(draws * 10 + shift * 100))
    covered = 0
    for _ in range(3000):
        right = two_models_without_a_difference(random, 30, draws, shift).mean(axis=2)
        interval = t_interval(cluster_mean(*alone(right[0] - right[1])))
        covered += interval.low <= 0 <= interval.high
    assert 0.93 <= covered / 3000 <= 0.97


def test_flipping_problems_keeps_5_percent_and_flipping_flattened_draws_does_not() -> None:
    random = np.random.default_rng(15)
    by_problem = flattened = 0
    for repeat in range(1000):
        right = two_models_without_a_difference(random, 30, 16, 1.0).astype(float)
        differences = right[0] - right[1]
        by_problem += sign_flip_p(differences.mean(axis=1), 400, repeat) < 0.05
        flattened += sign_flip_p(differences.ravel(), 400, repeat) < 0.05
    assert 0.03 <= by_problem / 1000 <= 0.07
    assert flattened / 1000 > 0.12


def test_bootstrap_t_covers_30_problems_better_than_the_percentiles() -> None:
    random = np.random.default_rng(16)
    counts = resample_counts(30, 999, 17)
    studentised = percentile = 0
    for _ in range(1500):
        right = two_models_without_a_difference(random, 30, 16, 1.0).mean(axis=2)
        values = alone(right[0] - right[1])
        bootstrap = cluster_bootstrap(*values, counts)
        first, second = studentised_interval(cluster_mean(*values), bootstrap), percentile_interval(bootstrap)
        studentised += first.low <= 0 <= first.high
        percentile += second.low <= 0 <= second.high
    assert 0.93 <= studentised / 1500 <= 0.97
    assert percentile < studentised
