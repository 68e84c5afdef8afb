"""What the token cap does to a difference: smaller caps against grading anew, parts and classes against planted truths."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl
import pytest

from selfdistill.analysis.comparisons import comparisons
from selfdistill.analysis.levels import levels
from selfdistill.analysis.truncation import truncation
from selfdistill.foundation.errors import UserError
from selfdistill.study.evaluation import Decoded, Evaluation
from selfdistill.tables import words
from selfdistill.tables.analysis import TOKEN_BUDGETS, TRUNCATION

CAP = 96
DECODES = ["t07", "t15"]
EVALUATION = Evaluation(budgets={"quick": 40, "full": 120}, decodes=Decoded(base=DECODES, final=DECODES, earlier=[]), resamples=200)  # fmt: skip
BUDGETS = {str(name): size for name, size in EVALUATION.budgets.items()}
SEEDS = ("ssd/seed-0/at-100", "ssd/seed-1/at-100")


def answered(
    model: str, tokens: Any, right: Any, decode: str = "t07", families: int = 1, looping: bool = False
) -> pl.DataFrame:
    """Graded rows: by problem and draw a length, and whether the answer is right where it finished."""
    tokens, right = np.atleast_2d(tokens), np.atleast_2d(right)
    _problems, _draws = tokens.shape
    problem, draw = (index.ravel() for index in np.indices(tokens.shape))
    cut = (tokens >= CAP).ravel()
    return pl.DataFrame({
        "problem_id": [f"p{i:04d}" for i in problem], "draw": draw, "rank": problem,
        "family": [f"f{i // families}" for i in problem], "n_tokens": np.minimum(tokens, CAP).ravel(),
        "finish_class": np.where(cut, "loop" if looping else "cut", "answered"), "think_closed": ~cut, "boxed": ~cut,
        "verdict": np.where(cut, "unanswered", np.where(right.ravel(), "correct", "wrong")),
        "split": ["dev" if i % 4 == 3 else "test" for i in problem],
    }).with_columns(
        model_id=pl.lit(model), decode_id=pl.lit(decode), purpose=pl.lit("eval"), other_correct=pl.lit(None, pl.Boolean)
    )  # fmt: skip


def sampled(
    random: np.random.Generator, model: str, mean: float, chance: float, draws: int = 2, **more: Any
) -> pl.DataFrame:
    tokens = np.ceil(random.gamma(4, mean / 4, (120, draws)))
    return answered(model, tokens, random.random((120, draws)) < chance, **more)


@pytest.fixture(scope="module")
def graded() -> pl.DataFrame:
    random = np.random.default_rng(0)
    models = [sampled(random, "base", 60, 0.5, decode=decode) for decode in DECODES]
    models += [sampled(random, model, 50, 0.55, decode=decode) for model in (*SEEDS, "aa") for decode in DECODES]
    return pl.concat([*models, sampled(random, "ssd/seed-0/at-050", 55, 0.5)])


def analysed(graded: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    return truncation(graded, BUDGETS, dict.fromkeys(DECODES, CAP), EVALUATION.resamples, seed=1)


def one(frame: pl.DataFrame, **wanted: Any) -> Mapping[str, Any]:
    for column, value in wanted.items():
        frame = frame.filter(pl.col(column).is_null() if value is None else pl.col(column) == value)
    assert frame.height == 1, frame
    return frame.row(0, named=True)


@pytest.fixture(scope="module")
def tables(graded: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    return analysed(graded)


ENDS = ("estimate", "low", "high", "n")


def test_at_the_decodes_own_cap_the_curves_are_what_is_reported(
    graded: pl.DataFrame, tables: tuple[pl.DataFrame, pl.DataFrame]
) -> None:
    at_cap = tables[1].filter(pl.col("cap") == CAP)
    told = levels(graded, BUDGETS, [1])
    compared = comparisons(graded, EVALUATION, 1).filter(
        pl.col("claim") == words.CHECKPOINTS, pl.col("training_seed").is_null()
    )
    assert at_cap.height == 2 * (3 * 2 + 2)
    for row in at_cap.iter_rows(named=True):
        here = {name: row[name] for name in ("estimand", "model_id", "decode_id", "split", "budget", "against")}
        same = one(told, **here) if row["against"] is None else one(compared, comparison=words.MATCHED, **here)
        assert [row[end] for end in ENDS] == pytest.approx([same[end] for end in ENDS]), here
        assert (row["split"], row["budget"], row["unit"]) == ("test", "full", "problem")


def test_a_smaller_cap_gives_what_grading_under_it_would_have_given(
    graded: pl.DataFrame, tables: tuple[pl.DataFrame, pl.DataFrame]
) -> None:
    for cap in (4, 40, 60, 92):
        cut = pl.col("n_tokens") >= cap
        anew = graded.with_columns(
            finish_class=pl.when(cut).then(pl.lit("cut")).otherwise("finish_class"),
            verdict=pl.when(cut).then(pl.lit("unanswered")).otherwise("verdict"),
        )
        told = levels(anew, BUDGETS, [1])
        for row in tables[1].filter(pl.col("cap") == cap, pl.col("against").is_null()).iter_rows(named=True):
            here = {name: row[name] for name in ("estimand", "model_id", "decode_id", "split", "budget")}
            assert row["estimate"] == pytest.approx(one(told, **here)["estimate"])


def test_more_tokens_never_lower_accuracy_and_never_cut_more(tables: tuple[pl.DataFrame, pl.DataFrame]) -> None:
    curves = tables[1].filter(pl.col("against").is_null()).partition_by("estimand", "model_id", "decode_id")
    assert len(curves) == 2 * 2 * 3
    for curve in curves:
        steps = np.diff(curve.sort("cap")["estimate"].to_numpy())
        assert len(steps) == 23
        assert (steps >= 0).all() if curve["estimand"][0] == words.ACCURACY else (steps <= 0).all()


def test_the_band_of_all_caps_holds_the_interval_of_each(tables: tuple[pl.DataFrame, pl.DataFrame]) -> None:
    differences = tables[1].drop_nulls("against")
    assert (differences["band_low"] <= differences["low"]).all() and (
        differences["band_high"] >= differences["high"]
    ).all()
    wider = differences.filter(pl.col("cap") > CAP // 2, pl.col("band_low") < pl.col("low"))
    assert wider.height > 30
    assert tables[1].filter(pl.col("against").is_null())["band_low"].null_count() == 2 * 24 * 2 * 3


def test_an_answer_of_exactly_the_cap_is_cut_by_it() -> None:
    base, arm = answered("base", [[48]] * 120, [[1]] * 120), answered("aa", [[47]] * 120, [[1]] * 120)
    curve = analysed(pl.concat([base, arm]))[1]
    at_48 = {row["model_id"]: row["estimate"] for row in curve.filter(pl.col("cap") == 48, pl.col("against").is_null(),
             pl.col("estimand") == words.ACCURACY).iter_rows(named=True)}  # fmt: skip
    assert at_48 == {"base": 0.0, "aa": 1.0}
    assert one(curve, model_id="base", cap=52, estimand=words.CUT_RATE)["estimate"] == 0.0


def test_the_parts_add_up_to_the_difference_of_all_training_seeds_together(
    graded: pl.DataFrame, tables: tuple[pl.DataFrame, pl.DataFrame]
) -> None:
    compared = comparisons(graded, EVALUATION, 1).filter(
        pl.col("claim") == words.CHECKPOINTS, pl.col("comparison") == words.MATCHED
    )
    for decode in DECODES:
        here = {"model_id": "ssd/all-seeds/at-100", "decode_id": decode, "base_answer": None}
        parts = [one(tables[0], estimand=part, **here) for part in (words.BY_FINISHING, words.WHEN_IT_FINISHED)]
        whole = one(tables[0], estimand=words.ACCURACY, **here)
        reported = one(compared, estimand=words.ACCURACY, model_id="ssd/all-seeds/at-100", decode_id=decode, split="test",
                       budget="full")  # fmt: skip
        assert sum(part["estimate"] for part in parts) == pytest.approx(whole["estimate"])
        assert [whole[end] for end in ENDS] == pytest.approx([reported[end] for end in ENDS])
        assert whole["training_seeds"] == 2
    assert set(tables[0]["model_id"]) == {"base", "aa", "ssd/all-seeds/at-100"}  # nothing of half a training


def test_the_bounds_are_the_worst_and_the_best_that_cut_answers_can_be() -> None:
    """Brute force: every cut answer of one side graded right, and those of the other wrong."""
    random = np.random.default_rng(8)
    sides = [sampled(random, name, 70, 0.5) for name in ("base", "aa")]
    table = analysed(pl.concat(sides))[0]
    right, was_cut = pl.col("verdict") == "correct", pl.col("finish_class") == "cut"

    def accuracy(side: pl.DataFrame, counts_if_cut: bool) -> float:
        return float(side.filter(pl.col("split") == "test").select((right | (was_cut & counts_if_cut)).mean()).item())

    worst, best = (one(table, estimand=words.cut_counted_for(whom)) for whom in ("base", words.THE_ARM))
    assert worst["estimate"] == pytest.approx(accuracy(sides[1], False) - accuracy(sides[0], True))
    assert best["estimate"] == pytest.approx(accuracy(sides[1], True) - accuracy(sides[0], False))
    assert worst["low"] < worst["estimate"] < best["estimate"] < best["high"]


def test_an_arm_that_is_the_base_without_a_cap_gains_by_finishing_alone() -> None:
    """Lengths and correctness are independent, so that those who are given the time are right as often as the others."""
    random = np.random.default_rng(3)
    tokens, right = random.integers(20, 160, (120, 40)), random.random((120, 40)) < 0.6
    base, arm = answered("base", tokens, right), answered("aa", np.minimum(tokens, CAP - 1), right)
    table = analysed(pl.concat([base, arm]))[0]
    gain, finishing, otherwise = (
        one(table, estimand=name, base_answer=None, against="base")
        for name in (words.ACCURACY, words.BY_FINISHING, words.WHEN_IT_FINISHED)
    )
    assert finishing["estimate"] == pytest.approx(gain["estimate"], abs=0.01) and finishing["low"] > 0.2
    assert otherwise["low"] < 0 < otherwise["high"]
    where = {row["base_answer"]: row["estimate"] for row in table.filter(pl.col("estimand") == words.GAIN_WHERE).iter_rows(named=True)}  # fmt: skip
    assert set(where) == set(words.BASE_ANSWERS)


def test_gains_by_how_the_base_ended_add_up_and_shares_fill_the_whole(
    tables: tuple[pl.DataFrame, pl.DataFrame],
) -> None:
    here = tables[0].filter(pl.col("decode_id") == "t07", pl.col("arm") == "ssd")
    parts = here.filter(pl.col("estimand") == words.PART_WHERE)
    assert parts["base_answer"].to_list() == list(words.BASE_ANSWERS)
    assert parts["estimate"].sum() == pytest.approx(one(here, estimand=words.ACCURACY)["estimate"])
    shares = here.filter(pl.col("estimand") == words.SHARE_WHERE)
    assert shares["estimate"].sum() == pytest.approx(1)
    gains = here.filter(pl.col("estimand") == words.GAIN_WHERE)
    assert (gains["estimate"] * shares["estimate"]).to_list() == pytest.approx(parts["estimate"].to_list())
    assert (gains["n"] <= shares["n"]).all()


def test_under_shared_noise_no_answer_measures_that_was_drawn_with_the_classifying_one() -> None:
    """Two trainings whose every answer is the base's of the same noise: one answer each, and the second takes its turn."""
    random = np.random.default_rng(9)
    tokens, right = np.ceil(random.gamma(4, 18, (120, 4))), random.random((120, 4)) < random.random((120, 1))
    trained = [answered(model, tokens[:, [noise]], right[:, [noise]]) for noise, model in enumerate(SEEDS)]
    graded = pl.concat([answered("base", tokens, right), *trained])
    noises = {"base": [0, 1, 2, 3], SEEDS[0]: [0, 1, 2, 3], SEEDS[1]: [1, 2, 3, 0]}
    coupled, blind = (
        truncation(graded, BUDGETS, {"t07": CAP}, 200, 1, known)[0].filter(pl.col("estimand") == words.GAIN_WHERE)
        for known in (noises, {})
    )
    # By hand: where draw 0 or 1 of the base classifies, one training is its twin, and the other measures alone.
    good = (right & (tokens < CAP)).astype(float)[np.arange(120) % 4 != 3]
    measuring = [good[:, 1], good[:, 0], good[:, :2].mean(axis=1), good[:, :2].mean(axis=1)]
    gains = np.stack([arm - np.delete(good, k, axis=1).mean(axis=1) for k, arm in enumerate(measuring)], axis=1)
    expected = gains[good == 1].mean()
    assert one(coupled, base_answer=words.BASE_WAS_RIGHT)["estimate"] == pytest.approx(expected)
    assert (
        one(blind, base_answer=words.BASE_WAS_RIGHT)["estimate"] > expected + 0.03
    )  # a twin measures what it classified


def test_one_draw_of_the_base_cannot_say_where_an_arm_gains() -> None:
    random = np.random.default_rng(4)
    table = analysed(pl.concat([sampled(random, "base", 60, 0.5, draws=1), sampled(random, "aa", 60, 0.5, draws=3)]))[0]
    assert table["base_answer"].null_count() == table.height
    assert not {words.GAIN_WHERE, words.PART_WHERE, words.SHARE_WHERE} & set(table["estimand"])


def test_four_draws_of_the_base_and_one_of_the_arm_are_compared_too() -> None:
    random = np.random.default_rng(5)
    table, curve = analysed(
        pl.concat([sampled(random, "base", 60, 0.5, draws=4), sampled(random, "aa", 60, 0.5, draws=1)])
    )
    assert table.filter(pl.col("estimand") == words.GAIN_WHERE).height == 3
    assert curve.filter(pl.col("against") == "base").height == 24


def test_where_nothing_was_cut_nothing_comes_from_finishing() -> None:
    random = np.random.default_rng(6)
    base, arm = (answered(name, [[20, 30]] * 120, random.random((120, 2)) < 0.5) for name in ("base", "aa"))
    table = analysed(pl.concat([base, arm]))[0]
    finishing = one(table, estimand=words.BY_FINISHING)
    assert finishing["estimate"] == 0 and finishing["low"] < 0 < finishing["high"] and finishing["high"] < 0.05
    assert words.BASE_WAS_CUT not in table.filter(pl.col("estimand") == words.GAIN_WHERE)["base_answer"]


def test_a_model_that_never_finishes_has_no_parts_and_no_median() -> None:
    base, arm = answered("base", [[CAP]] * 120, [[0]] * 120, looping=True), answered("aa", [[50]] * 120, [[1]] * 120)
    table = analysed(pl.concat([base, arm]))[0]
    assert table.filter(pl.col("estimand") == words.BY_FINISHING).is_empty()
    assert one(table, estimand=words.MEDIAN_TOKENS, model_id="base")["estimate"] is None
    assert one(table, estimand=words.MEDIAN_TOKENS, model_id="aa")["estimate"] == 50


def test_families_are_the_unit_here_too() -> None:
    random = np.random.default_rng(7)
    both = [sampled(random, name, 60, 0.5, families=2) for name in ("base", "aa")]
    table, curve = analysed(pl.concat(both))
    assert set(table["unit"]) == set(curve["unit"]) == {words.FAMILY}


def test_tables_keep_their_schemas_and_are_empty_where_no_problem_is_reported(
    graded: pl.DataFrame, tables: tuple[pl.DataFrame, pl.DataFrame]
) -> None:
    assert tables[0].schema == pl.Schema(TRUNCATION) and tables[1].schema == pl.Schema(TOKEN_BUDGETS)
    all_dev = analysed(graded.with_columns(split=pl.lit("dev")))
    assert [table.height for table in all_dev] == [0, 0]


def test_unlike_problems_are_refused_with_a_sentence(graded: pl.DataFrame) -> None:
    doubled = pl.concat(
        [graded, graded.filter(pl.col("draw") == 0, pl.col("rank") == 0).with_columns(draw=pl.lit(7, pl.Int64))]
    )
    with pytest.raises(UserError, match="delete its graded.parquet"):
        analysed(doubled)
