r"""MATH-500: the 500 problems of MATH's test split on which "Let's Verify Step by Step" measured, as everybody does since.

Confirmed: test.jsonl with problem, solution, answer, subject, level (1 to 5) and unique_id, 500 rows, in copies in
public repositories whose sum (35dc4108…) is the one that public code pins at the revision below. From memory: the
licence, which is that of MATH.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from selfdistill.problems.datasets.dataset import Counted, Dataset, Dropped, Kept
from selfdistill.problems.datasets.options import LETTERS, Flag, Some
from selfdistill.problems.datasets.raw_files import Row, find_files, json_rows, text_of

FILES = "test.jsonl"
COLUMNS = ("problem", "answer", "subject", "level", "unique_id")
LEVELS = (1, 2, 3, 4, 5)
SUBJECTS = (
    "Algebra",
    "Counting & Probability",
    "Geometry",
    "Intermediate Algebra",
    "Number Theory",
    "Prealgebra",
    "Precalculus",
)


def read(folder: Path, options: Mapping[str, Any]) -> Iterator[Kept | Dropped]:
    for path in find_files(folder, FILES):
        for row in json_rows(path, COLUMNS):
            yield _item(str(row["unique_id"]), row, options)


def _item(name: str, row: Row, options: Mapping[str, Any]) -> Kept | Dropped:
    level = row["level"]
    if isinstance(level, bool) or level not in LEVELS:
        return Dropped(name, "no level")
    if level not in options["levels"]:
        return Dropped(name, "level not asked for")
    if row["subject"] not in options["subjects"]:
        return Dropped(name, "subject not asked for")
    if not isinstance(row["problem"], str) or not isinstance(row["answer"], str):
        return Dropped(name, "no problem or no answer")
    return Kept(name, row["problem"], row["answer"], int(level), solution=text_of(row, "solution"))


DATASET = Dataset(
    name="math-500",
    hub="HuggingFaceH4/MATH-500",
    files=(FILES,),
    licence="none on the dataset's card; the problems are those of MATH, which is MIT",
    columns={"problem": "problem", "answer": "answer", "solution": "solution", "level": "level", "unique_id": "id"},
    about=(
        "500 problems of MATH's test split. `hendrycks-math` leaves that split out unless asked for it, so training on "
        "MATH and evaluating here is fair."
    ),
    read=read,
    revision="6e4ed1a2a79af7d8630a6b768ec859cb5af4d3be",
    options={
        "levels": Some(LEVELS, LEVELS, "The levels to keep."),
        "subjects": Some(SUBJECTS, SUBJECTS, "The subjects to keep."),
        "letters": Flag(True, LETTERS),
    },
    counted=(
        Counted(
            "hkust-nlp/simpleRL-reason",
            "cf1c7858bfc145a27aa733e75d930d34f0d318a6",
            "examples/simplelr_math_eval/data/math500/test.jsonl",
            kept=500,
            helped=44,
            note="the sum of the hub's own file",
        ),
    ),
)
