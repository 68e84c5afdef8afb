"""The pairs of `pairs.txt`, and the page that is made of them: `python tests/unit/grading/pairs.py > docs/grading.md`."""

from pathlib import Path
from typing import NamedTuple

FILE = Path(__file__).with_name("pairs.txt")


class Pair(NamedTuple):
    kind: str
    gold: str
    answer: str
    same: bool


class Kind(NamedTuple):
    name: str
    about: str
    pairs: list[Pair]


def kinds() -> list[Kind]:
    found: list[Kind] = []
    for line in FILE.read_text(encoding="utf-8").splitlines():
        if line.startswith("# ") or not line:
            continue
        if line.startswith("## "):
            found.append(Kind(line.removeprefix("## "), "", []))
        elif " === " in line or " =/= " in line:
            gold, answer = line.split(" === " if " === " in line else " =/= ")
            found[-1].pairs.append(Pair(found[-1].name, gold, answer, " === " in line))
        else:
            found[-1] = found[-1]._replace(about=line)
    return found


def all_pairs() -> list[Pair]:
    return [pair for kind in kinds() for pair in kind.pairs]


BEGINNING = r"""# Grading

An answer stands in the format that the study asks for, after `</think>`, in a completion that ended by itself
(`grading/answers.py`). It is right when it is the gold answer, however it is written.

## Where an answer stands
`grading.answer` names the format, and `problems.prompt` asks the model for it.

- **`boxed`**, the usual one: the content of the last closed `\boxed{}`. An unclosed last box is no answer, and an earlier
  one does not stand in for it.
- **`line`**: what follows `Answer:` at the beginning of the last line that is not empty. Dollars, `\( \)`, a full stop and a
  box around the whole are taken off. It asks for exactly this line, as DAPO's own prompt does: `answer:`, `**Answer:**`, an
  `Answer:` within a line or above another, an empty one and the prompt's own `$Answer` are no answer.

What stands there is read alike in both: `5 apples` by its number, a sentence not at all. Prose behind an answer
(`5 because 2+3=5`) is wrong, as it is in a box.

A completion that ended by itself without such an answer is of the class `no_answer` and counts as wrong. A lenient look
(`grading/other_formats.py`) says where an answer stands in it all the same: in a box, on an `Answer:` line anywhere, after
"the answer is", after `####`, or as its last number. The columns `other_format` and `other_correct` of the graded table
hold what it found. They are in no accuracy: they tell a model that does not know the format from one that does not know
the answer ([what to do](run-a-study.md#a-model-that-does-not-know-the-format)).

## Who judges
1. **Texts and plain numbers** are compared at once and exactly (`grading/verify.py`, `grading/rationals.py`).
2. **Our own reader** (`grading/reading/`) reads what one object the answer is: an expression, a point, a list, a set of
   numbers, an equation, words, a matrix. Expressions are compared by their values: exactly where they are rational,
   to 30 digits of 60 elsewhere, and at up to 18 points of both signs where they have letters. It says what it cannot read.
3. **math-verify** is asked about sums, products, integrals and limits, which our reader does not know, with its units
   off, and only as long as no letter gets lost (`grading/judge.py`). Of other notations it reads a part and drops the
   rest, so nothing else is left to it.
4. **math-verify as shipped** is asked about every pair that is not plain, for a second opinion.

The first that can decide counts. The table of graded answers keeps both: `strict` is the verdict that counts, `lenient`
is math-verify's own. Where one says equal and the other different the row is `disputed`; the report tells how many
there are by arm, and what difference they could make.

Answers are judged in processes of their own, which are killed after `grading.seconds_per_answer` and at two gigabytes:
the text is a model's. Each distinct pair of gold and answer is judged once. The column `grader` names the version of
these rules. A new version grades anew by itself when the study is run; nothing is sampled for it.

## What is the same
The tables are made from `tests/unit/grading/pairs.txt` (`make grading-page`), and a test asks the grader for each of
these pairs.
"""


def page() -> str:
    sections = [BEGINNING]
    for kind in kinds():
        lines = [f"### {kind.name}", *([kind.about, ""] if kind.about else [""])]
        golds = dict.fromkeys(pair.gold for pair in kind.pairs)
        lines += ["| gold | is | is not |", "|---|---|---|"]
        for gold in golds:
            cells = [
                [_code(pair.answer) for pair in kind.pairs if pair.gold == gold and pair.same is same]
                for same in (True, False)
            ]
            lines.append(f"| {_code(gold)} | {', '.join(cells[0])} | {', '.join(cells[1])} |")
        sections.append("\n".join(lines) + "\n")
    return "\n".join(sections)


def _code(text: str) -> str:
    return "`" + text.replace("|", "\\|") + "`"


if __name__ == "__main__":
    print(page(), end="")
