"""Claims about problems' texts: what is mended, what cannot be, and which build on the answer of another problem."""

import json
from pathlib import Path

import pytest

from converted import numina, outcome
from selfdistill.problems.datasets.convert import audit, convert
from selfdistill.problems.datasets.latex import is_broken, mended
from selfdistill.problems.datasets.text import clean, speaks_of_other_answers
from selfdistill.rehearsal.recorded_shapes import json_lines, numina_row, omni_row


def test_control_characters_go_and_newlines_stay() -> None:
    assert clean("a\x00b\x1b[31m\r\nc\td\u200be\ufeff\x7f\x85") == "ab[31m\nc\td\u200be"
    json.dumps(clean("\ud800x")).encode("utf-8")


def test_html_stays_text(tmp_path: Path) -> None:
    folder = numina(tmp_path, numina_row("Find <b>x</b> & <script>y</script>.", "7"))
    assert convert("numina-math-cot", folder, {})[0][0]["problem"] == "Find <b>x</b> & <script>y</script>."


# LaTeX whose backslashes a program has eaten


@pytest.mark.parametrize(
    ("eaten", "whole"),
    [
        ("Find $\x0crac{1}{7}$.", r"Find $\frac{1}{7}$."),
        ("Find $\x0crac12$.", r"Find $\frac12$."),
        ("a $3 \times 4$ grid", r"a $3 \times 4$ grid"),
        ("a 3 \times 4 grid", r"a 3 \times 4 grid"),
        ("the area of $\triangle OPQ$", r"the area of $\triangle OPQ$"),
        ("\\qquad\textbf{(B)} 94", r"\qquad\textbf{(B)} 94"),
        ("if $x \neq 4$", r"if $x \neq 4$"),
        ("$a \nabla b$", r"$a \nabla b$"),
        ("$\\left(2\right)$", r"$\left(2\right)$"),
        ("$n \rightarrow 2$", r"$n \rightarrow 2$"),
        ("$\\lfloor x \rfloor$", r"$\lfloor x \rfloor$"),
        ("the angle $\x07lpha$", r"the angle $\alpha$"),
        ("$\x08inom{5}{2}$", r"$\binom{5}{2}$"),
        ("$\x0bec{a}$", r"$\vec{a}$"),
        (r"$\frac{r}{s}=frac{BC}{AD}$", r"$\frac{r}{s}=\frac{BC}{AD}$"),
        ("$\tan x$", r"$\tan x$"),
        ("$\rangle$", r"$\rangle$"),
    ],
)
def test_a_command_of_one_reading_is_mended(eaten: str, whole: str) -> None:
    assert mended(eaten) == whole
    assert mended(whole) == whole and not is_broken(whole)


@pytest.mark.parametrize(
    "text",
    [
        "Eat\tan apple.",  # a tab, and no \tan
        "an acute\rangle",  # the end of a line of old
        "the angles are\nequal, the sides\nnot",
        "a\textra word",
        "\timely help",
        "[asy]\nreal g(real x)\n{\n\treturn x;\n\times(3);\n}\n[/asy]",
        r"$\frac{1}{2}$ of \times",
        'enter "sqrt{14}" or frac{1}{2} as text',
    ],
)
def test_a_text_that_only_looks_like_one_is_left_alone(text: str) -> None:
    assert mended(text) == text
    assert not is_broken(text)


def test_only_what_cannot_be_mended_is_dropped_and_what_is_mended_is_counted(tmp_path: Path) -> None:
    rows = [
        numina_row("Find $\x0crac{3}{4}$ of 8.", "6"),
        numina_row("Find the half of 1.", "\x0crac12"),
        numina_row("Find $\x0cooze{3}$.", "3"),  # begins no command that is known
        numina_row("Find the fi\x0crst one.\x0c", "7"),  # a page's end, and no formula
        numina_row("Find the last one.", "8", solution="So it is $\x08oxed{8}$."),
    ]
    folder = numina(tmp_path, *rows)
    assert outcome("numina-math-cot", folder) == (["6", r"\frac12", "7", "8"], {"broken LaTeX": 1})
    conversion = convert("numina-math-cot", folder, {})
    assert [row["problem"] for row in conversion.rows][0::2] == [r"Find $\frac{3}{4}$ of 8.", "Find the first one."]
    assert [row["mended"] for row in conversion.rows] == [True, True, False, False]
    assert audit("numina-math-cot", {}, conversion)["mended"] == 2


# Problems that hand an answer on


@pytest.mark.parametrize(
    ("builds_on_another", "stands_alone"),
    [
        ("Let $T=T N Y W R$. Compute $2T$.", "Let $T=8$. Compute $2T$."),
        ("Let T = TNYWR. Find T + 1.", "Let $T=(0,0), N=(2,0)$. Find the area of pentagon $T N Y W R$."),
        (
            "Let $A$ be the number you will receive from position 7.",
            "Submit $E$; you will receive $\\max(0, 20-E)$ points.",
        ),
        (
            "Let $A$ be the answer to problem 3. Find $A^2$.",
            "Let $A$ be the answer to this problem. Find all such $A$.",
        ),
        ("Let $A_{10}$ denote the answer to problem 10.", "He finds a lower bound for the answer to the problem."),
        ("Let $Y$ be as in problem 14.", "Let $Y$ be as in the picture of problem solving."),
        ("It has the same value as the $W$ in problem 31.", "24 of them answered question 1 correctly."),
        ("Call the pieces found in the last problem square.", "He has 4 left over from a previous party."),
        ("(Continue from the previous question.) What is it?", "The next question is: what is it?"),
        ("Refer to question 15 for details.", "AIME 1985 Problem 15 asks for the volume."),
    ],
)
def test_a_problem_that_builds_on_another_answer_is_known(builds_on_another: str, stands_alone: str) -> None:
    assert speaks_of_other_answers(builds_on_another)
    assert not speaks_of_other_answers(stands_alone)


def test_a_problem_that_builds_on_another_answer_has_a_reason_of_its_own(tmp_path: Path) -> None:
    rows = [omni_row(0, "Let $T=TNYWR$. Find $T+1$.", "9", 5), omni_row(1, "Let $T=8$. Find $T+1$.", "9", 5)]
    json_lines(tmp_path / "Omni-Math-2.jsonl", rows)
    assert outcome("omni-math-2", tmp_path) == (["9"], {"speaks of another answer": 1})


def test_a_link_is_dropped_and_a_web_in_words_is_not(tmp_path: Path) -> None:
    rows = [numina_row("Find it at https://example.org/a.", "1"), numina_row("SSL and HTTPS: how many letters?", "8")]
    assert outcome("numina-math-cot", numina(tmp_path, *rows)) == (["8"], {"a link": 1})
