"""Levels, comparisons, the factorial and the verdicts on small worlds whose truth is planted."""

import math
from collections.abc import Collection
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy import stats

from selfdistill.analysis.comparisons import comparisons
from selfdistill.analysis.factorial import CONTRASTS, factorial
from selfdistill.analysis.flips import flips
from selfdistill.analysis.levels import levels
from selfdistill.analysis.verdicts import verdict, verdicts
from selfdistill.foundation.errors import UserError
from selfdistill.problems.budgets import members
from selfdistill.study.arms import Arm
from selfdistill.study.evaluation import Evaluation, Hypothesis
from selfdistill.study.factorial import Factorial, factorial_cells
from selfdistill.study.names import model_id, parse_model_id
from selfdistill.study.sampling import Decode
from selfdistill.tables.analysis import COMPARISONS, ESTIMATES, VERDICTS
from selfdistill.tables.words import CHECKPOINTS, METHOD

DECODES = {
    "plain": Decode(temperature=1.0, max_tokens=512),
    "ssd-decode": Decode(temperature=1.1, top_k=20, top_p=0.95, max_tokens=512),
    "t07": Decode(temperature=0.7, max_tokens=512),
    "t15": Decode(temperature=1.5, max_tokens=512),
}
ARMS = {
    "ssd": Arm(decode="ssd-decode", keep="finished"),
    "keep-cut": Arm(decode="ssd-decode", keep="everything"),
    "filter-only": Arm(decode="plain", keep="finished"),
    "fixed-point": Arm(decode="plain", keep="everything"),
    "aa": Arm(resample=True),
}
CELLS = Factorial("ssd", "keep-cut", "filter-only", "fixed-point")


def evaluation(**changes: Any) -> Evaluation:
    settings: dict[str, Any] = {
        "budgets": {"quick": 20, "full": 60},
        "decodes": {"base": ["t07", "t15"], "final": ["t07", "t15"], "earlier": ["t07"]},
    }
    return Evaluation(**{**settings, "resamples": 400, **changes})


def answers(
    model: str,
    decode: str,
    verdicts_by_problem: Any,
    cut: Collection[int] = (),
    loop: Collection[int] = (),
    families: Any = None,
    tokens: int = 100,
    first_rank: int = 0,
) -> pl.DataFrame:
    """Graded rows of one model at one decode: per problem a list of draws, 1 for correct."""
    rows = []
    for i, draws in enumerate(verdicts_by_problem):
        for draw, right in enumerate(np.atleast_1d(draws)):
            is_cut = i in cut
            rows.append(
                {
                    "model_id": model, "decode_id": decode, "problem_id": f"p{i:04d}", "purpose": "eval", "draw": draw,
                    "family": f"f{i if families is None else families[i]}", "split": "dev" if i % 4 == 3 else "test",
                    "rank": first_rank + i, "n_tokens": tokens, "finish_reason": "length" if is_cut else "stop",
                    "finish_class": "loop" if i in loop else "cut" if is_cut else "answered",
                    "think_closed": not is_cut, "boxed": not is_cut, "other_correct": None,
                    "verdict": "unanswered" if is_cut else "correct" if right else "wrong",
                }
            )  # fmt: skip
    return pl.DataFrame(rows, schema_overrides={"other_correct": pl.Boolean}, infer_schema_length=None)


def one(frame: pl.DataFrame, **wanted: Any) -> dict[str, Any]:
    for column, value in wanted.items():
        frame = frame.filter(pl.col(column).is_null() if value is None else pl.col(column) == value)
    assert frame.height == 1, frame
    return frame.row(0, named=True)


def drawn(random: np.random.Generator, p: Any, draws: int = 1) -> Any:
    return random.random((len(p), draws)) < p[:, None]


@pytest.mark.parametrize("name", ["base", "aa", "ssd/seed-0/at-100", "keep-cut/seed-12/at-025"])
def test_a_models_name_says_its_arm_seed_and_percent_and_back(name: str) -> None:
    assert model_id(*parse_model_id(name)) == name


def test_a_name_that_is_no_model_is_refused() -> None:
    with pytest.raises(UserError, match="names no model"):
        parse_model_id("ssd/seed-0")


# ---- levels


def test_levels_at_one_draw_are_plain_wilson() -> None:
    graded = answers("base", "t07", [1] * 640 + [0] * 360)
    row = one(levels(graded, {"full": 1000}), estimand="accuracy", split="all")
    assert (row["method"], row["n"], row["unit"]) == ("Wilson", 1000, "problem")
    assert (row["low"], row["high"]) == pytest.approx((0.6098, 0.6692), abs=5e-5)


def test_draws_are_averaged_in_their_problem_so_that_copies_add_no_certainty() -> None:
    outcomes = np.random.default_rng(0).integers(0, 2, size=(60, 2))
    twice = levels(answers("base", "t07", np.tile(outcomes, 2)), {"full": 60})
    once = levels(answers("base", "t07", outcomes), {"full": 60})
    for frame in (once, twice):
        assert one(frame, estimand="accuracy", split="all")["method"] == "Wilson, effective n"
    a, b = (one(frame, estimand="accuracy", split="all") for frame in (once, twice))
    assert (a["estimate"], a["low"], a["high"]) == pytest.approx((b["estimate"], b["low"], b["high"]))


def test_unfinished_is_wrong_and_accuracy_when_finished_leaves_it_out_and_says_so() -> None:
    table = levels(answers("base", "t07", [1] * 30 + [0] * 30, cut=range(50, 60), loop=(58, 59)), {"full": 60})
    assert one(table, estimand="accuracy", split="all")["estimate"] == 0.5
    assert one(table, estimand="cut_rate", split="all")["estimate"] == pytest.approx(10 / 60)
    assert one(table, estimand="loop_rate", split="all")["estimate"] == pytest.approx(2 / 60)
    finished = one(table, estimand="accuracy_when_finished", split="all")
    assert (finished["estimate"], finished["n"], finished["unit"]) == (0.6, 50, "finished completion")
    assert table.schema == pl.Schema(ESTIMATES)


def test_families_are_the_unit_where_they_hold_several_problems() -> None:
    row = one(
        levels(answers("base", "t07", [1, 1, 0, 0] * 15, families=[i // 2 for i in range(60)]), {"full": 60}),
        estimand="accuracy", split="all",
    )  # fmt: skip
    assert (row["unit"], row["n"]) == ("family", 30)
    assert row["high"] - row["low"] > 0.3  # 60 problems alone would give 0.25


def test_a_budget_is_reported_only_where_all_its_problems_were_asked() -> None:
    graded = pl.concat([answers("base", "t07", [1] * 60), answers("ssd/seed-0/at-025", "t07", [1] * 20)])
    table = levels(graded, {"quick": 20, "full": 60}).filter(pl.col("split") == "all", pl.col("estimand") == "accuracy")
    assert set(table.select("model_id", "budget", "n").rows()) == {
        ("base", "quick", 20), ("base", "full", 60), ("ssd/seed-0/at-025", "quick", 20)
    }  # fmt: skip


def test_a_mixture_is_told_of_beside_the_budgets_where_the_full_one_was_asked() -> None:
    graded = pl.concat([answers("base", "t07", [1] * 30 + [0] * 30), answers("base", "t15", [1] * 20)])
    problems = graded.filter(pl.col("decode_id") == "t07").select("problem_id", "rank").unique().sort("rank")
    problems = problems.with_columns(pl.Series("source", ["easy"] * 30 + ["hard"] * 30))
    hard = members({"hard": 10, "easy": 5}, "harder", problems, 60)
    assert hard == {*problems["problem_id"][:5], *problems["problem_id"][30:40]}
    table = levels(graded, {"quick": 20, "full": 60}, mixtures={"harder": hard})
    told = table.filter(pl.col("budget") == "harder", pl.col("split") == "all", pl.col("estimand") == "accuracy")
    assert told.select("decode_id", "n", "estimate").rows() == [("t07", 15, pytest.approx(1 / 3))]
    with pytest.raises(
        UserError, match=r"mixtures\.harder\.hard: asks for 31 problems, but the full budget of 60 has 30"
    ):
        members({"hard": 31}, "harder", problems, 60)


def test_a_mixture_of_more_draws_rests_on_them_all_and_changes_nothing_else() -> None:
    """Ten problems: the first answer right, of the three further ones one. All of it is .5, the first answer alone is 1."""
    first = answers("base", "t07", [1] * 10 + [0] * 50)
    further = (
        answers("base", "t07", [[0, 1, 0, 0]] * 10).filter(pl.col("draw") > 0).with_columns(purpose=pl.lit("mixture"))
    )
    few = {"few": frozenset(f"p{i:04d}" for i in range(10))}
    budgets = {"quick": 20, "full": 60}
    told = levels(pl.concat([first, further]), budgets, mixtures=few, mixture_draws={"few": 4})
    row = one(told, budget="few", split="all", estimand="accuracy")
    assert (row["n"], row["estimate"]) == (10, 0.5)
    assert one(told, budget="few", split="dev", estimand="accuracy")["n"] == 2
    # Fewer of the draws, when the study asks for fewer again.
    fewer = levels(pl.concat([first, further]), budgets, mixtures=few, mixture_draws={"few": 2})
    assert one(fewer, budget="few", split="all", estimand="accuracy")["estimate"] == 1
    usual = levels(first, budgets, mixtures=few)
    assert one(usual, budget="few", split="all", estimand="accuracy")["estimate"] == 1
    assert told.filter(pl.col("budget") != "few").equals(usual.filter(pl.col("budget") != "few"))


def test_a_mixture_of_more_draws_averages_training_seeds_and_refuses_problems_that_lack_some() -> None:
    models = [answers(f"ssd/seed-{seed}/at-100", "t07", [[1, seed]] * 8) for seed in (0, 1)]
    graded = pl.concat(models).with_columns(
        purpose=pl.when(pl.col("draw") == 0).then(pl.lit("eval")).otherwise(pl.lit("mixture"))
    )
    graded = pl.concat([graded, answers("ssd/seed-0/at-025", "t07", [1] * 4)])
    whole = {"whole": frozenset(graded["problem_id"])}
    table = levels(graded, {"quick": 4, "full": 8}, mixtures=whole, mixture_draws={"whole": 2})
    row = one(table, budget="whole", split="all", estimand="accuracy", training_seed=None)
    assert (row["n"], row["estimate"]) == (8, 0.75)
    assert table.filter(pl.col("budget") == "whole")["percent"].unique().to_list() == [100]
    lacking = graded.filter(~((pl.col("problem_id") == "p0003") & (pl.col("draw") == 1)))
    with pytest.raises(UserError, match="some problems have 1 draws and some 2"):
        levels(lacking, {"quick": 4, "full": 8}, mixtures=whole, mixture_draws={"whole": 2})


def test_a_whole_budget_is_all_that_was_asked() -> None:
    graded = pl.concat([answers("base", "t07", [1] * 60), answers("ssd/seed-0/at-025", "t07", [1] * 20)])
    assert levels(graded, {"quick": 20, "full": "all"}).equals(levels(graded, {"quick": 20, "full": 60}))
    short = pl.concat([answers("base", "t07", [1] * 60), answers("ssd/seed-0/at-100", "t07", [1] * 59)])
    with pytest.raises(UserError, match=r"59 of the 60 problems of the full budget"):
        levels(short, {"quick": 20, "full": "all"})


def test_pass_at_k_is_left_out_with_too_few_draws_and_pooled_rows_average_the_seeds() -> None:
    two = [answers(f"ssd/seed-{seed}/at-100", "t07", [[seed, 0]] * 60) for seed in (0, 1)]
    table = levels(pl.concat(two), {"full": 60}, pass_at=[1, 2])
    assert one(table, estimand="pass@2", split="all", training_seed=1)["estimate"] == 1
    assert one(table, estimand="pass@2", split="all", training_seed=None)["estimate"] == 0.5
    assert one(table, estimand="accuracy", split="all", training_seed=None)["estimate"] == 0.25
    base = answers("base", "t07", [[1, 0, 0]] * 60)
    uneven = levels(pl.concat([base, *two]), {"full": 60}, pass_at=[1, 2, 3]).filter(pl.col("split") == "all")
    told = {model: set(rows["estimand"]) for (model,), rows in uneven.group_by("model_id")}
    assert {model for model, names in told.items() if "pass@3" in names} == {"base"}
    assert all({"pass@1", "pass@2"} <= names for names in told.values())
    assert one(uneven, estimand="pass@2", model_id="base")["estimate"] == pytest.approx(2 / 3)


# ---- comparisons


def test_a_missing_problem_is_refused_by_name() -> None:
    graded = pl.concat([answers("base", "t07", [1] * 60), answers("ssd/seed-0/at-100", "t07", [1] * 60)])
    short = graded.filter((pl.col("model_id") == "base") | (pl.col("problem_id") != "p0041"))
    with pytest.raises(UserError, match=r"59 of the 60 problems of the full budget \(lacks p0041"):
        comparisons(short, evaluation(), seed=0)


def test_problems_with_unequal_draws_are_refused() -> None:
    graded = pl.concat([answers("base", "t07", [1] * 60), answers("base", "t07", [1] * 2)])
    with pytest.raises(UserError, match="some problems have 1 draws and some 2"):
        levels(graded, {"full": 60})


def test_a_matched_difference_is_that_of_the_same_problems() -> None:
    base, arm = [1, 0, 0, 0] * 15, [1, 1, 0, 0] * 15
    table = comparisons(
        pl.concat([answers("base", "t07", base), answers("ssd/seed-0/at-100", "t07", arm)]), evaluation(), 0
    )
    row = one(table, estimand="accuracy", split="all", budget="full", training_seed=None)
    differences = np.array(arm) - np.array(base)
    error = differences.std(ddof=1) / math.sqrt(60)
    assert (row["estimate"], row["standard_error"], row["n"]) == pytest.approx((0.25, error, 60))
    assert (row["level"], row["against_level"], row["claim"]) == (0.5, 0.25, CHECKPOINTS)
    # McNemar's statistic, √gained where nothing is lost, of 59 pairs for 60 and held against a t.
    assert row["p_value"] == pytest.approx(2 * stats.t.sf(math.sqrt(59 * 0.25), 59))
    assert row["correlation"] == pytest.approx(np.corrcoef(base, arm)[0, 1])
    assert table.schema == pl.Schema(COMPARISONS)
    assert set(table["method"]) == {"paired score", "t"}


def test_when_no_pair_differs_the_interval_is_not_a_point() -> None:
    graded = pl.concat([answers(model, "t07", [1, 0] * 30) for model in ("base", "aa")])
    row = one(comparisons(graded, evaluation(), 0), estimand="accuracy", split="all", budget="full")
    reach = stats.t.ppf(0.975, 59) ** 2
    assert (row["estimate"], row["p_value"]) == (0, 1)
    assert row["high"] == -row["low"] == pytest.approx(reach / (60 + reach))


def test_fair_takes_each_sides_best_decode_on_dev_and_ties_go_to_the_first() -> None:
    good_on_dev = [1 if i % 4 == 3 else 0 for i in range(60)]
    cells = [
        answers("base", "t07", [1] * 60),
        answers("base", "t15", [1] * 60),  # ties with t07
        answers("ssd/seed-0/at-100", "t07", [0] * 60),
        answers("ssd/seed-0/at-100", "t15", good_on_dev),
    ]
    table = comparisons(pl.concat(cells), evaluation(), 0).filter(pl.col("comparison") == "fair")
    row = one(table, estimand="accuracy", training_seed=None)
    assert (row["decode_id"], row["against_decode_id"], row["split"]) == ("t15", "t07", "test")
    assert row["estimate"] == -1  # what was won on dev is not counted


def test_accuracy_when_both_finished_and_the_bounds_on_cut_answers() -> None:
    base = answers("base", "t07", [1] * 30 + [0] * 30, cut=range(0, 10))
    arm = answers("ssd/seed-0/at-100", "t07", [1] * 33 + [0] * 27)
    table = comparisons(pl.concat([base, arm]), evaluation(), 0)
    final = {"leads": True, "split": "all", "budget": "full", "training_seed": None}
    both = one(table, estimand="accuracy_when_both_finished", **final)
    assert (both["estimate"], both["n"], both["unit"]) == (pytest.approx(3 / 50), 50, "problem finished by both")
    assert one(table, estimand="accuracy", **final)["estimate"] == pytest.approx(13 / 60)
    assert one(table, estimand="accuracy difference, cut counted for base", **final)["estimate"] == pytest.approx(
        3 / 60
    )
    assert one(table, estimand="accuracy difference, cut counted for the arm", **final)["estimate"] == pytest.approx(
        13 / 60
    )


def test_the_row_of_the_method_holds_the_noise_of_training_and_one_training_has_none() -> None:
    """Effects of 0, 0.1 and 0.2: their variance 0.01, of which problems explain a part that can be worked out."""
    arms = [
        answers(f"ssd/seed-{seed}/at-100", "t07", [1] * (30 + 6 * seed) + [0] * (30 - 6 * seed)) for seed in range(3)
    ]
    base = answers("base", "t07", [1] * 30 + [0] * 30)
    where = {"estimand": "accuracy", "split": "all", "budget": "full", "training_seed": None}
    three = comparisons(pl.concat([base, *arms]), evaluation(), 0)
    method, here = one(three, claim=METHOD, **where), one(three, claim=CHECKPOINTS, **where)
    assert (method["training_seeds"], method["leads"], here["leads"]) == (3, True, False)
    assert method["estimate"] == here["estimate"] == pytest.approx(0.1)
    each = np.array([[0] * 30 + [1] * gained + [0] * (30 - gained) for gained in (0, 6, 12)])
    covariances = np.cov(each) / 60
    common = (covariances.sum() - np.trace(covariances)) / 6
    excess = 0.01 - (np.trace(covariances) / 3 - common)
    assert method["standard_error"] ** 2 == pytest.approx(here["standard_error"] ** 2 + excess / 3)
    assert method["degrees_of_freedom"] < 4 < here["degrees_of_freedom"]
    lone = comparisons(pl.concat([base, arms[2]]), evaluation(), 0)
    assert set(lone["claim"]) == {CHECKPOINTS}


def test_two_arms_of_several_trainings_each_bring_their_noise() -> None:
    ssd = [answers(f"ssd/seed-{seed}/at-100", "t07", [1] * (30 + 9 * seed) + [0] * (30 - 9 * seed)) for seed in (0, 1)]
    other = [answers(f"keep-cut/seed-{seed}/at-100", "t07", [1] * (20 + seed) + [0] * (40 - seed)) for seed in (0, 1)]
    plan = {"it": Hypothesis(arm="ssd", against="keep-cut", comparison="matched", decode="t07", margin=0.05)}
    graded = pl.concat([answers("base", "t07", [1] * 30 + [0] * 30), *ssd, *other])
    table = comparisons(graded, evaluation(), 0, plan).filter(pl.col("against") == "keep-cut")
    where = {"estimand": "accuracy", "split": "all", "budget": "full", "training_seed": None, "comparison": "matched"}
    method, here = one(table, claim=METHOD, **where), one(table, claim=CHECKPOINTS, **where)
    assert method["standard_error"] > here["standard_error"]
    lone = comparisons(pl.concat([graded.filter(pl.col("model_id") != other[1]["model_id"][0])]), evaluation(), 0, plan)
    assert METHOD not in lone.filter(pl.col("against") == "keep-cut")["claim"]


def test_a_model_against_itself_shows_no_difference_however_each_side_chose() -> None:
    """Two decodes four points apart, each side chooses on 60 dev problems: the choice's noise is in the interval."""
    random = np.random.default_rng(21)
    settings = evaluation(budgets={"quick": 20, "full": 240}, resamples=200)
    spoke = apart = 0
    for repeat in range(150):
        p = random.beta(1.2, 1, size=240)
        cells = [
            answers(model, decode, drawn(random, np.clip(p - shift, 0.01, 0.99), 1))
            for model in ("base", "aa")
            for decode, shift in (("t07", 0.0), ("t15", 0.04))
        ]
        table = comparisons(pl.concat(cells), settings, repeat).filter(pl.col("comparison") == "fair")
        row = one(table, estimand="accuracy")
        spoke += row["p_value"] < 0.05
        apart += row["decode_id"] != row["against_decode_id"]
    assert apart > 15 and spoke <= 15  # 7.5 expected at most


def test_decoding_alone_compares_the_base_with_itself_and_both_ways() -> None:
    graded = pl.concat([answers("base", "t07", [1] * 45 + [0] * 15), answers("base", "t15", [1] * 30 + [0] * 30)])
    table = comparisons(graded, evaluation(), 0).filter(pl.col("comparison") == "decoding alone")
    rows = {row["decode_id"]: row for row in table.filter(pl.col("estimand") == "accuracy").iter_rows(named=True)}
    assert rows["t15"]["against_decode_id"] == "t07" and rows["t15"]["estimate"] == -rows["t07"]["estimate"] < 0
    assert set(table["training_seeds"]) == {0}


def test_a_band_along_the_checkpoints_is_wider_than_the_interval_of_each() -> None:
    random = np.random.default_rng(22)
    graded = [answers("base", "t07", random.integers(0, 2, 20))]
    graded += [answers(f"ssd/seed-0/at-{percent:03d}", "t07", random.integers(0, 2, 20)) for percent in (25, 50, 100)]
    table = comparisons(pl.concat(graded), evaluation(budgets={"quick": 20, "full": 20}), 0)
    rows = table.filter((pl.col("estimand") == "accuracy") & (pl.col("comparison") == "matched") & (pl.col("split") == "all") & (pl.col("budget") == "quick"))  # fmt: skip
    assert rows.height == 6  # three checkpoints, by itself and over all trainings
    assert (rows["band_high"] - rows["band_low"] > 1.02 * 2 * rows["standard_error"] * stats.t.ppf(0.975, 19)).all()


def test_an_earlier_checkpoint_is_compared_on_the_problems_it_was_given() -> None:
    graded = pl.concat([answers("base", "t07", [1] * 60), answers("ssd/seed-0/at-025", "t07", [0] * 20)])
    table = comparisons(graded, evaluation(), 0).filter(pl.col("percent") == 25, pl.col("comparison") == "matched")
    assert set(table["budget"]) == {"quick"}
    assert one(table, estimand="accuracy", split="all", training_seed=None)["n"] == 20


def test_flips_list_the_gained_and_the_lost_problems() -> None:
    graded = pl.concat(
        [answers("base", "t07", [1, 0] + [1] * 58), answers("ssd/seed-0/at-100", "t07", [0, 1] + [1] * 58)]
    )
    table = flips(graded, evaluation()).filter(pl.col("budget") == "full", pl.col("comparison") == "matched")
    assert set(table.select("problem_id", "direction").rows()) == {("p0000", "lost"), ("p0001", "gained")}


# ---- the factorial


def planted(
    random: np.random.Generator,
    problems: int,
    draws: int,
    decode_effect: float,
    filter_effect: float,
    interaction: float,
) -> list[pl.DataFrame]:
    """Accuracies of the four cells and the base whose contrasts are the planted ones, and draws from them."""
    base = random.uniform(0.3, 0.6, size=problems)
    cells = {}
    for arm, signs in zip(CELLS.arms, ((1, 1), (1, -1), (-1, 1), (-1, -1)), strict=True):
        shift = decode_effect * signs[0] / 2 + filter_effect * signs[1] / 2 + interaction * signs[0] * signs[1] / 4
        cells[f"{arm}/seed-0/at-100"] = base + 0.1 + shift
    return [answers(model, "t07", drawn(random, p, draws)) for model, p in {**cells, "base": base}.items()]


ONE_DECODE = {"decodes": {"base": ["t07"], "final": ["t07"], "earlier": []}, "budgets": {"quick": 20, "full": 600}}


def test_the_factorial_recovers_planted_effects() -> None:
    frames = planted(np.random.default_rng(1), 600, 16, 0.12, -0.08, 0.10)
    table = factorial(pl.concat(frames), ARMS, DECODES, evaluation(**ONE_DECODE))
    for (effect, _), truth in zip(CONTRASTS.items(), (0.12, -0.08, 0.10), strict=True):
        row = one(table, estimand=effect)
        assert row["low"] < truth < row["high"] and row["high"] - row["low"] < 0.06
        assert abs(row["estimate"] - truth) < 0.03
    assert one(table, estimand="effect of ssd")["against"] == "base"
    assert one(table, estimand="main effect of the decode")["arm"] == "ssd + keep-cut"
    assert one(table, estimand="interaction")["arm"] == "ssd + fixed-point"


def test_the_factorial_does_not_hang_on_the_number_of_draws() -> None:
    frames = planted(np.random.default_rng(2), 60, 2, 0.1, 0.1, 0)
    copies = [frame.with_columns(pl.col("draw") + 2) for frame in frames]
    settings = evaluation(**{**ONE_DECODE, "budgets": {"quick": 20, "full": 60}})
    once, twice = (factorial(pl.concat(f), ARMS, DECODES, settings) for f in (frames, frames + copies))
    assert once.height == 2 * (3 + 4)  # outcomes, effects and cells
    for column in ("estimate", "low", "high", "p_value"):
        assert once[column].to_list() == pytest.approx(twice[column].to_list(), nan_ok=True)


def test_the_cells_are_found_from_the_arms_and_the_plain_decode_is_the_reference() -> None:
    assert factorial_cells(ARMS, DECODES) == CELLS
    assert factorial_cells(dict(reversed(ARMS.items())), DECODES) == CELLS
    around = ARMS | {"ssd-hot": Arm(decode="t15", keep="finished")}
    assert factorial_cells(around, DECODES) == CELLS
    assert factorial_cells({name: ARMS[name] for name in ("ssd", "aa")}, DECODES) is None


def test_without_a_plain_decode_there_are_no_cells_as_nothing_may_be_called_plain() -> None:
    for plain in (Decode(temperature=0.9, max_tokens=512), Decode(temperature=1.0, top_p=0.95, max_tokens=512)):
        decodes = DECODES | {"plain": plain}
        assert factorial_cells(ARMS, decodes) is None


def test_without_a_factorial_the_table_is_empty() -> None:
    assert factorial(answers("base", "t07", [1] * 60), {"aa": ARMS["aa"]}, DECODES, evaluation()).is_empty()


# ---- verdicts


def verdict_table(arm_right: Any, base_right: Any, margin: float = 0.05, arm: str = "ssd") -> pl.DataFrame:
    model = f"{arm}/seed-0/at-100"
    graded = pl.concat(
        [answers("base", "t07", base_right), answers(model, "t07", arm_right), answers("aa", "t07", base_right)]
    )
    settings = evaluation(budgets={"quick": 20, "full": len(base_right)})
    plan = {"it-helps": Hypothesis(arm=arm, comparison="matched", decode="t07", margin=margin)}
    return verdicts(comparisons(graded, settings, 0, plan), plan, ARMS, DECODES)


@pytest.mark.parametrize(
    ("gained", "lost", "word"),
    [(80, 10, "improved"), (10, 80, "worse"), (4, 4, "equivalent within the margin"), (70, 60, "not resolved")],
)
def test_the_four_words(gained: int, lost: int, word: str) -> None:
    random = np.random.default_rng(3)
    order = random.permutation(600)
    base = np.zeros(600, dtype=int)
    base[order[:300]] = 1
    arm = base.copy()
    arm[order[300 : 300 + gained]] = 1
    arm[order[:lost]] = 0
    row = one(verdict_table(arm, base), role="hypothesis")
    assert row["verdict"] == word
    assert word in row["sentence"] and row["sentence"].count("\n") == 0
    assert row["mde80"] > 0 and row["n"] == 450


def test_a_null_result_says_what_the_study_could_have_found_and_asks_nothing_of_the_effect_seen() -> None:
    row = one(verdict_table([1, 0, 0] * 20, [1, 0, 0] * 17 + [0, 1, 1] * 3), role="hypothesis")
    assert row["verdict"] == "not resolved"
    assert f"This study had 80 % power for a true difference of {100 * row['mde80']:.1f} points." in row["sentence"]
    assert "size seen" not in row["sentence"]


def decided(estimate: float | None, p: float | None, equivalence: float | None, **more: Any) -> str:
    row = {"estimand": "accuracy", "question": "different", "level": 0.5, "against_level": 0.5, "margin": 0.03}
    return verdict(row | {"estimate": estimate, "p_adjusted": p, "equivalence_p_adjusted": equivalence} | more)


def test_not_significant_alone_is_never_equivalence() -> None:
    assert decided(0.01, 0.6, 0.3) == decided(None, None, None) == "not resolved"
    assert decided(-0.01, 0.01, 0.01) == "worse"


def test_what_is_better_depends_on_the_outcome() -> None:
    assert decided(-0.05, 0.001, 0.9, estimand="cut_rate") == "improved"
    assert decided(0.05, 0.001, 0.9, estimand="cut_rate") == "worse"
    assert decided(12.0, 0.001, 0.9, estimand="mean_tokens", margin=5) == "higher"
    assert decided(-0.01, 0.001, 0.9, question="not_worse") == "not worse by the margin"
    assert decided(-0.01, 0.2, 0.01, question="not_worse") == "not resolved"


def test_at_the_floor_and_at_the_ceiling_nothing_is_measured() -> None:
    """A model that never wrote an answer in the asked format: 0 of 60 on both sides are no equivalence."""
    floor = one(verdict_table([0] * 600, [0] * 600), role="hypothesis")
    assert floor["equivalence_p"] < 0.05 and floor["verdict"] == "not measurable"
    assert "Only 0.0 % (ssd) and 0.0 % (base) of the answers are right" in floor["sentence"]
    assert "In the asked format are" in floor["sentence"]
    ceiling = one(verdict_table([1] * 600, [1] * 599 + [0]), role="hypothesis")
    assert ceiling["verdict"] == "not measurable" and "no gain of 5.0 points could be seen" in ceiling["sentence"]
    assert decided(0.02, 0.001, 0.001, level=0.029, against_level=0.001) == "improved"  # what is found is found
    assert decided(0.0, 1.0, 0.001, level=0.031, against_level=0.02) == "equivalent within the margin"


def test_a_side_that_does_not_know_the_format_is_named_beside_the_verdict() -> None:
    def sentence_of(knows: bool) -> str:
        base = answers("base", "t07", [0] * 200).with_columns(boxed=pl.lit(knows))
        arm = answers("ssd/seed-0/at-100", "t07", [1, 0] * 100)
        plan = {"it-helps": Hypothesis(arm="ssd", comparison="matched", decode="t07", margin=0.05)}
        settings = evaluation(budgets={"quick": 20, "full": 200})
        table = verdicts(comparisons(pl.concat([base, arm]), settings, 0, plan), plan, ARMS, DECODES)
        row = one(table, role="hypothesis")
        assert row["verdict"] == "improved"
        return str(row["sentence"])

    told = "Only 0.0 % of the answers of base are in the asked format: the difference says who knows the format"
    assert told in sentence_of(False) and "asked format" not in sentence_of(True)


def test_the_rates_of_the_wrong_format_are_levels_of_their_own() -> None:
    rows = answers("base", "t07", [1] * 60).with_columns(
        finish_class=pl.when(pl.col("rank") < 30).then(pl.lit("no_answer")).otherwise(pl.lit("answered")),
        verdict=pl.when(pl.col("rank") < 30).then(pl.lit("unanswered")).otherwise(pl.lit("correct")),
        other_correct=pl.when(pl.col("rank") < 12).then(True).when(pl.col("rank") < 20).then(False),
    )
    table = levels(rows, {"full": 60}).filter(pl.col("split") == "all")
    found = {row["estimand"]: row["estimate"] for row in table.to_dicts()}
    assert found["no_answer_rate"] == pytest.approx(0.5) and found["right_otherwise_rate"] == pytest.approx(0.2)
    assert found["accuracy"] == pytest.approx(0.5)


def test_other_outcomes_and_non_inferiority_have_verdicts_of_their_own() -> None:
    base = answers("base", "t07", [1, 0] * 60, cut=range(0, 40))
    arm = answers("ssd/seed-0/at-100", "t07", [1, 0] * 60)
    plan = {
        "fewer-cut": Hypothesis(arm="ssd", comparison="matched", decode="t07", outcome="cut_rate", margin=0.05),
        "no-loss": Hypothesis(arm="ssd", comparison="matched", decode="t07", question="not_worse", margin=0.05),
        "length": Hypothesis(
            arm="ssd", comparison="matched", decode="t07", outcome="tokens", margin=5, family="length"
        ),
    }
    settings = evaluation(budgets={"quick": 20, "full": 120})
    table = verdicts(comparisons(pl.concat([base, arm]), settings, 0, plan), plan, ARMS, DECODES)
    words = dict(table.select("hypothesis", "verdict").iter_rows())
    assert words["fewer-cut"] == "improved" and words["no-loss"] == "not worse by the margin"
    cut = one(table, hypothesis="fewer-cut")
    assert "The difference in the share of answers cut off is −33.3 points" in cut["sentence"]
    no_loss = one(table, hypothesis="no-loss")
    assert no_loss["low"] > -0.05 and "p of being not worse" in no_loss["sentence"]
    assert "tokens" in one(table, hypothesis="length")["sentence"]


def test_a_claim_of_the_method_is_made_with_several_trainings_and_not_with_one() -> None:
    arms = [answers(f"ssd/seed-{seed}/at-100", "t07", [1] * (40 + seed) + [0] * (20 - seed)) for seed in (0, 1)]
    graded = [answers("base", "t07", [1] * 30 + [0] * 30), *arms]
    plain = Hypothesis(arm="ssd", comparison="matched", decode="t07", margin=0.05)
    claims = {"any": "strongest", "weights": "checkpoints", "method": "method"}
    plan = {name: plain.model_copy(update={"claim": claim}) for name, claim in claims.items()}
    table = verdicts(comparisons(pl.concat(graded), evaluation(), 0, plan), plan, ARMS, DECODES)
    assert table["claim"].to_list() == [METHOD, CHECKPOINTS, METHOD]
    assert "It speaks of the method, from 2 trainings." in one(table, hypothesis="any")["sentence"]
    assert "not of the method" in one(table, hypothesis="weights")["sentence"]
    with pytest.raises(UserError, match=r"hypotheses\.method: ssd was not compared"):
        verdicts(comparisons(pl.concat(graded[:2]), evaluation(), 0, plan), plan, ARMS, DECODES)


def test_the_verdict_says_what_it_is_about() -> None:
    row = one(verdict_table([1, 0] * 30, [0, 1] * 30), role="hypothesis")
    for part in (
        "45 problems of the test split",
        "these checkpoints, not of the method",
        "temperature 0.7",
        "capped at 512",
        "count as wrong",
    ):
        assert part in row["estimand_line"]


def test_the_a_a_control_stands_among_the_verdicts_and_finds_nothing() -> None:
    table = verdict_table([1, 0] * 30, [0, 1] * 30)
    control = one(table, hypothesis="aa-t07")
    assert one(table, hypothesis="aa-fair")["role"] == "control"
    assert (control["role"], control["estimate"], control["p_value"]) == ("control", 0, 1)
    assert control["sentence"].startswith("Control (nothing was trained): aa against base at t07: ")
    assert table.schema == pl.Schema(VERDICTS)


def test_p_values_are_adjusted_within_their_family_only() -> None:
    models = {"ssd": 12, "keep-cut": 10, "filter-only": 8}
    graded = [answers("base", "t07", [0] * 60)]
    for arm, right in models.items():
        graded.append(answers(f"{arm}/seed-0/at-100", "t07", [1] * right + [0] * (60 - right)))
    plan = {
        arm: Hypothesis(arm=arm, comparison="matched", decode="t07", margin=0.05, family=family)
        for arm, family in zip(models, ("primary", "primary", "other"), strict=True)
    }
    table = verdicts(comparisons(pl.concat(graded), evaluation(), 0, plan), plan, ARMS, DECODES)
    raw, adjusted = table["p_value"].to_list(), table["p_adjusted"].to_list()
    assert adjusted[0] == pytest.approx(2 * raw[0]) and adjusted[1] >= raw[1] and adjusted[2] == raw[2]


def test_two_arms_are_compared_where_a_hypothesis_asks_for_it() -> None:
    graded = [answers("base", "t07", [0] * 60)]
    graded += [
        answers(f"{arm}/seed-0/at-100", "t07", [1] * n + [0] * (60 - n)) for arm, n in (("ssd", 40), ("fixed-point", 8))
    ]
    plan = {"ssd-over-nothing": Hypothesis(arm="ssd", against="fixed-point", comparison="fair", margin=0.05)}
    row = one(verdicts(comparisons(pl.concat(graded), evaluation(), 0, plan), plan, ARMS, DECODES), role="hypothesis")
    assert (row["against"], row["estimate"]) == ("fixed-point", pytest.approx(24 / 45))
    assert row["sentence"].startswith(
        "ssd at t07 against fixed-point at t07, each side's best on dev (the mean over its likely choices): improved. "
    )


def test_a_hypothesis_that_was_not_measured_is_named() -> None:
    graded = pl.concat([answers("base", "t07", [0] * 60), answers("aa", "t07", [0] * 60)])
    plan = {"it-helps": Hypothesis(arm="ssd", comparison="matched", decode="t07", margin=0.05)}
    with pytest.raises(UserError, match=r"hypotheses\.it-helps: ssd was not compared with base"):
        verdicts(comparisons(graded, evaluation(), 0, plan), plan, ARMS, DECODES)


def test_the_base_against_itself_is_called_different_one_time_in_twenty() -> None:
    random = np.random.default_rng(4)
    settings = evaluation(**ONE_DECODE | {"budgets": {"quick": 20, "full": 40}, "resamples": 200})
    p = np.clip(random.normal(0.5, 0.3, size=40), 0.02, 0.98)
    template = answers("base", "t07", [[0] * 4] * 40)
    found = 0
    for repeat in range(200):
        sides = [
            template.with_columns(
                pl.lit(model).alias("model_id"),
                pl.Series("verdict", np.where(drawn(random, p, 4).ravel(), "correct", "wrong")),
            )
            for model in ("base", "aa")
        ]
        table = comparisons(pl.concat(sides), settings, repeat)
        row = one(table, estimand="accuracy", split="all", budget="full", comparison="matched")
        found += row["p_value"] < 0.05
    assert 3 <= found <= 19  # 10 expected; both ends lie three standard errors off
