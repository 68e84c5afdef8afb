"""What an arm practises on: the first problems of the ranking, with what its teacher is told."""

import polars as pl
import pytest

from selfdistill.foundation.errors import UserError
from selfdistill.sampling.contexts import Room
from selfdistill.tables.practice import QUESTIONS
from selfdistill.tables.problems import PROBLEMS, PROMPTS
from selfdistill.tables.schema import conform
from selfdistill.training.practice.questions import questions

ROOM = Room(context=40, max_tokens=30, decode="plain")


def problems(count: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Ranked from the last to the first; the prompt of problem n has n + 1 tokens."""
    rows = [
        {"problem_id": f"p{n}", "source": "s", "family": f"f{n}", "level": 1, "problem": f"{n}?", "answer": str(n), "split": "train", "rank": count - 1 - n}
        for n in range(count)
    ]  # fmt: skip
    prompts = [{"problem_id": f"p{n}", "prompt_ids": [7] * (n + 1)} for n in range(count)]
    return pl.DataFrame(rows, schema=PROBLEMS), pl.DataFrame(prompts, schema=PROMPTS)


def test_the_first_of_the_ranking_are_practised_on_and_a_coverage_is_a_part_of_a_larger_one() -> None:
    train, prompts = problems(6)
    everything = questions("grpo", train, prompts, {}, None, ROOM)
    assert everything["problem_id"].to_list() == [f"p{n}" for n in (5, 4, 3, 2, 1, 0)]
    assert questions("grpo", train, prompts, {}, 2, ROOM).equals(everything.head(2))
    assert everything["gold"].to_list() == ["5", "4", "3", "2", "1", "0"]
    assert everything["prompt_ids"].list.len().to_list() == [6, 5, 4, 3, 2, 1]
    assert conform(everything, QUESTIONS, "questions").equals(everything)


def test_a_problem_without_a_solution_is_asked_and_its_teacher_told_nothing() -> None:
    train, prompts = problems(3)
    found = questions("opsd", train, prompts, {"p2": "two", "p0": "none"}, None, ROOM)
    assert found["told"].to_list() == ["two", None, "none"]


def test_what_is_not_there_or_does_not_fit_is_told_before_the_first_answer() -> None:
    train, prompts = problems(12)
    with pytest.raises(UserError, match="arms.sdpo: is to practise on 13 problems .* there are 12; lower it"):
        questions("sdpo", train, prompts, {}, 13, ROOM)
    with pytest.raises(UserError, match="arms.sdpo: problem p11: 12 prompt tokens and 30 .* 2 such in all"):
        questions("sdpo", train, prompts, {}, None, ROOM)
    assert questions("sdpo", train.filter(pl.col("rank") > 1), prompts, {}, None, ROOM).height == 10
