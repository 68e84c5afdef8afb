"""The plan's power: the formula against simulation and against what the field study printed."""

import numpy as np
import pytest
from scipy import stats

from conftest import ROOT
from selfdistill.planning.counts import counted
from selfdistill.planning.figures import Figures, Rate, interpolated, load_throughputs
from selfdistill.planning.power import Spread, couples, detectable, equivalent_within, reaches, seen, standard_error
from selfdistill.statistics.components import Answers
from selfdistill.study.answers import answers_of
from selfdistill.study.evaluation import Draws, Reported
from selfdistill.study.load import load_study, read_study

STUDIES = 4_000


def own(draws: int) -> Answers:
    return Answers(tuple(range(draws)))


ONCE = own(1)


def studies(spread: Spread, problems: int, draws: tuple[int, int], shift: float, seed: int) -> np.ndarray:
    """Differences by problem (a row a study): true accuracies by problem from two correlated Betas, and draws of them."""
    randomness = np.random.default_rng(seed)
    between = spread.between_share * spread.of_one_answer
    size = spread.of_one_answer / between - 1  # of the Beta whose variance is that between problems
    shape = (STUDIES, problems)
    # What two Betas share: with chance `correlation` they are the same number, which leaves each of them as it was.
    one, other = (
        randomness.beta(spread.accuracy * size, (1 - spread.accuracy) * size, shape) for _ in ("one", "other")
    )
    other = np.where(randomness.random(shape) < spread.correlation, one, other)
    mine = randomness.binomial(draws[0], one) / draws[0]
    theirs = randomness.binomial(draws[1], other) / draws[1]
    return mine - theirs + shift


@pytest.mark.parametrize(
    ("spread", "problems", "draws"),
    [(Spread(0.64, 0.85, 0.87), 400, (3, 1)), (Spread(0.5, 0.45, 0.9), 150, (2, 2)), (Spread(0.3, 0.7, 0.4), 60, (1, 4))],
)  # fmt: skip
def test_the_stated_difference_is_found_in_four_of_five_simulated_studies(
    spread: Spread, problems: int, draws: tuple[int, int]
) -> None:
    alpha = 0.05 / 3
    error = standard_error(spread, problems, own(draws[0]), own(draws[1]))
    differences = studies(spread, problems, draws, detectable(error, problems, alpha), seed=problems)
    assert differences.mean(axis=1).std() == pytest.approx(error, rel=0.03)
    found = stats.ttest_1samp(differences, 0.0, axis=1).pvalue < alpha
    assert found.mean() == pytest.approx(0.8, abs=0.025)


def test_equal_arms_are_shown_to_be_equal_in_four_of_five_simulated_studies() -> None:
    spread, problems = Spread(0.64, 0.85, 0.87), 300
    error = standard_error(spread, problems, ONCE, ONCE)
    margin = equivalent_within(error, problems)
    differences = studies(spread, problems, (1, 1), 0.0, seed=5)
    below = stats.ttest_1samp(differences, margin, axis=1, alternative="less").pvalue < 0.05
    above = stats.ttest_1samp(differences, -margin, axis=1, alternative="greater").pvalue < 0.05
    assert (below & above).mean() == pytest.approx(0.8, abs=0.025)


def test_the_formula_gives_the_published_paired_intervals() -> None:
    # +1.90 [-0.20, +4.10] over 1,000 problems and +3.01 [-1.00, +7.36] over 299, in points.
    spread = Spread(0.64, between_share=0.85, correlation=0.87)
    assert 1.96 * standard_error(spread, 1000, ONCE, ONCE) == pytest.approx(0.0215, rel=0.03)
    harder = Spread(0.52, between_share=0.85, correlation=0.87)
    assert 1.96 * standard_error(harder, 299, ONCE, ONCE) == pytest.approx(0.0418, rel=0.05)


def test_two_thousand_problems_for_five_points_is_the_formula_with_its_square() -> None:
    """Unpaired arms at an accuracy of one half. (It was published beside a formula without the square, which says 650.)"""
    unpaired = Spread(0.5, between_share=0.85, correlation=0.0)
    at_80, at_90 = (detectable(standard_error(unpaired, 2000, ONCE, ONCE), 2000, power=power) for power in (0.8, 0.9))
    assert at_80 < 0.05 < at_90 < 0.052
    assert detectable(standard_error(unpaired, 650, ONCE, ONCE), 650) > 0.07
    # Pairing needs a quarter of them.
    paired = Spread(0.5, between_share=0.85, correlation=0.87)
    assert detectable(standard_error(paired, 500, ONCE, ONCE), 500) < 0.05


def test_more_problems_seeds_and_a_smaller_family_find_smaller_differences() -> None:
    file = ROOT / "config/throughputs.yaml"
    study = load_study(read_study(ROOT / "config/lab-full.yaml"))
    found = {reach.hypothesis: reach for reach in reaches(study, Figures(load_throughputs(file), study, file))}
    assert found["ssd-at-0-7"].alpha == pytest.approx(0.05 / 3) and found["ssd-against-its-filter"].alpha == 0.05
    assert found["ssd-at-0-7"].problems == 560  # 800 less the dev share of 0.3
    assert (found["ssd-at-0-7"].draws, found["ssd-at-0-7"].draws_against) == (3, 1)
    assert (found["aa-is-null"].draws, found["aa-is-null"].draws_against) == (1, 1)
    assert found["ssd-against-its-filter"].detectable < found["ssd-at-0-7"].detectable


def coupled_studies(spread: Spread, problems: int, side: Answers, against: Answers, seed: int) -> np.ndarray:
    """Mean differences (one a study) of answers that share noise. With chance `correlation` both sides have the same true
    accuracy, and there each number of noise is, with some chance, the same for all that have it."""
    randomness = np.random.default_rng(seed)
    between = spread.between_share * spread.of_one_answer
    size = spread.of_one_answer / between - 1
    shape = (STUDIES, problems)
    one, other = (randomness.beta(spread.accuracy * size, (1 - spread.accuracy) * size, shape) for _ in range(2))
    alike = randomness.random(shape) < spread.correlation
    other = np.where(alike, one, other)
    numbers = {*side.noises, *against.noises}
    noise = {number: randomness.random(shape) for number in numbers}
    shared = {n: alike & (randomness.random(shape) < spread.draw_correlation / spread.correlation) for n in numbers}

    def mean(asked: Answers, chance: np.ndarray) -> np.ndarray:
        drawn = (np.where(shared[n], noise[n], randomness.random(shape)) < chance for n in asked.noises)
        return np.asarray(sum(each.astype(float) for each in drawn)) / len(asked)

    return np.asarray((mean(side, one) - mean(against, other)).mean(axis=1))


@pytest.mark.parametrize(
    "spread", [Spread(0.6, 0.45, 0.9, 0.7), Spread(0.5, 0.3, 1.0, 0.95), Spread(0.7, 0.6, 0.8, 0.2)]
)
@pytest.mark.parametrize(
    ("draws", "trainings", "against"),
    [
        ((1, 1), 1, None),
        ((2, 2), 1, None),
        ((4, 1), 1, None),
        ((2, 3), 1, None),
        ((1, 1), 3, None),  # three training seeds against the base: all of them with its noise
        ((4, 1), 3, None),  # each with another
        ((4, 2), 5, None),
        ((2, 2), 5, 2),  # an arm against another
    ],
)
def test_the_error_of_coupled_answers_is_that_of_simulated_studies(
    spread: Spread, draws: tuple[int, int], trainings: int, against: int | None
) -> None:
    asked = Draws(base=draws[0], arms=draws[1])
    sides = answers_of(asked, trainings), answers_of(asked, against)
    seen = coupled_studies(spread, 40, *sides, seed=11).std()
    assert seen == pytest.approx(standard_error(spread, 40, *sides, coupled=True), rel=0.04)
    assert standard_error(spread, 40, *sides) > standard_error(spread, 40, *sides, coupled=True)


def test_the_error_of_coupled_draws_is_the_closed_form_of_one_model_a_side() -> None:
    """Draw j goes with draw j as far as both have it: the means' covariance is c·within·min(m, m')/(m·m')."""
    spread = Spread(0.6, 0.45, 0.9, 0.7)
    within = 0.55 * spread.of_one_answer
    for base, arms in ((1, 1), (4, 1), (2, 3), (5, 5)):
        draws = Draws(base=base, arms=arms)
        noise = within * (1 / base + 1 / arms - 2 * 0.7 * min(base, arms) / (base * arms))
        found = standard_error(spread, 1, answers_of(draws, 1), answers_of(draws), coupled=True) ** 2
        assert found == pytest.approx(2 * 0.45 * spread.of_one_answer * 0.1 + noise)


def test_trainings_take_turns_at_the_noises_of_a_base_that_has_more() -> None:
    draws = Draws(base=4, arms=1)
    assert answers_of(draws, 5).noises == (0, 1, 2, 3, 0) and answers_of(draws).noises == (0, 1, 2, 3)
    assert answers_of(Draws(base=4, arms=2), 3).noises == (0, 1, 2, 3, 0, 1)
    assert answers_of(Draws(base=2, arms=2), 2).noises == answers_of(Draws(base=2, arms=3), 2).noises[:2] * 2 == (0, 1, 0, 1)  # fmt: skip
    spread = Spread(0.6, 0.5, 0.9, 0.8)
    by_turns, all_the_first = answers_of(draws, 3), Answers((0, 0, 0))
    worse = standard_error(spread, 100, all_the_first, answers_of(draws), coupled=True)
    # If all of them had the noise of the base's first answer, coupling would do harm.
    assert worse > standard_error(spread, 100, by_turns, answers_of(draws)) > 1.2 * standard_error(spread, 100, by_turns, answers_of(draws), coupled=True)  # fmt: skip


def test_equal_models_with_the_same_noise_differ_in_nothing_whatever_their_number() -> None:
    same = Spread(0.6, 0.5, correlation=1.0, draw_correlation=1.0)
    for trainings in (1, 4):
        sides = answers_of(Draws(base=2, arms=2), trainings), answers_of(Draws(base=2, arms=2))
        assert standard_error(same, 100, *sides, coupled=True) == pytest.approx(0, abs=1e-9)


def test_neither_a_twin_nor_a_fair_comparison_is_coupled() -> None:
    study = load_study(read_study(ROOT / "config.yaml"))
    coupled = {name for name, hypothesis in study.hypotheses.items() if couples(study, hypothesis)}
    assert coupled == {
        name for name, each in study.hypotheses.items() if each.comparison == "matched" and each.arm != "aa"
    }
    own = study.model_copy(update={"evaluation": study.evaluation.model_copy(update={"coupling": "own"})})
    assert not any(couples(own, hypothesis) for hypothesis in own.hypotheses.values())


def test_speeds_hold_between_and_beyond_the_stated_lengths() -> None:
    rates = [Rate(tokens=tokens, per_second=speed, how="assumed", source="") for tokens, speed in ((100, 10), (300, 5))]
    given = [interpolated(rates, tokens) for tokens in (50, 100, 200, 300, 400)]
    assert given == pytest.approx([0.1, 0.1, 0.15, 0.2, 0.25])


def test_what_was_reported_of_a_benchmark_is_held_against_its_problems_alone() -> None:
    study = load_study(read_study(ROOT / "config/doubt-r1-distill-qwen-7b.yaml"), ROOT)
    figures = Figures(load_throughputs(ROOT / "config/throughputs.yaml"), study, ROOT / "config/throughputs.yaml")
    study = counted(study, figures)
    whole = Reported(hypothesis="guided-forgets-to-search", difference=0.03, source="nobody")
    (of_benchmark, of_all) = seen(study.model_copy(update={"reported": study.reported | {"all": whole}}), figures)
    assert (of_benchmark.problems, of_all.problems) == (28, 570)  # of 30 and 600, a twentieth is dev
    variance = 0.6 * 0.4 * (2 * 0.85 * (1 - 0.87) + 0.15 / 48 + 0.15 / 16) / 28
    t = stats.t(27)
    assert of_benchmark.detectable == pytest.approx((t.ppf(0.975) + t.ppf(0.8)) * variance**0.5, rel=1e-6)
    assert of_benchmark.in_these_checkpoints and of_benchmark.in_the_method  # 22 points
    assert of_all.in_these_checkpoints and not of_all.in_the_method
    assert of_all.detectable_of_method is not None and 0.02 < of_all.detectable < 0.03 < of_all.detectable_of_method
