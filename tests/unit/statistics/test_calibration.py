"""Simulated studies through the functions that judge real ones: a small form of `benchmarks/calibration.py`.

Each cell has fixed seeds, so that it always says the same; its tolerance is where 999 of 1,000 repeats would lie if the
interval held what it says.
"""

import gc
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy import stats

from simulated_studies import World, simulate

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "benchmarks"))

from calibrating.cells import SD, SQUARE_ARMS, Cell, Menu
from calibrating.measures import CHECKPOINTS, THE_METHOD, measure

STUDIES = 120

Counts = dict[str, list[int]]


@pytest.fixture(autouse=True, scope="module")
def little_garbage() -> Iterator[None]:
    """statsmodels collects garbage at every adjustment: what other tests hold need not be looked at each time."""
    gc.freeze()
    yield
    gc.unfreeze()


def counted(world: World | Menu, studies: int = STUDIES, **cell: Any) -> Counts:
    counts: Counts = measure(Cell("test", "test", world, **cell), studies)["counts"]
    return counts


def plausible(share: float, asked: int) -> tuple[int, int]:
    """How often something of this chance happens in all but one of 1,000 repeats."""
    return int(stats.binom.ppf(0.0005, asked, share)), int(stats.binom.ppf(0.9995, asked, share))


def holds(counts: Counts, what: str, share: float) -> bool:
    held, asked = counts[what]
    fewest, most = plausible(share, asked)
    return fewest <= held <= most


def at_most(counts: Counts, what: str, share: float) -> bool:
    held, asked = counts[what]
    return held <= plausible(share, asked)[1]


@pytest.mark.parametrize(
    "world",
    [
        World(30, 4),
        World(300, 1, difficulty="bimodal"),
        World(300, 1, families="one to five"),
        World(300, 4, families="one giant"),
        World(300, 1, base_draws=4),
        World(300, 1, coupling=1.0, effect=0.05),
    ],
    ids=["30 problems", "bimodal", "families", "one giant family", "unequal draws", "coupled draws"],
)
def test_a_difference_of_two_checkpoints_lies_in_its_interval(world: World) -> None:
    counts = counted(world)
    assert holds(counts, f"covered, {CHECKPOINTS}", 0.95), counts
    assert counts[f"p and interval disagree, {CHECKPOINTS}"][0] == 0
    if not world.effect:
        assert at_most(counts, f"false positive, {CHECKPOINTS}", 0.05), counts


@pytest.mark.parametrize(("trainings", "sd", "studies"), [(3, SD, STUDIES), (10, 0.0, 60)])
def test_a_claim_about_the_method_holds_for_trainings_that_were_not_made(
    trainings: int, sd: float, studies: int
) -> None:
    counts = counted(World(300, trainings=trainings, training_sd=sd), studies)
    assert holds(counts, f"covered, {THE_METHOD}", 0.95), counts
    assert at_most(counts, f"false positive, {THE_METHOD}", 0.05), counts
    assert counts[f"p and interval disagree, {THE_METHOD}"][0] == 0


def test_trainings_as_the_units_leave_out_the_noise_that_they_share() -> None:
    """Their spread says nothing of the problems and of the base's draws, which are the same for all: what stood in
    the tables before claims were told apart fails the measure above."""
    world = World(300, trainings=10)
    studies = simulate(world, STUDIES, np.random.default_rng(1))
    accuracy = (
        studies.graded.filter(pl.col("split") == "test")
        .group_by("decode_id", "model_id")
        .agg((pl.col("verdict") == "correct").mean().alias("accuracy"))
    )
    covered = 0
    for _, study in accuracy.group_by("decode_id"):
        base = study.filter(pl.col("model_id") == "base")["accuracy"].item()
        differences = study.filter(pl.col("model_id") != "base")["accuracy"].to_numpy() - base
        low, high = stats.ttest_1samp(differences, 0.0).confidence_interval()
        covered += low <= 0 <= high
    assert covered < plausible(0.95, STUDIES)[0]


def test_one_training_claims_nothing_of_the_method_in_the_2x2_and_three_do() -> None:
    alone = counted(World(100, arms=SQUARE_ARMS, training_sd=SD), 10, kind="square")
    assert f"covered, {THE_METHOD}" not in alone
    several = counted(World(300, arms=SQUARE_ARMS, trainings=3, training_sd=SD), 60, kind="square")
    assert holds(several, f"covered, {THE_METHOD}", 0.95), several


def test_a_model_against_itself_is_not_told_apart_by_the_choice_of_its_decode() -> None:
    menu = Menu((0.65, 0.64, 0.62, 0.55), of_base_alone=(0.70, 0.66), trained=False)
    counts = counted(menu, 60, kind="menu")
    assert at_most(counts, f"false positive, {CHECKPOINTS}", 0.05), counts


def test_a_few_failures_all_one_way_are_not_called_equivalent_at_the_margin() -> None:
    world = World(300, difficulty="settled", accuracy=0.9, effect=-0.02)
    assert at_most(counted(world, margin=0.02), "equivalent at the margin", 0.05)


def test_a_floor_is_no_equivalence() -> None:
    found = measure(Cell("test", "floor", World(85, difficulty="settled", accuracy=0.0)), 20)
    assert set(found["words"]) == {"not measurable"}


def test_the_difference_that_a_study_says_it_would_find_is_found_in_four_of_five() -> None:
    counts = counted(World(300, 1, accuracy=0.5), at_mde=True)
    assert holds(counts, f"found, {CHECKPOINTS}", 0.8), counts


@pytest.mark.parametrize("effect", [0.0, 0.05])
def test_the_simulated_population_has_the_accuracies_that_are_taken_for_its_truth(effect: float) -> None:
    for world in (
        World(1000, difficulty="bimodal", families="one to five", trainings=3, training_sd=SD, effect=effect),
        World(1000, accuracy=0.9, coupling=1.0, effect=effect),
    ):
        studies = simulate(world, 100, np.random.default_rng(2))
        right = studies.graded.filter(pl.col("split") == "test").group_by("model_id").agg(
            (pl.col("verdict") == "correct").mean().alias("accuracy")
        )  # fmt: skip
        accuracy = dict(right.iter_rows())
        arm = np.mean([share for model, share in accuracy.items() if model != "base"])
        assert accuracy["base"] == pytest.approx(world.accuracy, abs=0.006)
        assert arm - accuracy["base"] == pytest.approx(studies.effects["arm"].mean(), abs=0.005)


def test_coupled_answers_of_one_law_are_the_same_and_half_coupled_ones_half_as_alike() -> None:
    def agreement(coupling: float) -> float:
        world = World(300, coupling=coupling)
        graded = simulate(world, 20, np.random.default_rng(3)).graded
        sides = [
            graded.filter((pl.col("model_id") == "base") == is_base).sort("decode_id", "problem_id")["verdict"]
            == "correct"
            for is_base in (True, False)
        ]
        return float(np.mean((sides[0] == sides[1]).to_numpy()))

    independent, half, full = map(agreement, (0.0, 0.5, 1.0))
    assert half == pytest.approx((independent + full) / 2, abs=0.02)
    assert full > 0.93 and independent < 0.8
