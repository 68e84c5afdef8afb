"""Claims about gold answers: what they lose, and which are too unsure to grade by."""

from pathlib import Path

import pytest

from converted import numina, outcome
from selfdistill.grading.verify import unreadable
from selfdistill.problems.datasets.gold import boxed_answer, read_gold
from selfdistill.rehearsal.recorded_shapes import numina_row

ASK = "What is the number of ways to climb {} stairs?"


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("$5$", "5"),
        (r"\( \frac{1}{2} \)", r"\frac{1}{2}"),
        (r"$$\frac{3}{4}$$.", r"\frac{3}{4}"),
        (r"\boxed{\boxed{5}}", "5"),
        ("113.", "113"),
        (r"\text{5}", "5"),
        (r"6 \mbox{ units}", r"6 \text{ units}"),
        (r"11,\! 111,\! 111,\! 100", r"11,\!111,\!111,\!100"),
        *((same, same) for same in [
            "x=5", "-7", "1,234", r"10,\!000", r"1{,}000", r"336^\circ", r"5\%", r"\$18.90", "12_7", "f(x)=x^2",
            r"5\text{ cm}", r"13\mathrm{~cm}^2", "(1,2)", "[0,1)", r"\{1, 2\}", r"n \ge 3", r"7 \pmod{12}",
            r"(-\infty,2]\cup[3,\infty)", r"\begin{pmatrix}1\\2\end{pmatrix}", r"\left(1,\frac{2}{3}\right)",
            "[-1,2)", r"\left[0,1\right)", r"\frac{1}{2}x", r"\frac12", "3!",
            "1,2", "1; 2", "1 and 2", r"5\text{ or }6", r"1 \pm \sqrt{2}", r"5,\ 6", "x=1, y=2", "]0,1[", r"\mp 3",
        ]),
    ],
)  # fmt: skip
def test_an_answer_loses_only_what_stands_around_it_and_can_be_read(text: str, answer: str) -> None:
    assert read_gold(text) == (answer, "")
    assert not unreadable([answer])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        *((text, "several answers") for text in [
            r"1, 2, \sum_{k} k", r"5\text{ or more}", "1 and so on", r"\begin{cases}1\\2\end{cases}",
        ]),
        *((text, "multiple choice") for text in [
            "B", "(C)", r"\text{(B)}", r"\textbf{(A) } 5", "(A) 5", "B. 7", "ABD", r"\mathrm{D}",
        ]),
        *((text, "words for an answer") for text in [
            "No", r"\text{Yes}", r"\text{Evelyn}", r"\square", "10 am", "4:30 p.m.", r"5\text{ hours }30\text{ minutes}",
        ]),
        *((text, "a cut-off answer") for text in [
            "(1,2", "1,2)", r"\frac{11}{2^{20}", r"\frac{1}{2}}", r"\left(1,2", "$5", "2^", "x=", "3+", r"\frac{1}", r"\sqrt",
            r"\begin{pmatrix}1\\2", r"5\cdot", "5\\",
        ]),
        ("$3$ of $4$", "prose around formulas"),
        (r"1+2+\ldots+n", "dots for an answer"),
        (r"\approx 3.14", "an approximate answer"),
        ("a=b=c", "a chain of equations"),
        (r"2.5\text{ million}", "a unit that changes the number"),
        (" $$ ", "no answer"),
        ("1+" * 200 + "1", "answer too long"),
    ],
)  # fmt: skip
def test_an_answer_that_could_be_read_in_two_ways_is_dropped(text: str, reason: str) -> None:
    assert read_gold(text) == ("", reason)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("(C)", "C"),
        ("No", r"\text{No}"),
        (r"\text{Evelyn}", r"\text{Evelyn}"),
        ("even", r"\text{even}"),
    ],
)
def test_letters_and_words_are_kept_where_they_are_asked_for(text: str, answer: str) -> None:
    assert read_gold(text).reason in ("multiple choice", "words for an answer")
    assert read_gold(text, letters=True) == (answer, "")
    assert not unreadable([answer])


def test_boxes_must_agree() -> None:
    assert boxed_answer(r"\boxed{\dfrac12} that is \boxed{\frac12}").answer == r"\frac12"
    assert boxed_answer(r"\boxed{1} then \boxed{2}").reason == "several answers"
    assert boxed_answer(r"\boxed{1} then \boxed{2").reason == "no boxed answer"


def test_endless_nesting_takes_no_time() -> None:
    assert read_gold(r"\boxed{" * 50_000 + "5" + "}" * 50_000).reason == "answer too long"


def test_what_math_verify_cannot_read_is_dropped(tmp_path: Path) -> None:
    rows = [numina_row(ASK.format(1), r"\sqrt{2}"), numina_row(ASK.format(2), "a blue ball")]
    assert outcome("numina-math-cot", numina(tmp_path, *rows)) == ([r"\sqrt{2}"], {"unreadable answer": 1})
