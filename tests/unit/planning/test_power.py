"""The plan's power: the formula against simulation and against what the field study printed."""

import numpy as np
import pytest
from scipy import stats

from conftest import ROOT
from selfdistill.planning.figures import Figures, Rate, interpolated, load_throughputs
from selfdistill.planning.power import Spread, detectable, equivalent_within, reaches, standard_error
from selfdistill.study.load import load_study, read_study

STUDIES = 4_000


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
    error = standard_error(spread, problems, *draws)
    differences = studies(spread, problems, draws, detectable(error, problems, alpha), seed=problems)
    assert differences.mean(axis=1).std() == pytest.approx(error, rel=0.03)
    found = stats.ttest_1samp(differences, 0.0, axis=1).pvalue < alpha
    assert found.mean() == pytest.approx(0.8, abs=0.025)


def test_equal_arms_are_shown_to_be_equal_in_four_of_five_simulated_studies() -> None:
    spread, problems = Spread(0.64, 0.85, 0.87), 300
    error = standard_error(spread, problems, 1, 1)
    margin = equivalent_within(error, problems)
    differences = studies(spread, problems, (1, 1), 0.0, seed=5)
    below = stats.ttest_1samp(differences, margin, axis=1, alternative="less").pvalue < 0.05
    above = stats.ttest_1samp(differences, -margin, axis=1, alternative="greater").pvalue < 0.05
    assert (below & above).mean() == pytest.approx(0.8, abs=0.025)


def test_the_formula_gives_the_published_paired_intervals() -> None:
    # +1.90 [-0.20, +4.10] over 1,000 problems and +3.01 [-1.00, +7.36] over 299, in points.
    spread = Spread(0.64, between_share=0.85, correlation=0.87)
    assert 1.96 * standard_error(spread, 1000, 1, 1) == pytest.approx(0.0215, rel=0.03)
    harder = Spread(0.52, between_share=0.85, correlation=0.87)
    assert 1.96 * standard_error(harder, 299, 1, 1) == pytest.approx(0.0418, rel=0.05)


def test_two_thousand_problems_for_five_points_is_the_formula_with_its_square() -> None:
    """Unpaired arms at an accuracy of one half. (It was published beside a formula without the square, which says 650.)"""
    unpaired = Spread(0.5, between_share=0.85, correlation=0.0)
    at_80, at_90 = (detectable(standard_error(unpaired, 2000, 1, 1), 2000, power=power) for power in (0.8, 0.9))
    assert at_80 < 0.05 < at_90 < 0.052
    assert detectable(standard_error(unpaired, 650, 1, 1), 650) > 0.07
    # Pairing needs a quarter of them.
    paired = Spread(0.5, between_share=0.85, correlation=0.87)
    assert detectable(standard_error(paired, 500, 1, 1), 500) < 0.05


def test_more_problems_seeds_and_a_smaller_family_find_smaller_differences() -> None:
    file = ROOT / "config/throughputs.yaml"
    study = load_study(read_study(ROOT / "config/lab-full.yaml"))
    found = {reach.hypothesis: reach for reach in reaches(study, Figures(load_throughputs(file), study, file))}
    assert found["ssd-at-0-7"].alpha == pytest.approx(0.05 / 3) and found["ssd-against-its-filter"].alpha == 0.05
    assert found["ssd-at-0-7"].problems == 560  # 800 less the dev share of 0.3
    assert (found["ssd-at-0-7"].draws, found["ssd-at-0-7"].draws_against) == (3, 1)
    assert (found["aa-is-null"].draws, found["aa-is-null"].draws_against) == (1, 1)
    assert found["ssd-against-its-filter"].detectable < found["ssd-at-0-7"].detectable


def test_speeds_hold_between_and_beyond_the_stated_lengths() -> None:
    rates = [Rate(tokens=tokens, per_second=speed, how="assumed", source="") for tokens, speed in ((100, 10), (300, 5))]
    given = [interpolated(rates, tokens) for tokens in (50, 100, 200, 300, 400)]
    assert given == pytest.approx([0.1, 0.1, 0.15, 0.2, 0.25])
