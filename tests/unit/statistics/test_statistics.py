"""The statistics against known answers: printed intervals, closed forms, other libraries, brute force, simulation."""

from itertools import combinations, product
from typing import Any

import numpy as np
import pytest
from scipy import stats
from scipy.optimize import minimize_scalar
from statsmodels.stats.power import TTestPower

from selfdistill.statistics.clusters import Array, ClusterMean, cluster_mean, cluster_totals
from selfdistill.statistics.intervals import t_interval, wilson_effective_interval, wilson_interval
from selfdistill.statistics.multiplicity import holm
from selfdistill.statistics.paired import PairedMeans, PairedShares
from selfdistill.statistics.power import minimal_detectable_difference
from selfdistill.statistics.resampling import simultaneous_band
from selfdistill.statistics.solving import pass_at_k
from selfdistill.statistics.trainings import of_the_method, trainings


def alone(values: Any) -> tuple[Array, Array]:
    """Totals and sizes of problems that are each a family of their own."""
    return np.asarray(values, dtype=float), np.ones(len(values))


def pairs_of(gained: int, lost: int, n: int) -> PairedShares:
    """Single pairs of single problems, and z for t: Tango's own case."""
    return PairedShares(gained / n, lost / n, n, 1e12)


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
        interval = wilson_effective_interval(ClusterMean.of(share, 0.0, 30), observations=480)
        assert 0.1 < interval.high - interval.low < 0.15


def test_wilson_at_effective_n_is_plain_wilson_but_for_the_t_quantile() -> None:
    outcomes = np.repeat([1.0, 0.0], [640, 360])
    interval = wilson_effective_interval(cluster_mean(*alone(outcomes)), observations=1000)
    plain = wilson_interval(640, 1000)
    assert (interval.low, interval.high) == pytest.approx((plain.low, plain.high), abs=2e-4)


def test_the_blogs_difference_is_not_resolved_by_300_problems() -> None:
    """154/299 → about 54.3 %: +3.0 points, printed as [−1.0, +7.4] by another method; 41 problems changed sides."""
    differences = np.repeat([1.0, -1.0, 0.0], [25, 16, 258])
    mean = cluster_mean(*alone(differences))
    judged = PairedShares.of(differences, np.ones(299), mean)
    interval = judged.interval()
    assert mean.estimate == pytest.approx(0.0301, abs=1e-4)
    assert (interval.low, interval.high) == pytest.approx((-0.0100, 0.0736), abs=0.004)
    assert judged.p() > 0.1


@pytest.mark.parametrize(("clusters", "deviation"), [(30, 0.3), (300, 0.4), (1000, 0.35)])
def test_planning_agrees_with_statsmodels(clusters: int, deviation: float) -> None:
    mean = ClusterMean.of(0.0, deviation / np.sqrt(clusters), clusters)
    detectable = TTestPower().solve_power(nobs=clusters, alpha=0.05, power=0.8) * deviation
    assert minimal_detectable_difference(mean) == pytest.approx(detectable, rel=0.01)


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
    assert PairedMeans(mean).p() == pytest.approx(expected.pvalue)
    interval, wanted = PairedMeans(mean).interval(), expected.confidence_interval()
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


def test_satterthwaites_degrees_of_freedom_are_those_of_the_matrix_that_cr2_makes() -> None:
    random = np.random.default_rng(5)
    sizes = random.integers(1, 6, size=40)
    families = np.repeat(np.arange(40), sizes)
    values = random.normal(size=len(families)) + 1.5 * random.normal(size=40)[families]
    mean = cluster_mean(*cluster_totals(values, families))
    shares = sizes / sizes.sum()
    residuals = np.array([(values[families == g] - values.mean()).sum() for g in range(40)]) / len(values)
    assert mean.standard_error == pytest.approx(np.sqrt((residuals**2 / (1 - shares)).sum()))
    # The working model: members of a family alike to the degree that analysis of variance says.
    squares = np.array([((values[families == g] - values.mean()) ** 2).sum() for g in range(40)])
    within = sum(((values[families == g] - values[families == g].mean()) ** 2).sum() for g in range(40))
    alike = 1 - within / (len(values) - 40) / (squares / sizes).mean()
    spread = shares**2 * (alike + (1 - alike) / sizes)
    left = np.eye(40) - np.outer(shares, np.ones(40))
    half = np.diag((1 - shares) ** -0.5) @ left
    matrix = half @ np.diag(spread) @ half.T
    assert mean.degrees_of_freedom == pytest.approx(np.trace(matrix) ** 2 / np.trace(matrix @ matrix))


def test_equal_families_have_one_degree_of_freedom_less_than_there_are() -> None:
    values = np.random.default_rng(6).normal(size=24)
    for size in (1, 2, 3):
        families = np.repeat(np.arange(24 // size), size)
        assert cluster_mean(*cluster_totals(values, families)).degrees_of_freedom == pytest.approx(24 / size - 1)


@pytest.mark.parametrize("shared", [0.0, 0.5])
def test_an_interval_covers_where_one_family_holds_a_third_of_all_problems(shared: float) -> None:
    """The same for problems of one family that share half of their variance, and that share nothing."""
    random = np.random.default_rng(7)
    families = np.concatenate([np.zeros(100, dtype=int), np.arange(1, 201)])
    covered = 0
    for _ in range(1000):
        values = np.sqrt(shared) * random.normal(size=201)[families] + np.sqrt(1 - shared) * random.normal(size=300)
        interval = t_interval(cluster_mean(*cluster_totals(values, families)))
        covered += interval.low <= 0 <= interval.high
    assert 0.925 <= covered / 1000 <= 0.99


# ---- shares of the same problems


@pytest.mark.parametrize(("gained", "lost", "n"), [(12, 2, 50), (0, 0, 54), (1, 0, 54), (25, 16, 299), (97, 1, 100)])
@pytest.mark.parametrize("null", [-0.3, -0.03, 0.05, 0.4])
def test_the_share_that_differs_is_the_likeliest_under_the_difference(
    gained: int, lost: int, n: int, null: float
) -> None:
    """Tango's closed root against a search for the maximum of the likelihood."""

    def unlikeliness(differing: float) -> float:
        chances = np.array([(differing + null) / 2, (differing - null) / 2, 1 - differing])
        return -float(np.array([gained, lost, n - gained - lost]) @ np.log(chances + 1e-300))

    found = minimize_scalar(
        unlikeliness, bounds=(abs(null) + 1e-9, 1 - 1e-9), method="bounded", options={"xatol": 1e-10}
    )
    assert pairs_of(gained, lost, n).differing(null) == pytest.approx(found.x, abs=1e-5)


def test_the_score_interval_is_where_the_statistic_reaches_196() -> None:
    for gained, lost, n in ((12, 2, 50), (1, 0, 54), (25, 16, 299), (5, 5, 30)):
        judged = pairs_of(gained, lost, n)
        interval = judged.interval()
        assert judged.statistic(interval.low) == pytest.approx(1.959964, abs=1e-4)
        assert judged.statistic(interval.high) == pytest.approx(-1.959964, abs=1e-4)
    nothing = pairs_of(0, 0, 54).interval()
    assert nothing.high == -nothing.low == pytest.approx(1.959964**2 / (54 + 1.959964**2))


def test_the_score_test_of_no_difference_is_mcnemars() -> None:
    for gained, lost in ((12, 2), (25, 16), (3, 0)):
        expected = stats.chi2.sf((gained - lost) ** 2 / (gained + lost), 1)
        assert pairs_of(gained, lost, 200).p() == pytest.approx(expected, rel=1e-6)


def test_the_effective_number_of_pairs_is_n_less_one_at_one_draw_of_single_problems() -> None:
    differences = np.repeat([1.0, -1.0, 0.0], [9, 2, 100])
    judged = PairedShares.of(differences, np.ones(111), cluster_mean(*alone(differences)))
    assert judged.pairs == pytest.approx(110) and judged.degrees_of_freedom == pytest.approx(110)


def test_p_is_below_5_percent_exactly_where_the_interval_leaves_out_the_null() -> None:
    random = np.random.default_rng(8)
    differed = 0
    for _ in range(400):
        draws = int(random.integers(1, 5))
        chances = random.uniform(0, 1, size=(2, 30)) ** random.uniform(0.3, 3)
        values = (random.binomial(draws, chances[0]) - random.binomial(draws, chances[1])) / draws
        judged = PairedShares.of(values, np.ones(30), cluster_mean(*alone(values)))
        interval = judged.interval()
        for null in (0.0, 0.1):
            outside = not interval.low <= null <= interval.high
            assert outside == (judged.p(null) < 0.05)
            differed += outside
    assert 50 < differed < 700


def test_where_nothing_could_differ_nothing_is_known() -> None:
    nothing = np.zeros(30)
    for weights, span in ((np.ones(30), 0.0), (nothing, 1.0)):
        judged = PairedShares.of(nothing, weights, cluster_mean(*cluster_totals(nothing, np.arange(30), weights)), span)
        assert not judged.is_known and np.isnan(judged.p()) and np.isnan(judged.interval().high)


def test_a_difference_of_differences_may_lie_beyond_1() -> None:
    values = np.repeat([2.0, 1.0, 0.0], [30, 5, 5])
    judged = PairedShares.of(values, np.ones(40), cluster_mean(*alone(values)), span=2.0)
    interval = judged.interval()
    assert 1 < interval.low < values.mean() < interval.high <= 2
    nothing = PairedShares.of(np.zeros(40), np.ones(40), cluster_mean(*alone(np.zeros(40))), span=2.0)
    assert nothing.interval().high == pytest.approx(
        2 * PairedShares.of(np.zeros(40), np.ones(40), cluster_mean(*alone(np.zeros(40)))).interval().high
    )


def test_equivalence_is_seldom_called_where_the_difference_is_the_margin_and_few_pairs_differ() -> None:
    """Sixty problems, a true loss of five points, nothing gained: the t test calls it equivalent one time in five."""
    by_score = by_t = 0.0
    for lost in range(61):
        values = np.repeat([-1.0, 0.0], [lost, 60 - lost])
        mean = cluster_mean(*alone(values))
        chance = float(stats.binom.pmf(lost, 60, 0.05))
        by_score += chance * (PairedShares.of(values, np.ones(60), mean).equivalence_p(0.05) < 0.05)
        by_t += chance * (lost > 0 and PairedMeans(mean).equivalence_p(0.05) < 0.05)
    assert by_score < 0.06 and by_t > 0.1


def test_the_detectable_difference_is_found_four_times_in_five() -> None:
    random = np.random.default_rng(9)
    for differing, n in ((0.15, 300), (0.0, 100)):
        seen = np.repeat([1.0, -1.0, 0.0], [round(differing * n / 2)] * 2 + [n - 2 * round(differing * n / 2)])
        effect = PairedShares.of(seen, np.ones(n), cluster_mean(*alone(seen))).detectable()
        more = max(differing, effect)
        chances = [(more + effect) / 2, (more - effect) / 2, 1 - more]
        found = 0
        for _ in range(800):
            counts = random.multinomial(n, chances)
            values = np.repeat([1.0, -1.0, 0.0], counts)
            found += PairedShares.of(values, np.ones(n), cluster_mean(*alone(values))).p() < 0.05
        assert 0.75 <= found / 800 <= 0.85


# ---- these checkpoints, and the method


def test_the_variance_between_trainings_is_recovered_beside_that_of_problems() -> None:
    """Four trainings of 400 problems: each effect has a training's own noise, the problems' common and its own noise."""
    random = np.random.default_rng(10)
    found, errors, effects = [], [], []
    for _ in range(600):
        common = random.normal(0, 0.5, size=400)
        each = [common + random.normal(0, 0.02) + random.normal(0, 0.4, size=400) for _ in range(4)]
        ones, families = np.ones(400), np.arange(400)
        split = trainings(each, [ones] * 4, families)
        found.append((split.variance - split.noise, split.noise))
        mean = cluster_mean(*cluster_totals(np.mean(each, axis=0), families))
        errors.append(of_the_method(mean, [(1.0, split)]).standard_error ** 2)
        effects.append(mean.estimate)
    excess, noise = np.mean(found, axis=0)
    assert excess == pytest.approx(0.02**2, rel=0.2)
    assert noise == pytest.approx(0.4**2 / 400, rel=0.03)
    assert 0.9 < np.mean(errors) / np.var(effects) < 1.3


def test_one_training_says_nothing_of_the_method_nor_do_two_that_agree_to_the_last_answer() -> None:
    values, ones, families = np.arange(10) / 10, np.ones(10), np.arange(10)
    mean = cluster_mean(*cluster_totals(values, families))
    for each in ([values], [values, values]):
        of_method = of_the_method(mean, [(1.0, trainings(each, [ones] * len(each), families))])
        assert np.isnan(of_method.standard_error) and not PairedMeans(of_method).is_known
    assert np.isnan(of_the_method(mean, []).standard_error)


def test_a_band_holds_for_all_points_at_once_and_is_one_interval_where_there_is_one_point() -> None:
    random = np.random.default_rng(11)
    held = alone_held = 0
    for repeat in range(400):
        steps = random.normal(size=(4, 60)).cumsum(axis=0) + random.normal(size=60)
        points = [cluster_totals(row, np.arange(60)) for row in steps]
        bands = simultaneous_band(points, 1000, repeat)
        held += all(band.low <= 0 <= band.high for band in bands)
        single = [t_interval(cluster_mean(*point)) for point in points]
        alone_held += all(interval.low <= 0 <= interval.high for interval in single)
    assert 0.92 <= held / 400 <= 0.98 and alone_held < held
    one, wanted = simultaneous_band(points[:1], 40_000, 0)[0], single[0]
    assert (one.low, one.high) == pytest.approx((wanted.low, wanted.high), abs=0.02)


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
    assert PairedMeans(mean).equivalence_p(0.04) == pytest.approx(max(side.pvalue for side in sides))


def test_ten_equal_pairs_do_not_prove_equivalence_and_300_do() -> None:
    assert pairs_of(0, 0, 10).equivalence_p(0.03) > 0.25
    assert pairs_of(0, 0, 300).equivalence_p(0.03) < 0.005


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
def test_the_score_interval_covers_30_problems(draws: int, shift: float) -> None:
    random = np.random.default_rng(int(draws * 10 + shift * 100))
    covered = 0
    for _ in range(3000):
        right = two_models_without_a_difference(random, 30, draws, shift).mean(axis=2)
        values = right[0] - right[1]
        interval = PairedShares.of(values, np.ones(30), cluster_mean(*alone(values))).interval()
        covered += interval.low <= 0 <= interval.high
    assert 0.93 <= covered / 3000 <= 0.97


def test_problems_as_units_keep_5_percent_and_flattened_draws_do_not() -> None:
    random = np.random.default_rng(15)
    by_problem = flattened = 0
    for _ in range(1000):
        right = two_models_without_a_difference(random, 30, 16, 1.0).astype(float)
        for differences in ((right[0] - right[1]).mean(axis=1), (right[0] - right[1]).ravel()):
            judged = PairedShares.of(differences, np.ones(len(differences)), cluster_mean(*alone(differences)))
            by_problem += len(differences) == 30 and judged.p() < 0.05
            flattened += len(differences) > 30 and judged.p() < 0.05
    assert 0.03 <= by_problem / 1000 <= 0.07
    assert flattened / 1000 > 0.12
