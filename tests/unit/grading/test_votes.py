"""Which answers of a problem are one answer: equal texts, and what the strict reader finds equal; all that is right is one."""

import polars as pl

from selfdistill.grading.votes import answer_classes


def classes(*rows: tuple[str, str | None, str]) -> list[int | None]:
    answers = pl.DataFrame(rows, schema=["problem_id", "extracted", "verdict"], orient="row")
    return answer_classes(answers, ["problem_id"], seconds=20.0).to_list()


def test_answers_are_the_same_by_text_and_by_what_the_strict_reader_says() -> None:
    found = classes(
        ("p", "\\frac{1}{2}", "wrong"), ("p", "0.5", "wrong"), ("p", " 0.5 ", "wrong"), ("p", "x+1", "wrong"),
        ("p", "1+x", "wrong"), ("p", "7", "wrong"), ("p", None, "unanswered"),
    )  # fmt: skip
    assert found[0] == found[1] == found[2] and found[3] == found[4] and found[6] is None
    assert len({found[0], found[3], found[5]}) == 3 and 0 not in found


def test_all_that_is_right_is_one_class_and_problems_do_not_mix() -> None:
    found = classes(("p", "4", "correct"), ("p", "2+2", "correct"), ("p", "5", "wrong"), ("q", "5", "wrong"))
    assert found[:2] == [0, 0] and found[2] != 0 and found[3] != 0


def test_what_cannot_be_read_votes_for_its_own_text() -> None:
    prose = "the answer is left to the reader"
    found = classes(("p", prose, "wrong"), ("p", prose, "wrong"), ("p", "another \\text{ remark", "wrong"))
    assert found[0] == found[1] != found[2]
