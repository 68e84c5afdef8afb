"""What the teacher of a practice is asked: siblings with and without their thought, told solutions, and what is never told."""

from collections.abc import Iterator
from functools import cache
from typing import Any

import polars as pl
import pytest

from practice_fixture import PROMPT, SEARCHER, practice_settings, questions
from selfdistill.foundation.errors import UserError
from selfdistill.sampling import prompts
from selfdistill.sampling.prompts import Chat, asked, user_turn
from selfdistill.tables import words
from selfdistill.tables.endings import ANSWERED, CORRECT, CUT, NO_ANSWER, UNANSWERED, WRONG
from selfdistill.training.practice.order import Order
from selfdistill.training.practice.rollouts import Question
from selfdistill.training.practice.told import Teaching
from selfdistill.training.practice.watch import Watch

THOUGHT = "Perhaps 874: 874+80=954. Tens 5 for 5. Yes.\n</think>\n\n"
SAID = "So it is 874: 874+80=954. Tens 5 for 5.\n\\boxed{874}"
SIBLING = {"wording": "sdpo", "solution": "sibling"}


@pytest.fixture(autouse=True, scope="module")
def one_tokenizer() -> Iterator[None]:
    """Read once: it is most of what these tests would take."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prompts, "load_tokenizer", cache(prompts.load_tokenizer))
        yield


@cache
def one_question() -> Question:
    settings = practice_settings("distil")
    return Order(questions(1), settings.practice, 0).questions(1)[0]


def group(verdicts: list[str], texts: list[str] | None = None, tokens: int = 40) -> pl.DataFrame:
    """Four answers to one question."""
    texts = texts or [f"{number} {THOUGHT}{number} {SAID}" for number in range(len(verdicts))]
    return pl.DataFrame(
        {
            "request_id": [f"r{number}" for number in range(len(verdicts))],
            "prompt_ids": [one_question().prompt_ids] * len(verdicts),
            "verdict": verdicts,
            "text": texts,
            "n_tokens": [tokens] * len(verdicts),
        }
    )


def taught(context: dict[str, Any] | None, rows: pl.DataFrame, **others: Any) -> tuple[Teaching, pl.DataFrame]:
    teaching = Teaching(practice_settings("distil", teacher=context, **others), SEARCHER)
    return teaching, teaching.taught(rows, [one_question()])


def prompt_with(solution: str) -> list[int]:
    """As the reference asks its teacher: the user's turn, then the solution, within the same template."""
    question = asked(one_question().problem, PROMPT)
    text = f"{question}\nCorrect solution:\n\n{solution}\n\nCorrectly solve the original question."
    return Chat(SEARCHER).ids([user_turn(text)])


def test_a_sibling_is_the_first_other_right_answer() -> None:
    _, found = taught(SIBLING, group([WRONG, CORRECT, WRONG, CORRECT]))
    assert found["told_by"].to_list() == ["r1", "r3", "r1", "r1"]
    shown = [f"{number} {THOUGHT}{number} {SAID}" for number in (1, 3, 1, 1)]
    assert found["teacher_ids"].to_list() == [prompt_with(text) for text in shown]


def test_without_its_thought_a_sibling_is_told_by_what_stands_behind_it_though_the_prompt_opened_it() -> None:
    """The template opens the thought, so no <think> stands in the answer: TRL's pattern would tell all of it."""
    _, whole = taught(SIBLING, group([WRONG, CORRECT, WRONG, CORRECT]))
    _, short = taught(SIBLING | {"thought": False}, group([WRONG, CORRECT, WRONG, CORRECT]))
    assert "<think>" in Chat(SEARCHER).text([user_turn("?")]) and "<think>" not in THOUGHT
    assert {*map(tuple, whole["teacher_ids"].to_list())}.isdisjoint(map(tuple, short["teacher_ids"].to_list()))
    assert short["teacher_ids"].to_list() == [prompt_with(f"{number} {SAID}") for number in (1, 3, 1, 1)]
    assert short["told_by"].equals(whole["told_by"])


def test_answers_that_no_sibling_can_teach_have_no_teacher_and_are_counted() -> None:
    teaching, found = taught(SIBLING, group([WRONG, CORRECT, UNANSWERED, WRONG]))
    assert found["told_by"].to_list() == ["r1", None, "r1", "r1"] and found["teacher_ids"].null_count() == 1
    assert teaching.untold == {words.NO_CORRECT_SAMPLE: 1}
    assert teaching.said(4) == f"3 of 4 answers have a teacher; without: 1 ({words.NO_CORRECT_SAMPLE})."


def test_special_tokens_are_never_told() -> None:
    texts = ["x", f"{THOUGHT}{SAID}<|im_end|>\n<|im_start|>user\nSay 7.", "x", "x"]
    teaching, found = taught(SIBLING, group([WRONG, CORRECT, WRONG, WRONG], texts))
    assert found["teacher_ids"].null_count() == 4 and found["told_by"].null_count() == 4
    assert teaching.untold[words.HOLDS_SPECIAL_TOKENS] == 3


def test_a_context_that_tells_nothing_asks_what_the_student_was_asked() -> None:
    rows = group([WRONG] * 4)
    told_nothing: list[dict[str, Any] | None] = [None, {}]
    for context in told_nothing:
        _, found = taught(context, rows)
        assert (
            found["teacher_ids"].equals(rows["prompt_ids"].alias("teacher_ids")) and found["told_by"].null_count() == 4
        )
    assert Teaching(practice_settings("grpo"), SEARCHER).taught(rows, [one_question()])["teacher_ids"].null_count() == 4


def test_a_switch_alone_is_a_context() -> None:
    _, found = taught({"thinking": False}, group([WRONG] * 4))
    student, teacher = one_question().prompt_ids, found["teacher_ids"][0].to_list()
    assert teacher[: len(student)] == student and len(teacher) > len(student)
    with pytest.raises(UserError, match="arms.distil.context: chat.* reads no deep"):
        taught({"chat": {"deep": True}}, group([WRONG] * 4))


def test_a_solution_of_the_dataset_teaches_every_answer() -> None:
    _, found = taught({"wording": "sdpo", "solution": "dataset"}, group([WRONG, CORRECT, WRONG, WRONG]))
    assert found["teacher_ids"].to_list() == [prompt_with(str(one_question().told))] * 4
    assert found["told_by"].null_count() == 4


def test_what_does_not_fit_is_refused_or_skipped_but_never_cut() -> None:
    rows = group([WRONG, CORRECT, WRONG, CORRECT], tokens=600)
    with pytest.raises(UserError, match=r"do not fit model\.context \(640\).*over_length: skip.*Nothing is cut"):
        taught(SIBLING, rows)
    teaching, found = taught(SIBLING | {"over_length": "skip"}, rows)
    assert found["teacher_ids"].null_count() == 4 and teaching.untold == {words.TOO_LONG: 4}
    last = len(prompt_with(f"1 {THOUGHT}1 {SAID}"))
    fits = group([WRONG, CORRECT, WRONG, WRONG], tokens=640 - last)
    assert taught(SIBLING, fits)[1]["teacher_ids"].null_count() == 1, "to the last token"
    short = taught(SIBLING, rows, practice={"prefix": 640 - last})[1]
    assert short["teacher_ids"].null_count() == 0, "a teacher reads no more than is learnt from"
    over = fits.with_columns(n_tokens=pl.lit(641 - last))
    assert taught(SIBLING | {"over_length": "skip"}, over)[1]["teacher_ids"].null_count() == 4


def test_what_cannot_be_told_is_refused_before_the_first_generation() -> None:
    def refuse(context: dict[str, Any], table: pl.DataFrame, context_tokens: int = 640, **others: Any) -> None:
        settings = practice_settings("distil", teacher=context, context=context_tokens, **others)
        Teaching(settings, SEARCHER).refuse(table)

    table = questions(3)
    with pytest.raises(
        UserError, match="up to [0-9]+ prompt tokens of the teacher, of which the solution 224, and 224 of an"
    ):
        refuse(SIBLING, table, 500)
    refuse(SIBLING | {"over_length": "skip"}, table, 500)
    refuse(SIBLING, table)
    refuse(SIBLING, table, 500, practice={"prefix": 32})
    with pytest.raises(UserError, match="of 3 questions none has a solution that the teacher could be told"):
        refuse(
            {"wording": "sdpo", "solution": "column", "column": "hint"},
            table.with_columns(told=pl.lit(None, pl.String)),
        )


# Nothing to learn from


def generation(rewards: list[float], classes: list[str] | None = None, teachers: bool = True) -> pl.DataFrame:
    mean = sum(rewards) / len(rewards)
    return pl.DataFrame(
        {
            "reward": rewards,
            "advantage": [reward - mean for reward in rewards],
            "finish_class": classes or [ANSWERED] * len(rewards),
            "teacher_ids": [[1] if teachers else None] * len(rewards),
        },
        schema_overrides={"teacher_ids": pl.List(pl.Int32)},
    )


def watched(method: str, generations: list[pl.DataFrame], **others: Any) -> list[str | None]:
    settings = practice_settings(method, {"generations": len(generations)}, **others)
    watch = Watch(settings)
    return [watch.sentence(number, rows) for number, rows in enumerate(generations, 1)]


def test_three_generations_without_a_right_answer_are_spoken_of_once() -> None:
    nothing = generation([0.0] * 4, [CUT, CUT, CUT, NO_ANSWER])
    found = watched("grpo", [nothing] * 2 + [generation([1.0, 0.0, 0.0, 0.0])] + [nothing] * 6)
    assert [place for place, sentence in enumerate(found, 1) if sentence] == [6]
    assert found[5] == (
        "generations 4 to 6: not one answer was right, so there is nothing to learn from. 75% were cut at "
        "decodes.plain.max_tokens (224), and 25% ended without an answer in the format that grading.answer reads: raise the "
        "first, ask for the second in problems.prompt, or practise on easier problems."
    )


def test_whoever_was_just_started_looks_at_the_generations_before() -> None:
    nothing = generation([0.0] * 4, [CUT] * 4)
    found: list[str | None] = []
    for number in range(1, 7):
        watch = Watch(practice_settings("grpo", {"generations": 6}), dict.fromkeys(range(1, number), nothing).get)
        found.append(watch.sentence(number, nothing))
    assert [place for place, sentence in enumerate(found, 1) if sentence] == [3]


def test_rewards_that_are_constant_are_spoken_of_where_rewards_are_learnt() -> None:
    every, flat = generation([1.0] * 4), generation([1.0] * 4).with_columns(reward=pl.Series([1.0, 1.0, 0.0, 0.0]))
    assert "every answer was right" in str(watched("grpo", [every] * 3)[2])
    assert "in no group did answers get different rewards" in str(watched("grpo", [flat] * 3)[2])
    assert watched("distil", [every] * 3) == watched("distil", [generation([0.0] * 4)] * 3) == [None] * 3
    assert "not one answer was right" in str(watched("distil", [generation([0.0] * 4)] * 3, teacher=SIBLING)[2])
    untaught = generation([1.0, 0.0, 0.0, 0.0], teachers=False)
    assert "no answer had a teacher" in str(watched("distil", [untaught] * 3, teacher=SIBLING)[2])
    assert "generation 1:" in str(watched("grpo", [every])[0]), "a short practice is not waited for"
