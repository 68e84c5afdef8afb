"""What is made of rollouts and updates, against simulated trainings whose truth is known."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy import stats

from practised import Truth, families, practised, rollouts
from selfdistill.analysis.differences import Row
from selfdistill.analysis.practice import Practised, costs, level, practice
from selfdistill.analysis.practice_changes import BOUNDS, Ends, change, practice_changes
from selfdistill.analysis.practice_questions import (
    CUT_COUNTED_RIGHT,
    MEASURES,
    OF_GROUPS,
    REWARD,
    Measure,
    question_sums,
    read_rollouts,
    without_prompts,
)
from selfdistill.tables import words
from selfdistill.tables.practice import ROLLOUTS
from selfdistill.tables.practice_analysis import PRACTICE, PRACTICE_CHANGES, PRACTICE_COST
from selfdistill.tables.streams import TableWriter

ALL = {measure.name: measure for measure in (*MEASURES, *OF_GROUPS)}
WORLDS = 240
FEWEST, MOST = (int(stats.binom.ppf(share, WORLDS, 0.95)) for share in (0.0005, 0.9995))
# A t interval of a ratio of 16 questions holds the truth in 93.8 to 95.5 % (benchmarks/practice_intervals.py), and in no fewer.
FEWEST_OF_CHANGES = int(stats.binom.ppf(0.0005, WORLDS, 0.938))


def one(frame: pl.DataFrame, **wanted: Any) -> Mapping[str, Any]:
    for column, value in wanted.items():
        frame = frame.filter(pl.col(column).is_null() if value is None else pl.col(column) == value)
    assert frame.height == 1, frame
    return frame.row(0, named=True)


def far_off(row: Mapping[str, Any], truth: float) -> bool:
    """By twice the reach of its interval."""
    half = (row["high"] - row["low"]) / 2
    return abs(row["estimate"] - truth) > 2 * half + 1e-12


LARGE = Truth(questions=150, generations=6, cut=(0.05, 0.25), tokens=(120, 60))


@pytest.fixture(scope="module")
def large() -> list[Practised]:
    return practised("sdpo", LARGE, seeds=2)


def test_the_curves_are_those_that_were_put_in(large: list[Practised]) -> None:
    table = practice(large)
    assert list(table.columns) == list(PRACTICE)
    for generation in range(1, LARGE.generations + 1):
        cut = LARGE.at(LARGE.cut, generation)
        rate = LARGE.at(LARGE.doubts_per_token, generation)
        tokens = LARGE.at(LARGE.tokens, generation)
        truths = {
            words.REWARD: LARGE.at(LARGE.reward, generation) * (1 - cut),
            words.REWARD_CUT_RIGHT: LARGE.at(LARGE.reward, generation) * (1 - cut) + cut,
            words.MEAN_TOKENS: tokens,
            words.DOUBTS: rate * tokens,
            words.DOUBT_RATE: 1000 * rate,
            words.CUT_RATE: cut,
            words.LOOP_RATE: cut * LARGE.looping,
        }
        for measure, truth in truths.items():
            row = one(table, generation=generation, measure=measure, training_seed=None, claim=words.CHECKPOINTS)
            assert not far_off(row, truth), (generation, measure, row["estimate"], truth)
            assert row["counted"] == 2 * 150 * 8 and row["step"] == 2 * (generation - 1)


def test_groups_of_one_reward_are_as_many_as_the_law_says() -> None:
    truth = Truth(questions=400, generations=2)
    table = practice(practised("grpo", truth))
    for generation in (1, 2):
        wrong, right = truth.flat(generation)
        for measure, chance in (
            (words.ALL_WRONG_RATE, wrong),
            (words.ALL_RIGHT_RATE, right),
            (words.FLAT_RATE, wrong + right),
        ):
            row = one(table, generation=generation, measure=measure)
            assert not far_off(row, chance), (measure, row["estimate"], chance)
            assert row["counted"] == 400


def test_a_question_that_is_asked_twice_is_one_unit_and_two_groups() -> None:
    truth = Truth(coverage=8, questions=16, generations=2)
    [run] = practised("sdpo", truth)
    assert run.questions.filter(generation=1).height == 8
    assert run.questions["groups"].to_list() == [2] * 16 and run.questions["answers"].to_list() == [16] * 16
    row = one(practice([run]), generation=1, measure=words.FLAT_RATE)
    assert (row["n"], row["counted"], row["unit"]) == (8, 16, words.PROBLEM)


def test_one_question_has_a_reward_and_no_interval() -> None:
    table = practice(practised("sdpo", Truth(coverage=1, questions=4, generations=2)))
    row = one(table, generation=1, measure=words.REWARD)
    assert row["low"] is None and row["high"] is None and row["n"] == 1


def sums(truth: Truth, seed: int, world: int, size: int = 1) -> pl.DataFrame:
    return question_sums(without_prompts(rollouts(truth, seed, world)), truth.rollouts, families(truth, size))


SMALL = Truth(generations=2, questions=16, cut=(0.1, 0.1), reward=(0.7, 0.5), coverage=400)


@pytest.mark.parametrize("name", [words.REWARD, words.MEAN_TOKENS, words.DOUBT_RATE, words.CUT_RATE, words.FLAT_RATE])
def test_the_interval_of_a_generation_covers(name: str) -> None:
    """16 questions of 8 rollouts, as in the lab: in all but one of 1,000 repeats as often as is said."""
    truth = Truth(generations=1, questions=16, cut=(0.1, 0.1), reward=(0.7, 0.7), coverage=400)
    uncut = Truth(generations=1, questions=16, reward=(0.6, 0.6), coverage=400)
    world = uncut if name == words.FLAT_RATE else truth
    known = {
        words.REWARD: 0.63, words.MEAN_TOKENS: 120.0, words.DOUBT_RATE: 40.0, words.CUT_RATE: 0.1,
        words.FLAT_RATE: sum(uncut.flat(1)),
    }[name]  # fmt: skip
    rows = [level([sums(world, 0, number)], ALL[name], words.CHECKPOINTS) for number in range(WORLDS)]
    covered = sum(row["low"] <= known <= row["high"] for row in rows)
    # Where few questions show one, Wilson's interval is wide (benchmarks/practice_intervals.py: 97 and 99 %): as wide as this.
    few = name in (words.CUT_RATE, words.FLAT_RATE)
    assert covered >= FEWEST and (few or covered <= MOST), covered
    assert 0.9 < breadth(rows) < (1.4 if few else 1.2), breadth(rows)


def breadth(rows: list[Row]) -> float:
    """The mean width of intervals over that of ±1.96 deviations of their estimates."""
    deviation = float(np.std([row["estimate"] for row in rows]))
    return float(np.mean([row["high"] - row["low"] for row in rows])) / (2 * 1.96 * deviation)


def test_of_the_method_covers_what_another_training_would_have() -> None:
    truth = Truth(generations=1, questions=16, reward=(0.5, 0.5), training_sd=0.1, coverage=400)
    claims: dict[str, int] = {}
    widths: dict[str, float] = {}
    for claim in (words.METHOD, words.CHECKPOINTS):
        rows = [level([sums(truth, seed, world) for seed in range(3)], REWARD, claim) for world in range(WORLDS)]
        claims[claim] = sum(row["low"] <= 0.5 <= row["high"] for row in rows)
        widths[claim] = breadth(rows)
    # It adds the variance of questions, which trainings share, to that between trainings: never less than 95 %, at this breadth.
    assert claims[words.METHOD] >= FEWEST and 1.0 < widths[words.METHOD] < 1.9, (claims, widths)
    assert claims[words.CHECKPOINTS] < FEWEST  # it speaks of these trainings alone


def test_families_of_questions_count_once() -> None:
    alone, together = (
        level([sums(SMALL, 0, 0, size).filter(generation=1)], REWARD, words.CHECKPOINTS) for size in (1, 50)
    )
    assert alone["estimate"] == together["estimate"]
    assert (alone["unit"], together["unit"]) == (words.PROBLEM, words.FAMILY) and together["n"] < alone["n"] == 16


@pytest.mark.parametrize("coverage", [16, 400], ids=["the same questions", "other questions"])
@pytest.mark.parametrize("name", [words.REWARD, words.DOUBTS, words.DOUBT_RATE])
def test_the_interval_of_a_change_covers(name: str, coverage: int) -> None:
    truth = Truth(generations=2, questions=16, reward=(0.7, 0.4), coverage=coverage)
    known = {words.REWARD: -0.3, words.DOUBTS: 60 * 0.01 - 120 * 0.04, words.DOUBT_RATE: -30.0}[name]
    rows = [change([Ends.of(sums(truth, 0, world))], ALL[name], ALL[name]) for world in range(WORLDS)]
    covered = sum(row["low"] <= known <= row["high"] for row in rows)
    assert FEWEST_OF_CHANGES <= covered <= MOST, covered
    assert {row["n"] for row in rows} == {16 if coverage == 16 else 32}  # the same questions are paired, others add up
    if name == words.REWARD:
        assert {row["method"] for row in rows} == {words.MOVER}


def width(measure: Measure, coverage: int) -> float:
    truth = Truth(generations=2, questions=16, reward=(0.6, 0.6), coverage=coverage)
    rows = [change([Ends.of(sums(truth, 0, world))], measure, measure) for world in range(40)]
    return float(np.mean([row["high"] - row["low"] for row in rows]))


def test_asking_the_same_questions_again_makes_a_change_surer() -> None:
    assert width(REWARD, 16) < 0.75 * width(REWARD, 400)


def test_the_bounds_hold_whatever_the_cut_answers_would_have_said() -> None:
    """Here they would have been right as often as the others: the change is what was put in, between the bounds."""
    truth = Truth(questions=200, generations=2, cut=(0.05, 0.3), reward=(0.6, 0.6))
    table = practice_changes(practised("sdpo", truth))
    assert list(table.columns) == list(PRACTICE_CHANGES)
    seen, least, most = (one(table, measure=name) for name in (words.REWARD, *BOUNDS))
    assert not far_off(seen, 0.6 * (0.95 - 0.7) * -1)
    assert not far_off(least, 0.6 * 0.7 - (0.6 * 0.95 + 0.05)) and not far_off(most, 0.6 * 0.7 + 0.3 - 0.6 * 0.95)
    assert least["low"] < least["estimate"] < 0.0 < most["estimate"] < most["high"]
    start = one(table, measure=words.REWARD_CUT_RIGHT)
    assert least["first"] == start["first"] and most["last"] == start["last"] and CUT_COUNTED_RIGHT.is_share


def test_the_last_ones_are_a_tenth_of_the_generations() -> None:
    rows = {
        count: one(practice_changes(practised("a", Truth(generations=count))), measure=words.REWARD)
        for count in (1, 9, 20)
    }
    assert {count: row["generations"] for count, row in rows.items()} == {1: 1, 9: 1, 20: 2}
    assert rows[1]["estimate"] == 0.0


def test_updates_have_one_number_a_step_and_an_interval_over_trainings() -> None:
    truth = Truth(extra={"teacher_kl": (0.4, 0.1), "clipped_high": (0.0, 0.2)})
    table = practice(practised("sdpo", truth, seeds=3))
    for generation in (1, 10):
        alone = one(table, measure=words.TEACHER_KL, training_seed=1, generation=generation)
        assert alone["estimate"] == pytest.approx(truth.at((0.4, 0.1), generation))
        assert (alone["low"], alone["method"], alone["unit"]) == (None, words.ONE_NUMBER, words.TRAINING)
        pooled = one(table, measure=words.TEACHER_KL, training_seed=None, generation=generation)
        assert pooled["low"] == pytest.approx(alone["estimate"]) and pooled["n"] == 3
    assert table.filter(measure=words.BASE_KL).is_empty()  # what a method has not is null


@pytest.mark.parametrize("change", [{"distil": False}, {"rollouts": 1}], ids=["grpo", "one rollout"])
def test_measures_that_a_method_has_not_are_left_out(change: dict[str, Any]) -> None:
    measures = set(practice(practised("arm", Truth(generations=2, **change)))["measure"])
    assert (words.TAUGHT_RATE in measures) == ("distil" not in change)
    assert (words.FLAT_RATE in measures) == ("rollouts" not in change)


def test_an_arm_that_replays_shows_its_updates_and_none_of_anothers_answers() -> None:
    runs = practised("again", Truth(replays=True, extra={"teacher_kl": (0.4, 0.1)}))
    assert set(practice(runs)["measure"]) == {words.TEACHER_KL, words.LAW_ENTROPY}
    assert practice_changes(runs).is_empty()
    row = one(costs(runs))
    assert (row["sampled"], row["rollouts"], row["seconds_answering"]) == (0, 1280, 0.0)


def test_costs_are_counted() -> None:
    table = costs(practised("sdpo", Truth(coverage=8)))
    row = one(table)
    assert list(table.columns) == list(PRACTICE_COST)
    assert (row["generations"], row["steps"], row["questions"], row["sampled"]) == (10, 20, 8, 1280)
    assert (row["seconds_answering"], row["seconds_learning"], row["peak_bytes"]) == (30.0, 40.0, 10**9)
    assert 0 < row["teacher_tokens"] < row["tokens"] + 3 * 1280


@pytest.mark.parametrize("made", [practice, practice_changes, costs])
def test_without_trainings_tables_are_empty(made: Callable[[list[Practised]], pl.DataFrame]) -> None:
    assert made([]).is_empty()


def test_rollouts_are_read_in_pieces_without_what_weighs(tmp_path: Path) -> None:
    table = rollouts(SMALL, 0)
    with TableWriter(tmp_path / "rollouts.parquet", ROLLOUTS) as file:
        for start in range(0, table.height, 50):
            file.write(table[start : start + 50])
    read = read_rollouts(tmp_path / "rollouts.parquet")
    assert read.equals(without_prompts(table).select(read.columns)) and "teacher_ids" not in read.columns
    assert set(read["teacher_tokens"].drop_nulls()) == {3} and read["teacher_tokens"].null_count() > 0
