"""The ladder on answers that were made up: what is known beforehand is found, and nothing else."""

from collections.abc import Sequence
from typing import Any

import polars as pl
import pytest
from scipy import stats

from climbed_ladders import CONTEXTS, MARKERS, PAPER, climbed
from selfdistill.analysis.ladder import LadderTables, chosen_problems, fewer_than_asked, ladder
from selfdistill.tables import words
from selfdistill.tables.endings import CORRECT, WRONG


@pytest.fixture(scope="module")
def papers() -> LadderTables:
    return ladder(climbed(PAPER), CONTEXTS, MARKERS)


def level(tables: LadderTables, context: str, measure: str, word: str | None = None) -> dict[str, Any]:
    rows = tables.ladder.filter(
        pl.col("context") == context, pl.col("measure") == measure, pl.col("against").is_null(),
        pl.col("word").eq_missing(pl.lit(word)),
    )  # fmt: skip
    return rows.row(0, named=True)


def verdicts_of(tables: LadderTables, test: str) -> dict[str, str]:
    return dict(tables.tests.filter(pl.col("test") == test).select("measure", "verdict").iter_rows())


def test_the_papers_table_is_found_and_its_order_is_shown(papers: LadderTables) -> None:
    for context, (score, tokens, doubts) in PAPER.items():
        for measure, true in ((words.ACCURACY, score), (words.MEAN_TOKENS, tokens), (words.DOUBTS, doubts)):
            row = level(papers, context, measure)
            assert row["estimate"] == pytest.approx(true, rel=0.12)
            assert row["low"] < row["estimate"] < row["high"] and row["answers"] == 800
        assert level(papers, context, words.DOUBT_RATE)["estimate"] == pytest.approx(1000 * doubts / tokens, rel=0.05)
    assert set(verdicts_of(papers, words.TREND).values()) == {words.IN_ORDER}
    assert verdicts_of(papers, words.EVERY_STEP)[words.DOUBTS] == words.IN_ORDER


def test_a_step_is_the_paired_t_of_the_same_problems(papers: LadderTables) -> None:
    means = climbed(PAPER).group_by("problem_id", "context").agg(pl.col("n_tokens").mean()).sort("problem_id")
    one, other = (means.filter(pl.col("context") == context)["n_tokens"] for context in ("guided", "regenerated"))
    paired = stats.ttest_rel(one, other).confidence_interval()
    row = papers.ladder.filter(
        pl.col("context") == "guided", pl.col("against") == "regenerated", pl.col("measure") == words.MEAN_TOKENS
    ).row(0, named=True)
    assert (row["low"], row["high"]) == pytest.approx((paired.low, paired.high))
    assert row["n"] == 100 and row["unit"] == words.PROBLEM and row["p_adjusted"] >= row["p_value"]


def test_words_add_up_to_all_of_them(papers: LadderTables) -> None:
    for context in CONTEXTS:
        for measure in (words.DOUBTS, words.DOUBT_RATE):
            each = [level(papers, context, measure, word)["estimate"] for word in MARKERS]
            assert sum(each) == pytest.approx(level(papers, context, measure)["estimate"])
    assert level(papers, "unguided", words.DOUBTS, "wait")["estimate"] == pytest.approx(0.7 * 182.5, rel=0.12)


def test_two_equal_rungs_are_a_trend_but_not_a_step_each() -> None:
    flat = {**PAPER, "no-thought": PAPER["unguided"]}
    found = ladder(climbed(flat), CONTEXTS, MARKERS)
    assert verdicts_of(found, words.TREND)[words.DOUBTS] == words.IN_ORDER
    assert verdicts_of(found, words.EVERY_STEP)[words.DOUBTS] == words.NOT_RESOLVED


def test_a_ladder_that_goes_the_other_way_is_said_to() -> None:
    turned = dict(zip(CONTEXTS, list(PAPER.values())[::-1], strict=True))
    found = ladder(climbed(turned, problems=30, draws=2), CONTEXTS, MARKERS)
    assert set(verdicts_of(found, words.TREND).values()) == {words.REVERSED}
    assert set(verdicts_of(found, words.EVERY_STEP).values()) == {words.NOT_RESOLVED}


def test_where_nothing_is_told_no_order_is_found() -> None:
    alarms = []
    for seed in range(40):
        flat = dict.fromkeys(CONTEXTS, (0.5, 200, 4.0))
        tests = ladder(climbed(flat, problems=25, draws=2, seed=seed), CONTEXTS, MARKERS).tests
        alarms.append((tests["verdict"] != words.NOT_RESOLVED).any())
    assert sum(alarms) <= 6  # of 40; 5 % of them would be 2


def test_a_problem_counts_where_it_has_answers_on_every_rung() -> None:
    answers = climbed(PAPER, problems=20, draws=1)
    lacking = answers.filter(~((pl.col("context") == "regenerated") & (pl.col("problem_id") == "p003")))
    row = level(ladder(lacking, CONTEXTS, MARKERS), "guided", words.DOUBTS)
    assert (row["n"], row["left_out"]) == (19, 1)


def test_a_model_without_a_problem_on_every_rung_is_told_and_never_stands_for_the_base() -> None:
    arms = [climbed(PAPER, problems=20, draws=1, model=f"{arm}/seed-0/at-100") for arm in ("one", "two")]
    base = climbed(PAPER, problems=20, draws=1).filter(pl.col("context") != "regenerated")
    found = ladder(pl.concat([base, *arms]), CONTEXTS, MARKERS)
    told = found.ladder.filter(pl.col("model_id") == "base")
    assert set(told["n"]) == {0} and set(told["left_out"]) == {20} and set(told["estimate"]) == {None}
    assert set(found.tests["model_id"]) == {"one/seed-0/at-100", "two/seed-0/at-100"}
    assert found.tests.filter(pl.col("test") == words.STEEPNESS).is_empty()


def test_near_duplicates_count_as_one_family() -> None:
    row = level(ladder(climbed(PAPER, draws=1, families=20), CONTEXTS, MARKERS), "guided", words.MEAN_TOKENS)
    assert row["n"] == 20
    assert row["unit"] == words.FAMILY


def test_a_trained_models_ladder_is_told_from_the_bases() -> None:
    """The trained model writes short texts whatever it is told: its fall is smaller by 185 of 204 doubts."""
    short = {
        **PAPER,
        "unguided": (0.30, 2000, 20.0),
        "no-thought": (0.78, 1950, 12.0),
        "regenerated": (0.95, 1900, 10.0),
    }
    both = pl.concat([climbed(PAPER), climbed(short, model="sure/seed-0/at-100", seed=2)])
    tests = ladder(both, CONTEXTS, MARKERS).tests.filter(pl.col("test") == words.STEEPNESS)
    row = tests.filter(pl.col("measure") == words.DOUBTS).row(0, named=True)
    assert (row["model_id"], row["against"], row["n"]) == ("sure/seed-0/at-100", "base", 100)
    assert row["low"] < (8.8 - 20.0) - (8.8 - 182.5) < row["high"] and row["p_adjusted"] < 0.001


def graded(right: Sequence[int], draws: int) -> pl.DataFrame:
    return pl.DataFrame([
        {"problem_id": f"p{rank}", "rank": rank, "verdict": CORRECT if draw < correct else WRONG}
        for rank, correct in enumerate(right) for draw in range(draws)
    ])  # fmt: skip


def test_the_first_problems_between_the_two_rates_stand_on_the_ladder() -> None:
    found = chosen_problems(graded([8, 4, 0, 1, 5, 2, 3], 8), (0.125, 0.5), 3)
    assert found.filter("chosen")["problem_id"].to_list() == ["p1", "p3", "p5"]
    assert found["correct"].to_list() == [8, 4, 0, 1, 5, 2, 3] and set(found["draws"]) == {8}
    assert fewer_than_asked(found, 3) is None
    assert (fewer_than_asked(found, 4) or "").startswith(
        "ladder.problems: 3 of 4 problems stand on the ladder; of 7 that"
    )
    assert chosen_problems(graded([8, 0], 8), (0.125, 0.5), 3).filter("chosen").is_empty()
