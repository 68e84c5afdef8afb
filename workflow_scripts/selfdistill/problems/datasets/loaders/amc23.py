"""AMC 12, both exams of 2023: the 40 of their 50 problems that are asked without choices, in the copy that most use.

Confirmed: the file test-00000-of-00001.parquet, its columns id, question, answer and url, 40 rows and the licence, in
public code that pins the revision below; answers such as 27.0 that are whole numbers, one of them negative, and the
addresses that name exam and number, in public copies of its rows. From memory: whether the column answer is text or
numbers; both are read.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from selfdistill.problems.datasets.aime import exam_problem
from selfdistill.problems.datasets.dataset import Counted, Dataset, Dropped, Kept
from selfdistill.problems.datasets.options import Some
from selfdistill.problems.datasets.raw_files import Kind, Row, find_files, parquet_rows

FILES = "test-*.parquet"
COLUMNS: dict[str, Kind] = {"question": "text", "answer": "number or text", "url": "text"}
EXAMS = ("12A", "12B")
LEVELS = 5
ADDRESS = re.compile(r".*AMC_(12[AB])_Problems/Problem_(\d+)")


def read(folder: Path, options: Mapping[str, Any]) -> Iterator[Kept | Dropped]:
    for path in find_files(folder, FILES):
        for number, row in enumerate(parquet_rows(path, COLUMNS)):
            yield _item(f"{path.stem}/{number}", row, options["exams"])


def _item(name: str, row: Row, exams: list[str]) -> Kept | Dropped:
    match = ADDRESS.fullmatch(row["url"] or "")
    if match is None:
        return Dropped(name, "no exam or no number")
    if match[1] not in exams:
        return Dropped(name, "exam not asked for")
    if row["answer"] is None:
        return Dropped(name, "no answer")
    return exam_problem(f"{match[1]}-{match[2]}", row["question"] or "", str(row["answer"]), int(match[2]), LEVELS)


DATASET = Dataset(
    name="amc23",
    hub="math-ai/amc23",
    files=(FILES,),
    licence="Apache-2.0, according to public code; the problems are the Mathematical Association of America's",
    columns={
        "question": "problem",
        "answer": "answer (27.0 is 27)",
        "url": "id (exam and number) and level (five problems of an exam each, 1 to 5 is 1)",
    },
    about="40 problems of the two AMC 12 of 2023, reworded so that the answer is a whole number and no choice is needed.",
    read=read,
    revision="80815d37005feb82cd7f8fbc6901d5d3eff43057",
    options={"exams": Some(EXAMS, EXAMS, "The exams to keep.")},
    counted=(
        Counted(
            "QwenLM/Qwen2.5-Math",
            "a45202bd16f1ec06f433442dc1152d0074773465",
            "evaluation/data/amc23/test.jsonl",
            kept=40,
            helped=1,
        ),
    ),
)
