"""Where a gain comes from: closed forms, sums that hold to the last digit, coverage in simulated studies, and no gain found
where there is none."""

import numpy as np
import pytest

from selfdistill.statistics.clusters import Array, cluster_mean, cluster_totals
from selfdistill.statistics.decomposition import Parts, cross_fitted_gains, gain_parts, gains_in_class
from selfdistill.statistics.intervals import t_interval
from selfdistill.statistics.paired import PairedShares
from selfdistill.statistics.quantiles import median_interval

Drawn = tuple[Array, Array]  # by problem and draw: right, finished


def logistic(x: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-x)))


def parts_of(arm: Drawn, base: Drawn) -> Parts:
    parts = gain_parts(*(side.mean(axis=1) for side in (*arm, *base)))
    assert parts is not None
    return parts


def drawn(random: np.random.Generator, finishing: Array, right_when_finished: Array, draws: int) -> Drawn:
    finished = random.random((len(finishing), draws)) < finishing[:, None]
    return finished & (random.random(finished.shape) < right_when_finished[:, None]), finished


def test_a_base_whose_cut_answers_are_given_the_time_gains_by_finishing_alone() -> None:
    """100 problems, 60 finish, 45 of them right; all finish in the arm, 75 right: three quarters of the finished on both."""
    finished, right = np.arange(100) < 60, np.arange(100) < 45
    arm_right = right | ((np.arange(100) >= 60) & (np.arange(100) < 90))
    parts = parts_of((arm_right[:, None], np.ones((100, 1), bool)), (right[:, None], finished[:, None]))
    assert parts.finished_more.mean() == pytest.approx(0.30) and parts.right_more.mean() == pytest.approx(0)


def test_an_arm_that_finishes_the_same_answers_gains_by_being_right_alone() -> None:
    finished, right = np.arange(100) < 80, np.arange(100) < 40
    parts = parts_of(((np.arange(100) < 50)[:, None], finished[:, None]), (right[:, None], finished[:, None]))
    assert parts.finished_more == pytest.approx(np.zeros(100))
    assert parts.right_more.mean() == pytest.approx(0.10)


def test_both_parts_are_those_of_the_formula() -> None:
    """f .5 → .8 and c .6 → .7: (.3)(.65) = .195 and (.1)(.65) = .065, together .56 − .30."""
    base = (np.arange(1000) < 300)[:, None], (np.arange(1000) < 500)[:, None]
    arm = (np.arange(1000) < 560)[:, None], (np.arange(1000) < 800)[:, None]
    parts = parts_of(arm, base)
    assert (parts.finished_more.mean(), parts.right_more.mean()) == pytest.approx((0.195, 0.065))


@pytest.mark.parametrize("draws", [1, 3])
def test_the_parts_add_up_in_every_problem_and_so_do_their_intervals(draws: int) -> None:
    random = np.random.default_rng(draws)
    finishing = random.random(50)
    base, arm = (drawn(random, finishing, random.random(50), draws) for _ in range(2))
    parts = parts_of(arm, base)
    assert parts.finished_more + parts.right_more == pytest.approx(arm[0].mean(axis=1) - base[0].mean(axis=1))
    families = np.arange(50) // 2
    both = [cluster_mean(*cluster_totals(part, families)) for part in parts[:2]]
    assert sum(mean.estimate for mean in both) == pytest.approx(arm[0].mean() - base[0].mean())


def test_the_linearised_influence_is_the_derivative() -> None:
    """One problem weighed a little more moves each part by its influence: what the delta method rests on."""
    random = np.random.default_rng(7)
    sides = [side.mean(axis=1) for _ in range(2) for side in drawn(random, random.random(40), random.random(40), 2)]
    parts = gain_parts(*sides)
    assert parts is not None

    def parts_at(weights: Array) -> Array:
        right, finished, other_right, other_finished = ((weights * side).sum() / weights.sum() for side in sides)
        given, other = right / finished, other_right / other_finished
        return np.array([(finished - other_finished) * (given + other) / 2, (given - other) * (finished + other_finished) / 2])  # fmt: skip

    for problem in range(5):
        weights = np.ones(40)
        weights[problem] += 1e-5
        moved = (parts_at(weights) - parts_at(np.ones(40))) / (1e-5 / 40)
        assert moved == pytest.approx([part[problem] - part.mean() for part in parts[:2]], rel=1e-3, abs=1e-6)


def test_a_side_that_never_finishes_has_no_parts() -> None:
    none, some = np.zeros(5), np.array([0, 1, 0, 1, 1.0])
    assert gain_parts(none, none, some, some) is None and gain_parts(some, some, none, none) is None


def world(ease: Array, finishes: float, gain: float) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    """Chances by problem of finishing, and of being right when finished, for base and arm."""
    base = logistic(finishes + 0.8 * ease), logistic(0.5 + 1.3 * ease)
    arm = logistic(finishes + gain + 0.8 * ease), logistic(0.5 + gain / 2 + 1.3 * ease)
    return base, arm


def true_parts(finishes: float, gain: float) -> Array:
    ease = 1.5 * np.random.default_rng(0).standard_normal(1_000_000)
    means = [(f.mean(), (f * c).mean() / f.mean()) for f, c in world(ease, finishes, gain)]
    (finishing, given), (arm_finishing, arm_given) = means
    return np.array([(arm_finishing - finishing) * (given + arm_given) / 2, (arm_given - given) * (finishing + arm_finishing) / 2])  # fmt: skip


@pytest.mark.parametrize(
    ("problems", "draws", "finishes", "gain"),
    [(100, (1, 1), 2.0, 0.4), (300, (4, 1), 3.0, 0.4), (300, (1, 1), 4.5, 0.0), (300, (1, 1), 4.5, 3.0)],
    ids=[
        "100 problems, 17 % cut",
        "300 problems, 4 draws against 1, 8 % cut",
        "2 % cut, no effect",
        "2 % cut, then .1 %",
    ],
)
def test_intervals_of_both_parts_cover_the_truth(
    problems: int, draws: tuple[int, int], finishes: float, gain: float
) -> None:
    random, truth, studies = np.random.default_rng(11), true_parts(finishes, gain), 1200
    covered = np.zeros(2)
    for _ in range(studies):
        ease = 1.5 * random.standard_normal(problems)
        base, arm = world(ease, finishes, gain)
        found = parts_of(drawn(random, *arm, draws[1]), drawn(random, *base, draws[0]))
        judged = (found.finished_more, found.finished_span), (found.right_more, found.right_span)
        for place, ((part, span), true) in enumerate(zip(judged, truth, strict=True)):
            mean = cluster_mean(*cluster_totals(part, np.arange(problems)))
            interval = PairedShares.of(part, np.ones(problems), mean, span).interval()
            covered[place] += interval.low <= true <= interval.high
    assert ((covered / studies > 0.93) & (covered / studies < 0.975)).all(), covered / studies


def test_t_would_trust_the_spread_of_the_few_that_differ() -> None:
    """One answer of 300 was cut: t says that finishing took no more than .6 points away, and nobody can know that."""
    finished = np.ones((300, 1), bool)
    cut_once = np.arange(300)[:, None] > 0
    found = parts_of((cut_once, cut_once), (finished, finished))
    mean = cluster_mean(*cluster_totals(found.finished_more, np.arange(300)))
    score = PairedShares.of(found.finished_more, np.ones(300), mean, found.finished_span).interval()
    assert t_interval(mean).low > -0.011 and score.low < -0.017 and score.high > 0.008


# ---- gains by how the base ended

Classes = tuple[Array, ...]


def classes_of(base: Drawn) -> Classes:
    right, finished = base
    return ~finished, finished & ~right, right


def gain_in(gains: Array, in_class: Array) -> float:
    values, weights = gains_in_class(gains, in_class)
    return float(values.sum() / weights.sum())


def naive_gain(base: Drawn, arm: Drawn, in_class: Array) -> float:
    """What not to do: the answers that classify also measure."""
    gains = arm[0].mean(axis=1, keepdims=True) - base[0]
    return float(gains[in_class].mean())


NO_NOISE_SHARED = np.zeros((2, 2), bool)


def test_without_an_effect_no_class_gains_when_no_draw_both_classifies_and_measures() -> None:
    random = np.random.default_rng(3)
    ease = 1.5 * random.standard_normal(60_000)
    chances, _ = world(ease, 1.5, 0.0)
    base, arm = drawn(random, *chances, 2), drawn(random, *chances, 2)
    gains = cross_fitted_gains(base[0], [arm[0]], [NO_NOISE_SHARED])
    for in_class in classes_of(base):
        assert abs(gain_in(gains, in_class)) < 0.01
    assert naive_gain(base, arm, classes_of(base)[0]) > 0.2  # regression to the mean
    assert naive_gain(base, arm, classes_of(base)[2]) < -0.2


def test_under_shared_noise_the_arms_own_twin_of_the_classifying_draw_is_left_out() -> None:
    """The same weights under another name: every answer is the base's own. Left in, the twin would find losses where the
    base was wrong and gains where it was right."""
    random = np.random.default_rng(4)
    chances, _ = world(1.5 * random.standard_normal(60_000), 1.5, 0.0)
    base = drawn(random, *chances, 4)
    twin = np.eye(4, dtype=bool)
    gains = cross_fitted_gains(base[0], [base[0]], [twin])
    assert gains == pytest.approx(np.zeros(gains.shape))
    left_in = cross_fitted_gains(base[0], [base[0]], [np.zeros((4, 4), bool)])
    assert gain_in(left_in, classes_of(base)[2]) > 0.05 and gain_in(left_in, classes_of(base)[0]) < -0.05
    one_draw = cross_fitted_gains(base[0], [base[0][:, :1]], [twin[:, :1]])  # the arm answered once
    assert np.isnan(one_draw[:, 0]).all() and abs(gain_in(one_draw, classes_of(base)[0])) < 0.01


def test_gains_by_class_are_found_where_they_are_and_add_up_to_the_whole() -> None:
    """An arm that is a base which always finishes: it gains where the base is cut."""
    random = np.random.default_rng(5)
    finishing, given = np.where(np.arange(40_000) % 2, 1.0, 0.5), np.full(40_000, 0.6)
    base, arm = drawn(random, finishing, given, 2), drawn(random, np.ones(40_000), given, 2)
    gains = cross_fitted_gains(base[0], [arm[0]], [NO_NOISE_SHARED])
    cut, wrong, right = (gain_in(gains, in_class) for in_class in classes_of(base))
    assert cut == pytest.approx(0.3, abs=0.015)  # cut means an even problem: half of the others are cut, and .6 right
    assert (wrong, right) == pytest.approx(
        (0.1, 0.1), abs=0.015
    )  # a third of the finished answers are of such problems
    parts = [gains_in_class(gains, in_class)[0].mean() for in_class in classes_of(base)]
    assert sum(parts) == pytest.approx(arm[0].mean() - base[0].mean())


def test_training_seeds_weigh_alike_however_many_draws_they_have() -> None:
    base, one, other = np.array([[1, 0]]), np.array([[1, 1]]), np.array([[0]])
    gains = cross_fitted_gains(base, [one, other], [NO_NOISE_SHARED, np.zeros((2, 1), bool)])
    assert gains.tolist() == [[0.5 - 0, 0.5 - 1]]


# ---- the median of lengths


def test_the_median_is_the_first_length_that_half_have_reached_and_unknown_where_half_never_end() -> None:
    lengths = np.arange(1.0, 101.0)[:, None]
    families = np.arange(100)
    median = median_interval([lengths], families)
    assert median.estimate == 50 and median.low < 50 < median.high
    assert (median.low, median.high) == pytest.approx((40, 60), abs=1)  # 50 ± 1.98 · √(.25/99) · 100
    cut = np.where(lengths > 45, np.inf, lengths)
    unknown = median_interval([cut], families)
    assert np.isnan(unknown.estimate) and np.isnan(unknown.high) and unknown.low < 45


def test_the_interval_of_the_median_covers_it_with_answers_of_one_problem_alike() -> None:
    random, covered, studies = np.random.default_rng(8), 0, 1000
    for _ in range(studies):
        lengths = np.exp(random.standard_normal((80, 1)) + 0.5 * random.standard_normal((80, 3)))
        median = median_interval([lengths], np.arange(80))
        covered += median.low <= 1.0 <= median.high
    assert 0.93 < covered / studies < 0.97
