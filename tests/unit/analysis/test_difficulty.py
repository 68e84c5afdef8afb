"""Effects by kind of problem: none where there is none, though a naive look shows one; a planted one where it was planted."""

import numpy as np
import polars as pl
import pytest

from selfdistill.analysis.difficulty import by_base_draws, difficulty, splits
from selfdistill.statistics.clusters import Array
from selfdistill.study.evaluation import Evaluation
from selfdistill.tables import words

ARM = "ssd/seed-0/at-100"
EVALUATION = Evaluation.model_validate({
    "budgets": {"quick": 10, "full": "all"}, "decodes": {"base": ["t10"], "final": ["t10"], "earlier": []},
})  # fmt: skip
GROUPS = [words.SOLVED_NONE, words.SOLVED_SOME, words.SOLVED_ALL]


def drawn(
    random: np.random.Generator, problems: int, draws: int, gain_when_hard: float, coupled: bool
) -> tuple[Array, Array]:
    """Right answers of base and arm, problems × draws. Problems below one in two are hard, and gain there is planted."""
    ease = random.beta(0.8, 0.8, problems)[:, None]
    noise = random.random((2, problems, draws))
    own = np.where(random.random((problems, draws)) < (0.6 if coupled else 0), *noise)  # laws part on the way
    return (noise[0] < ease).astype(float), (own < ease + gain_when_hard * (ease < 0.5)).astype(float)


def graded(base: Array, arm: Array) -> pl.DataFrame:
    frames = []
    for model, right in (("base", base), (ARM, arm)):
        rank, draw = np.indices(right.shape)
        frames.append(
            pl.DataFrame(
                {
                    "rank": rank.ravel().astype(np.int32),
                    "draw": draw.ravel().astype(np.int32),
                    "right": right.ravel() > 0,
                }
            ).with_columns(model_id=pl.lit(model))
        )
    return pl.concat(frames).with_columns(
        problem_id=pl.format("p{}", "rank"), family=pl.format("f{}", pl.col("rank") // 2), split=pl.lit("test"),
        purpose=pl.lit("eval"), decode_id=pl.lit("t10"), n_tokens=pl.lit(9), think_closed=pl.lit(True), boxed=pl.lit(True),
        finish_class=pl.lit("answered"), level=(pl.col("rank") % 3).cast(pl.Int32), source=pl.lit("exam"),
        verdict=pl.when("right").then(pl.lit("correct")).otherwise(pl.lit("wrong")),
    )  # fmt: skip


def effects(frame: pl.DataFrame, grouping: str, column: str = "estimate") -> dict[str, float]:
    return dict(frame.filter(pl.col("grouping") == grouping).select("group", column).iter_rows())


def mean_gains(random: np.random.Generator, gain_when_hard: float, draws: int, coupled: bool) -> list[float]:
    grouping = by_base_draws_of(*drawn(random, 60_000, draws, gain_when_hard, coupled), coupled)
    return [float(gain) for gain in grouping.gains.sum(axis=0) / grouping.weights.sum(axis=0)]


def noises(coupled: bool) -> dict[str, list[int]]:
    return {ARM: list(range(8))} if coupled else {}


def by_base_draws_of(base: Array, arm: Array, coupled: bool):  # type: ignore[no-untyped-def]
    found = by_base_draws([arm], base, [range(arm.shape[1]) if coupled else ()])
    assert found is not None
    return found


@pytest.mark.parametrize("coupled", [False, True])
@pytest.mark.parametrize("draws", [2, 4])
def test_where_nothing_changed_no_class_gains(draws: int, coupled: bool) -> None:
    random = np.random.default_rng(1)
    assert mean_gains(random, 0.0, draws, coupled) == pytest.approx([0] * (3 if draws > 2 else 2), abs=0.012)


@pytest.mark.parametrize("coupled", [False, True])
def test_sorted_by_the_draws_that_measure_hard_problems_gain_from_nothing(coupled: bool) -> None:
    base, arm = drawn(np.random.default_rng(2), 20_000, 4, 0.0, coupled=False)
    solved = base.mean(axis=1)
    change = arm.mean(axis=1) - solved
    assert change[solved == 0].mean() > 0.08 and change[solved == 1].mean() < -0.08
    # And with common noise, where the arm's draws of the indices that classify are not left out.
    base, arm = drawn(np.random.default_rng(2), 20_000, 4, 0.0, coupled=True)
    kept = by_base_draws_of(base, arm, coupled=False)
    gains = kept.gains.sum(axis=0) / kept.weights.sum(axis=0)
    assert gains[0] < -0.03 and gains[-1] > 0.03


@pytest.mark.parametrize("coupled", [False, True])
def test_a_gain_planted_on_hard_problems_is_found_there(coupled: bool) -> None:
    random = np.random.default_rng(3)
    base, arm = drawn(random, 1200, 4, 0.15, coupled)
    found = difficulty(graded(base, arm), EVALUATION, noises(coupled))
    by_base = found.filter(pl.col("grouping") == words.BY_BASE)
    assert by_base["group"].to_list() == GROUPS
    none, some, every = by_base.to_dicts()
    assert none["low"] > 0.08 and none["p_adjusted"] < 0.01 and abs(every["estimate"]) < 0.05
    assert none["estimate"] > some["estimate"] > every["estimate"]
    assert max(by_base["groups_p_adjusted"]) < 0.001
    # The levels have nothing to do with it.
    assert found.filter(pl.col("grouping") == words.BY_LEVEL)["groups_p"].to_list()[0] > 0.05
    assert words.BY_SOURCE not in found["grouping"]  # there is one only


def test_the_intervals_hold_and_heterogeneity_is_claimed_no_more_often_than_it_says() -> None:
    random = np.random.default_rng(4)
    covered, claimed = [], []
    for study in range(160):
        base, arm = drawn(random, 240, 4, 0.0, bool(study % 2))
        found = difficulty(graded(base, arm), EVALUATION, noises(bool(study % 2))).filter(
            pl.col("grouping") == words.BY_BASE
        )
        covered += [low <= 0 <= high for low, high in found.select("low", "high").iter_rows()]
        claimed.append(found["groups_p"][0] < 0.05)
    assert 0.93 <= np.mean(covered) <= 0.98 and np.mean(claimed) <= 0.075


def test_a_problem_is_in_a_class_by_the_share_of_splits_that_put_it_there() -> None:
    base, arm = np.array([[1.0, 0.0], [1.0, 1.0]]), np.array([[1.0, 1.0], [0.0, 1.0]])
    found = by_base_draws_of(base, arm, coupled=False)
    assert found.groups == [words.SOLVED_NONE, words.SOLVED_ALL]
    assert found.weights.tolist() == [[0.5, 0.5], [0.0, 1.0]]
    assert found.gains.tolist() == [[0.0, 0.5], [0.0, -0.5]]
    # With common noise the arm's draw of the other index alone counts.
    coupled = by_base_draws_of(base, arm, coupled=True)
    assert coupled.gains.tolist() == [[0.0, 0.5], [0.0, -0.5]]


def test_a_training_that_takes_another_turn_at_the_noises_leaves_out_those_that_sort() -> None:
    """The second training's only draw shares its noise with the base's second."""
    base, arm = np.array([[1.0, 0.0]]), np.array([[1.0]])
    found = by_base_draws([arm], base, [[1]])
    assert found is not None and found.groups == [words.SOLVED_ALL]  # sorted by the first draw alone
    assert found.gains.tolist() == [[1.0]]


def test_one_draw_of_the_base_cannot_say_where_a_problem_belongs() -> None:
    base, arm = drawn(np.random.default_rng(5), 60, 1, 0.0, False)
    assert by_base_draws([arm], base, [()]) is None
    assert difficulty(graded(base, arm), EVALUATION)["grouping"].unique().to_list() == [words.BY_LEVEL]
    base, _ = drawn(np.random.default_rng(5), 60, 4, 0.0, False)
    assert by_base_draws_of(base, arm, coupled=True).weights.sum() == pytest.approx(
        60
    )  # the splits that leave out draw 0


def test_many_draws_are_split_in_a_circle() -> None:
    assert len(splits(4)) == 6 and splits(2) == [(0,), (1,)] and splits(1) == []
    assert len(splits(32)) == 32 and all(len(set(chosen)) == 16 for chosen in splits(32))
    assert {draw for chosen in splits(32) for draw in chosen} == set(range(32))
