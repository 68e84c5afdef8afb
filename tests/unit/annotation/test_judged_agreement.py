"""Which answers are judged, and whether agreement comes out as it was planted."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from conftest import ROOT
from judged_answers import DOUBTS, MODELS, annotation, graded, problems
from selfdistill.annotation.agreement import agreement
from selfdistill.annotation.answers import choose_answers
from selfdistill.annotation.questions import judge_plan, make_questions
from selfdistill.annotation.rubric import read_rubric
from selfdistill.foundation.errors import UserError
from selfdistill.tables import words
from selfdistill.tables.annotation import ANNOTATION, JUDGE_PLAN, JUDGEMENTS
from selfdistill.tables.schema import conform, empty_table

RUBRIC = read_rubric(ROOT / "resources/rubrics/brief.yaml")


def first_answers() -> pl.DataFrame:
    return pl.concat(graded(model).filter(pl.col("decode_id") == "t07", pl.col("draw") == 0) for model in MODELS)


def judged(
    model: str, first: Sequence[int | None], second: Sequence[int | None], markers: Sequence[int]
) -> pl.DataFrame:
    rows = [
        {
            "answer_id": f"{model}-{place}", "model_id": model, "problem_id": f"p{place}", "family": f"f{place}",
            "pass": number, "markers": markers[place], "judged": said[place],
            "parse": words.REFUSED_REPLY if said[place] is None else words.AS_ASKED,
        }
        for number, said in ((1, first), (2, second))
        for place in range(len(first))
    ]  # fmt: skip
    return pl.concat([empty_table(JUDGEMENTS), pl.DataFrame(rows)], how="diagonal_relaxed").cast(pl.Schema(JUDGEMENTS))


def estimates(frame: pl.DataFrame, model: str) -> dict[str, float]:
    rows = frame.filter(model_id=model)
    return dict(zip(rows["measure"], rows["estimate"], strict=True))


def test_every_model_is_judged_on_one_answer_to_each_of_the_same_families() -> None:
    answers = first_answers().with_columns(pl.col("family").replace({"f1": "f0", "f3": "f2"}))
    chosen = choose_answers(answers, MODELS, annotation(), seed=7)
    assert chosen.height == 2 * 6 and chosen.group_by("model_id").agg(pl.col("family").n_unique())[
        "family"
    ].to_list() == [6, 6]
    assert chosen["problem_id"].to_list()[::2] == chosen["problem_id"].to_list()[1::2]
    fewer = choose_answers(answers, MODELS, annotation(answers=4), seed=7)
    assert fewer.equals(chosen.head(8))  # a larger number keeps what was judged
    assert not choose_answers(answers, MODELS, annotation(), seed=8).equals(chosen)
    short = choose_answers(answers, MODELS, annotation(longest=22), seed=7)
    assert set(short["problem_id"]) <= {"p0", "p1", "p2"} and short["family"].n_unique() == 2
    with pytest.raises(UserError, match="annotation: no problem has an answer"):
        choose_answers(answers, MODELS, annotation(longest=3), seed=7)


def test_a_planted_agreement_comes_out() -> None:
    """The judge says twice the words and one more for the base, and the same again; of the other model one more the second time."""
    base, arm = list(DOUBTS["base"]), list(DOUBTS[MODELS[1]])
    twice = [2 * n + 1 for n in base]
    table = pl.concat([judged("base", twice, twice, base), judged(MODELS[1], arm, [n + 1 for n in arm], arm)])
    found = conform(agreement(table, MODELS), ANNOTATION, "annotation")
    of_base, of_arm = estimates(found, "base"), estimates(found, MODELS[1])
    assert of_base[words.with_markers(words.RANKS_AGREE)] == pytest.approx(1)
    assert of_base[words.with_markers(words.BIAS)] == pytest.approx(np.mean(base) + 1)
    spread = np.std(base, ddof=1)
    assert of_base[words.with_markers(words.UPPER_LIMIT)] == pytest.approx(np.mean(base) + 1 + 1.959964 * spread)
    assert of_base[words.of_passes(words.SAME_AGAIN)] == 1 and of_arm[words.of_passes(words.SAME_AGAIN)] == 0
    assert of_arm[words.of_passes(words.BIAS)] == 1
    assert of_arm[words.MARKERS_DIFFERENCE] == pytest.approx(np.mean(arm) - np.mean(base))
    assert of_arm[words.JUDGED_DIFFERENCE] == pytest.approx(np.mean(arm) - np.mean(twice))
    assert words.JUDGED_DIFFERENCE not in of_base and of_base[words.replies(words.AS_ASKED)] == 1


def test_refused_replies_are_left_out_and_counted() -> None:
    table = judged("base", [None, 1, 4, None, 5, 9, 2, 6], [3, 1, None, 1, 5, 9, 2, 6], list(DOUBTS["base"]))
    found = agreement(table, ["base"])
    rows = {row["measure"]: row for row in found.iter_rows(named=True)}
    assert rows[words.replies(words.REFUSED_REPLY)]["estimate"] == 0.25
    assert rows[words.with_markers(words.BIAS)]["n"] == 6 and rows[words.with_markers(words.BIAS)]["estimate"] == 0
    assert rows[words.of_passes(words.RANKS_AGREE)]["n"] == 5
    assert rows[words.with_markers(words.BIAS)]["method"] == words.TOO_FEW_JUDGED  # they never differ
    one_pass = agreement(table.filter(pl.col("pass") == 1), ["base"])
    assert not [measure for measure in one_pass["measure"] if "two passes" in measure]


def test_a_question_is_named_by_what_is_asked_and_of_whom(tmp_path: Path) -> None:
    answers = choose_answers(first_answers(), MODELS, annotation(), 7)
    texts = pl.concat(graded(model) for model in MODELS).select("request_id", "text")
    with_texts = answers.join(texts, on="request_id", maintain_order="left").join(
        problems().select("problem_id", "problem"), on="problem_id", maintain_order="left"
    )

    def names(seed: int = 7, **keys: object) -> set[str]:
        return set(make_questions(with_texts, RUBRIC, annotation(**keys), seed, "float32")["request_id"])

    usual = names()
    assert len(usual) == 30 and usual == names()  # 32 judgements; two models gave one answer alike
    assert names(passes=1) < usual and names(answers=7) == usual
    server = {"server": "https://judge.example/v1", "model": "judge-1"}
    others = [
        names(8),
        names(temperature=1.0),
        names(max_tokens=64),
        names(judge=server),
        names(judge=server | {"model": "judge-2"}),
    ]
    assert all(not one & other for place, one in enumerate([usual, *others]) for other in others[place:])
    assert names(judge=server) == names(judge=server | {"seconds": 9.0, "tries": 2, "parallel": 1, "key_from": "OTHER"})


def test_a_judge_of_ours_gets_a_plan_and_a_question_too_long_for_it_is_refused_by_name() -> None:
    annotated = annotation(max_tokens=24)
    with_texts = first_answers().with_columns(pl.lit("What is 4?").alias("problem"))
    asked = make_questions(with_texts, RUBRIC, annotated, 7, "float32")
    plan = conform(judge_plan(asked, annotated, 512), JUDGE_PLAN, "plan")
    assert plan["request_id"].n_unique() == plan.height == asked["request_id"].n_unique()
    assert set(plan["max_tokens"]) == {24} and set(plan["seed"]) <= set(asked["seed"])
    longest = int(plan["prompt_ids"].list.len().max() or 0)  # type: ignore[arg-type]
    judge_plan(asked, annotated, longest + 24)
    with pytest.raises(UserError, match=f"has {longest} tokens, which with 24 of a reply.*longest") as error:
        judge_plan(asked, annotated, longest + 23)
    assert "base-5-t07-0" in str(error.value)
