"""Where errors come from and what would settle a question, from graded answers to the sentence."""

from typing import Any

import numpy as np
import polars as pl
import pytest

from selfdistill.analysis.comparisons import comparisons
from selfdistill.analysis.components import components_of, variance_components
from selfdistill.analysis.settling import settled
from selfdistill.analysis.verdicts import verdicts
from selfdistill.statistics.components import error_of_difference
from selfdistill.study.arms import Arm
from selfdistill.study.evaluation import Draws, Evaluation, Hypothesis
from selfdistill.study.sampling import Decode
from selfdistill.tables import words
from selfdistill.tables.analysis import SETTLING

DECODES = {"t07": Decode(temperature=0.7, max_tokens=512), "t11": Decode(temperature=1.1, max_tokens=512)}
ARMS = {"ssd": Arm(decode="t11", keep="finished", seeds=[0, 7]), "aa": Arm(resample=True)}
PLAN = {
    "helps": Hypothesis(arm="ssd", comparison="matched", decode="t07", margin=0.03),
    "not-worse": Hypothesis(arm="ssd", comparison="matched", decode="t07", margin=0.03, question="not_worse", claim="checkpoints"),
    "when-finished": Hypothesis(
        arm="ssd", comparison="matched", decode="t07", margin=0.03, outcome="accuracy_when_both_finished", claim="checkpoints"
    ),
    "null": Hypothesis(arm="aa", comparison="matched", decode="t07", margin=0.03, family="control"),
}  # fmt: skip
CELL = ("estimand", "arm", "decode_id", "against", "against_decode_id", "comparison")


def evaluation(draws: Draws, coupling: Any = "shared") -> Evaluation:
    decodes: Any = {"base": ["t07"], "final": ["t07"], "earlier": ["t07"]}
    return Evaluation(
        budgets={"quick": 60, "full": 240}, decodes=decodes, draws=draws, coupling=coupling, resamples=200
    )


def graded(asked: Evaluation, problems: int = 240, seed: int = 0) -> pl.DataFrame:
    """A base, two trainings that draw with its noise, and a twin with its own."""
    random = np.random.default_rng(seed)
    draws = asked.draws_by_side
    chance = random.beta(2, 1.5, problems)
    noise = random.random((problems, max(draws.base, draws.arms)))
    frames = []
    for model, training in (("base", None), ("ssd/seed-0/at-100", 0), ("ssd/seed-7/at-100", 1), ("aa", None)):
        own = chance + (0 if training is None else 0.02 * training + random.normal(0, 0.05, problems))
        for draw in range(draws.of(training is not None)):
            drawn = random.random(problems) if model == "aa" else noise[:, draws.noise(draw, training)]
            right = drawn < own
            frames.append(pl.DataFrame({
                "model_id": model, "decode_id": "t07", "problem_id": [f"p{i:04d}" for i in range(problems)],
                "purpose": "eval", "draw": draw, "family": [f"f{i // 2}" for i in range(problems)],
                "split": ["dev" if i % 4 == 3 else "test" for i in range(problems)], "rank": range(problems),
                "n_tokens": np.where(right, 100, 140), "finish_class": np.where(drawn > 0.97, "cut", "answered"),
                "think_closed": True, "boxed": True,
                "verdict": np.where(drawn > 0.97, "unanswered", np.where(right, "correct", "wrong")),
            }))  # fmt: skip
    return pl.concat(frames)


@pytest.fixture(scope="module", params=[Draws(base=2, arms=2), Draws(base=4, arms=1)], ids=["2 and 2", "4 and 1"])
def world(request: pytest.FixtureRequest) -> tuple[pl.DataFrame, pl.DataFrame]:
    asked = evaluation(request.param)
    answers = graded(asked)
    return variance_components(answers, ARMS, asked, PLAN), comparisons(answers, asked, 1, PLAN)


def test_the_table_gives_the_error_of_every_comparison(world: tuple[pl.DataFrame, pl.DataFrame]) -> None:
    variance, compared = world
    groups = variance.partition_by(*CELL, as_dict=True)
    assert len(groups) == 4 * 4  # two arms, matched and fair, four outcomes
    for cell, rows in groups.items():
        components, design = components_of(rows.to_dicts())
        here = compared.filter(
            *(pl.col(name) == value for name, value in zip(CELL, cell, strict=True)), split="test", budget="full",
        ).filter(pl.col("training_seed").is_null() & pl.col("percent").is_in([0, 100]))  # fmt: skip
        assert not here.is_empty()
        for row in here.iter_rows(named=True):
            of_method = row["claim"] == words.METHOD
            if of_method and len(design.other) > design.side.draws:
                continue  # trainings in turns: what they have in common may be negative, which the row counts as nothing
            error = error_of_difference(components, design, of_method)
            assert error.standard_error == pytest.approx(row["standard_error"], rel=1e-9), cell


def test_a_twin_has_noise_of_its_own_and_a_training_shares_the_bases(world: tuple[pl.DataFrame, pl.DataFrame]) -> None:
    variance, _ = world
    shared = {
        row["arm"]: row
        for row in variance.filter(part=words.SHARED_NOISE, estimand="accuracy", comparison="matched").to_dicts()
    }
    assert shared["aa"]["how"] == words.OWN_NOISE and shared["aa"]["variance"] is None
    assert shared["ssd"]["how"] == words.MEASURED and 0.05 < shared["ssd"]["variance"] < 0.25


def test_every_hypothesis_says_what_would_settle_it_at_its_margin(world: tuple[pl.DataFrame, pl.DataFrame]) -> None:
    variance, compared = world
    found = settled(verdicts(compared, PLAN, ARMS, DECODES), variance, compared, examples=500)
    rows = {row["hypothesis"]: row for row in found.filter(role="hypothesis").to_dicts()}
    for name, row in rows.items():
        assert "3.0 points" in row["settling"] and "80 %" in row["settling"], name
        assert row["spent_tokens"] > 0
    assert "2.0 points" not in rows["helps"]["settling"]
    assert rows["helps"]["claim"] == words.METHOD and rows["null"]["settle_trainings"] is None
    assert "not worse by 3.0 points" in rows["not-worse"]["settling"]
    assert (
        "cannot tell what more" in rows["when-finished"]["settling"] and rows["when-finished"]["settle_draws"] is None
    )
    assert rows["null"]["settle_problems"] > 180 and rows["null"]["mix_tokens"] > rows["null"]["spent_tokens"]
    controls = found.filter(role="control")
    assert not controls.is_empty() and all(controls[column].null_count() == controls.height for column in SETTLING)


def test_what_would_settle_it_does_not_ask_for_the_effect_seen(world: tuple[pl.DataFrame, pl.DataFrame]) -> None:
    variance, compared = world
    judged = verdicts(compared, PLAN, ARMS, DECODES)
    shifted = judged.with_columns(pl.col("estimate") + 0.2, pl.col("low") + 0.2, pl.col("high") + 0.2)
    before, after = (settled(each, variance, compared, 500).select(*SETTLING) for each in (judged, shifted))
    assert before.equals(after)


def test_a_wider_margin_takes_less(world: tuple[pl.DataFrame, pl.DataFrame]) -> None:
    variance, compared = world
    judged = verdicts(compared, PLAN, ARMS, DECODES)
    narrow, wide = (
        settled(judged.with_columns(margin=pl.lit(margin)), variance, compared, 500).filter(hypothesis="null")
        for margin in (0.03, 0.06)
    )
    ratio = narrow["settle_problems"].item() / wide["settle_problems"].item()
    assert ratio == pytest.approx(4, rel=0.05)


def test_with_one_draw_everywhere_draws_are_counted_with_problems() -> None:
    asked = evaluation(Draws(base=1, arms=1))
    variance = variance_components(graded(asked), ARMS, asked, PLAN).filter(comparison="matched", estimand="accuracy")
    how = {(row["arm"], row["part"]): row["how"] for row in variance.to_dicts()}
    assert how["aa", words.BETWEEN_DRAWS] == words.UNTOLD_BY_ONE_DRAW
    assert how["aa", words.BETWEEN_PROBLEMS] == words.MEASURED_WITH_DRAWS
    assert not variance["tells_draws"].any()
