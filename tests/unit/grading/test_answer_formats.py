"""Where an answer stands that counts, for each format that a study can ask for, and where it stands when it does not count."""

import polars as pl
import pytest
from test_grading import EOS, completion, tables

from selfdistill.grading.answers import find_answer
from selfdistill.grading.grade import grade
from selfdistill.grading.other_formats import other_answer
from selfdistill.grading.verify import verify_answers
from selfdistill.study.grading import AnswerFormat, Grading
from selfdistill.tables.sampling import GRADED

LINES = [
    ("2 + 3 = 5.\nAnswer: 5", "5"),
    ("Answer: 5.", "5"),
    ("Answer:5", "5"),
    ("Answer: $5$", "5"),
    (r"Answer: \(5\).", "5"),
    (r"Answer: \[ 5 \]", "5"),
    (r"Answer: $$\frac{1}{2}$$", r"\frac{1}{2}"),
    (r"Answer: \boxed{5}", "5"),
    (r"Answer: $\boxed{\frac{a_{1}}{2}}$.", r"\frac{a_{1}}{2}"),
    (r"Answer: \boxed{\boxed{5}}", "5"),
    ("  Answer: 5 \r\n\n \n", "5"),
    ("Answer: 3\nNo.\nAnswer: 5", "5"),
    ("Answer: 5 apples", "5 apples"),  # the grader looks past units
    ("Answer: $18", "$18"),
    ("", None),
    ("Answer:", None),
    ("Answer:   \n", None),
    ("Answer:\n5", None),
    ("Answer: 5\nI hope it is right.", None),
    ("So Answer: 5", None),
    ("The answer is 5", None),
    ("answer: 5", None),
    ("**Answer:** 5", None),
    ("Answer 5", None),
    (r"\boxed{5}", None),
    (r"Answer: \boxed{5", None),
    (r"Answer: \boxed{}", None),
    ("x\u2028Answer: 5", None),  # what the model did not write as a line is none
    ("Answer: $Answer", None),
    ("Answer: $Answer$", None),
    (r"Answer: \boxed{$Answer}", None),
    ("Answer: <answer>", None),
    ("Answer: [Your answer]", None),
    ("Answer: ...", None),
    ("Answer: $Answer (without quotes)", None),
    (r"Answer: \emptyset", r"\emptyset"),
    ("Answer: ∞", "∞"),
]


@pytest.mark.parametrize(("text", "answer"), LINES)
def test_an_answer_line_counts_alone_on_the_last_line(text: str, answer: str | None) -> None:
    assert find_answer(text, think=False, asked="line").extracted == answer
    assert find_answer(f"Answer: 3 </think>\n{text}", asked="line").extracted == answer
    assert find_answer(text, asked="line") == (False, False, None)  # the thought never ended


def test_what_stands_in_the_thought_is_no_answer_line() -> None:
    assert find_answer("hm\nAnswer: 5</think>\nSo it is.", asked="line").extracted is None
    assert find_answer("hm\nAnswer: 5</think>", asked="line").extracted is None
    assert find_answer("hm</think>Answer: 5", asked="line") == (True, True, "5")
    assert find_answer("hm</think>Answer:", asked="line") == (True, True, None)


REFUSED = [
    "Answer: The number is 5", "Answer: 5 because 2+3=5", "Answer: 5 or 6", "Answer: 5 Answer: 6", r"Answer: so \boxed{5}",
    r"Answer: \boxed{5} or \boxed{6}", "Answer: 5. Wait, 6", "Answer: I think 5", "Answer: about 5", "Answer: 4 + 3 = 5",
    "Answer: 5 (or maybe 6)",
]  # fmt: skip


def test_an_answer_with_prose_around_it_is_wrong_as_it_is_in_a_box() -> None:
    lines = [find_answer(text, think=False, asked="line").extracted or "" for text in REFUSED]
    boxes = [find_answer(rf"\boxed{{{line}}}", think=False).extracted or "" for line in lines]
    for found in (lines, boxes):
        reasons = verify_answers([("5", answer) for answer in found], 5.0)
        assert not {"equal", "equivalent"} & set(reasons), list(zip(found, reasons, strict=True))
    assert verify_answers([("5", "5 apples")], 5.0) == ["equivalent"]


OTHERWISE: list[tuple[str, AnswerFormat, bool, tuple[str, str] | None]] = [
    (r"So \boxed{7}.", "line", False, ("box", "7")),
    (r"so \boxed{7}", "boxed", True, ("box in the thought", "7")),
    ("Answer: 7\nThat is all.", "line", False, ("answer line", "7")),
    ("**Answer:** 7", "line", False, ("answer line", "7")),
    ("### Answer\n7", "boxed", False, ("last number", "7")),
    ("The final answer is: 1,234 apples.", "boxed", False, ("the answer is", "1,234 apples")),
    ("Hence the answer is $7.50. Well done!", "boxed", False, ("the answer is", "$7.50")),
    ("The answer is that Jane will pay 7 dollars for 2 of them, so 14.", "boxed", False, ("the answer is", "14")),
    # Endings of a small model that was asked for a last line of Answer:.
    ("Answer: 2\n\nIn the math problem, you found it.\n\nThe answer is 3.", "line", False, ("the answer is", "3")),
    ("The form is Answer: $Answer (without quotes)\n\nSo it is 3.", "line", False, ("last number", "3")),
    ("The answer is Answer: 8", "line", False, ("answer line", "8")),
    ("It sums to 7\n#### 7", "boxed", False, ("####", "7")),
    ("9 * 2 = $18 every day.", "boxed", False, ("last number", "18")),
    ("first 3, then -4", "boxed", False, ("last number", "-4")),
    (r"x \boxed{8", "boxed", False, ("last number", "8")),
    ("I cannot say.", "boxed", False, None),
    ("model v1 is x2", "boxed", False, None),
]


@pytest.mark.parametrize(("text", "asked", "think", "found"), OTHERWISE)
def test_a_lenient_look_finds_the_clearest_statement(
    text: str, asked: AnswerFormat, think: bool, found: tuple[str, str] | None
) -> None:
    assert other_answer(text, asked, think) == found
    assert find_answer(text, think, asked).extracted is None


def graded_as(asked: AnswerFormat, think: bool, *texts: str, reason: str = "stop") -> list[dict[str, object]]:
    plan, completions, problems = tables([completion(text, reason=reason) for text in texts])
    settings = Grading(answer=asked, seconds_per_answer=5.0)
    pieces = grade(plan, lambda: completions.iter_slices(4), problems, [EOS], settings, think=think)
    return pl.concat([pl.DataFrame(schema=GRADED), *pieces]).sort("request_id").rows(named=True)


def test_each_format_credits_its_own_answers_and_records_the_others() -> None:
    texts = ("Answer: 7", r"\boxed{7}", "The answer is 7.", "Answer: 8", "no idea")
    line, boxed = (graded_as(asked, False, *texts) for asked in ("line", "boxed"))
    assert [row["verdict"] for row in line] == ["correct", "unanswered", "unanswered", "wrong", "unanswered"]
    assert [row["verdict"] for row in boxed] == ["unanswered", "correct", *["unanswered"] * 3]
    assert [row["other_format"] for row in line] == [None, "box", "the answer is", None, None]
    assert [row["other_correct"] for row in line] == [None, True, True, None, None]
    assert [row["other_format"] for row in boxed] == ["answer line", None, "the answer is", "answer line", None]
    assert [row["other_correct"] for row in boxed] == [True, None, True, False, None]
    assert [row["boxed"] for row in line] == [True, False, False, True, False]


def test_a_cut_answer_line_is_no_answer_and_is_not_looked_at_leniently() -> None:
    for row in graded_as("line", False, "Answer: 7", "The answer is 7", reason="length"):
        assert (row["verdict"], row["finish_class"], row["extracted"]) == ("unanswered", "cut", None)
        assert row["other_format"] is None and row["other_correct"] is None


def test_the_usual_format_is_no_parameter() -> None:
    assert Grading().as_param() == {key: value for key, value in Grading().model_dump().items() if key != "answer"}
    assert Grading(answer="line").as_param() == Grading(answer="line").model_dump()
    assert Grading.model_validate(Grading().as_param()) == Grading()
