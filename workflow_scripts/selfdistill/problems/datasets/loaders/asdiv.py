"""ASDiv: word problems of primary school, of many kinds and six grades.

Confirmed: the authors' ASDiv.xml with Body, Question, Solution-Type, Answer and Formula, ID and Grade, 2,305 problems, and the
licence, in the authors' repository; the hub's asdiv/validation-00000-of-00001.parquet with body, question, solution_type, answer
and formula and as many rows, on the dataset's page and in public code that pins the revision below. The hub's copy has neither
ids nor grades.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from selfdistill.problems.datasets.arithmetic import exact, worked
from selfdistill.problems.datasets.dataset import Counted, Dataset, Dropped, Kept
from selfdistill.problems.datasets.gold import SEVERAL, WORDS
from selfdistill.problems.datasets.options import Some
from selfdistill.problems.datasets.raw_files import Kind, Row, first_files, parquet_rows, text_of, xml_rows
from selfdistill.problems.datasets.word_problems import joined

FILES = ("asdiv/*.parquet", "ASDiv.xml", "dataset/ASDiv.xml")
XML = {
    "question": "Question",
    "body": "Body",
    "answer": "Answer",
    "formula": "Formula",
    "solution_type": "Solution-Type",
}
COLUMNS: dict[str, Kind] = dict.fromkeys(XML, "text")
GRADES = (1, 2, 3, 4, 5, 6)
# 9 (apples), $5, 6th, 3/7, -(1/3) and 7:6: the number is what is asked for.
ANSWER = re.compile(r"\$?\s*(-?[\d,]*\.?\d+(?:[/:]\d+)*|-\(\d+/\d+\))(?:st|nd|rd|th|%)?\s*(?:\([^()]*\))?")
SIMPLE = re.compile(r"([^=;]*[-+*/][^=;]*)=([^=;]*)")
OPERATOR = re.compile(r"\s*([=+*]|(?<![a-zA-Z(\s])-|/(?![a-zA-Z]))\s*")
RESULT = re.compile(r"=\s*(-?[\d.,/:]+)\s*(?:\([^()]*\))?$")


def read(folder: Path, options: Mapping[str, Any]) -> Iterator[Kept | Dropped]:
    for path in first_files(folder, FILES):
        if path.suffix == ".parquet":
            for number, row in enumerate(parquet_rows(path, COLUMNS)):
                yield _item(f"{path.stem}/{number}", row, level=1)
        else:
            for row in xml_rows(path, "Problem", XML, ("ID", "Grade")):
                yield _graded(row, options["grades"])


def _graded(row: Row, grades: list[int]) -> Kept | Dropped:
    name, grade = str(row["ID"]), str(row["Grade"])
    if not grade.isdecimal() or int(grade) not in GRADES:
        return Dropped(name, "no grade")
    return _item(name, row, int(grade)) if int(grade) in grades else Dropped(name, "grade not asked for")


def _item(name: str, row: Row, level: int) -> Kept | Dropped:
    problem = joined(row["body"], row["question"])
    answer = (row["answer"] or "").strip()
    if ";" in answer:
        return Dropped(name, SEVERAL)
    match = ANSWER.fullmatch(answer)
    if match is None:
        return Dropped(name, WORDS)
    if ":" in match[1] and row["solution_type"] != "Ratio":
        return Dropped(name, "a time of day")
    return Kept(name, problem, match[1], level, solution=_solution(text_of(row, "formula") or "", match[1]))


def _solution(formula: str, answer: str) -> str | None:
    """None where the formula does not end in the answer, as that of a rounded quotient or of a system."""
    gold = exact(answer)
    if simple := SIMPLE.fullmatch(formula):
        found = worked(simple[1])
        if found is not None and found.steps:
            return "\n".join(found.steps) if found.value == gold else None
    last = RESULT.search(formula.strip())
    if last is None or (last[1] != answer and (gold is None or exact(last[1]) != gold)):
        return None
    return "\n".join(OPERATOR.sub(r" \1 ", line).strip() for line in formula.split(";"))


DATASET = Dataset(
    name="asdiv",
    hub="EleutherAI/asdiv",
    files=("asdiv/*.parquet",),
    licence="CC-BY-NC-4.0, in the authors' repository and on the hub's page",
    columns={
        "body, question": "problem (one after the other)",
        "answer": "answer (without the unit in brackets)",
        "formula": "solution (a line an operation, where it ends in the answer)",
        "Grade": "level (1 to 6; the hub's copy has none, and all are 1)",
        "ID, or file and row": "id",
    },
    about=(
        "2,305 problems without a split. The authors' own `ASDiv.xml` is read as well, in the folder or in their repository as it "
        "is; it knows the grades. Dropped: several answers, names, yes and no."
    ),
    read=read,
    elsewhere=(("ASDiv.xml",), ("dataset/ASDiv.xml",)),
    text_only=True,
    revision="8f95807222d87b4c688c3c22a6ba2801e1fa03e2",
    options={"grades": Some(GRADES, GRADES, "The grades to keep, where the file knows them.")},
    counted=(
        Counted(
            "chaochun/nlu-asdiv-dataset",
            "883f90a9a65bf00304ba8f37423910fe743abc47",
            "dataset/ASDiv.xml",
            kept=2137,
            dropped={
                "a time of day": 13,
                "copy of another row": 1,
                "several answers": 90,
                "words for an answer": 64,
            },
            note="the authors' own file; 1,816 have a solution",
        ),
    ),
)
