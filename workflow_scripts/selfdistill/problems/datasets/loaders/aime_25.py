r"""AIME, both exams of 2025, in the copy that most evaluations use.

Confirmed: test.jsonl with problem, answer and id (the texts 0 to 29), 30 rows, in public code that pins the revision
below; that the ids follow the exams (0 to 14 the first, 15 to 29 the second, as they were set), that three problems have
lost the backslash of \frac or \triangle, and that five carry their drawing as a program, in public copies of its rows.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from selfdistill.problems.datasets.aime import exam_problem
from selfdistill.problems.datasets.dataset import Counted, Dataset, Dropped, Kept
from selfdistill.problems.datasets.options import Some
from selfdistill.problems.datasets.raw_files import Row, find_files, json_rows

FILES = "test.jsonl"
COLUMNS = ("problem", "answer", "id")
EXAMS = ("I", "II")
PROBLEMS = 15  # of an exam


def read(folder: Path, options: Mapping[str, Any]) -> Iterator[Kept | Dropped]:
    for path in find_files(folder, FILES):
        for row in json_rows(path, COLUMNS):
            yield _item(str(row["id"]), row, options["exams"])


def _item(name: str, row: Row, exams: list[str]) -> Kept | Dropped:
    if not name.isdecimal():
        return Dropped(name, "no number")
    exam = min(int(name) // PROBLEMS, len(EXAMS) - 1)
    if EXAMS[exam] not in exams:
        return Dropped(name, "exam not asked for")
    return exam_problem(name, str(row["problem"] or ""), str(row["answer"]), int(name) - PROBLEMS * exam + 1)


DATASET = Dataset(
    name="aime-25",
    hub="math-ai/aime25",
    files=(FILES,),
    licence="Apache-2.0, on the dataset's card; the problems are the Mathematical Association of America's",
    columns={
        "problem": "problem",
        "answer": "answer",
        "id": "id, and level (1 to 5 of an exam is 1, 6 to 10 is 2, 11 to 15 is 3)",
    },
    about="30 problems, both exams of 2025: those of `aime-2025` in another copy, so a study needs one of the two.",
    read=read,
    revision="563bb8404243c5f09de6ec262f2db674fe5bce9b",
    options={"exams": Some(EXAMS, EXAMS, "The exams to keep.")},
    counted=(
        Counted(
            "shin-ee-chen/self_correction_llms",
            "4ae57a99649f03dd51d34a6d8da7a18b0621f911",
            "data/aime25/test.jsonl",
            kept=30,
            helped=5,
            mended=3,
        ),
        Counted(
            "NVIDIA/NeMo-Skills",
            "0b012df8a09cd4730d31b16e90a0d8f13d145fb8",
            "nemo_skills/dataset/aime25/test.txt",
            kept=30,
            helped=6,
            note="typed by others",
        ),
    ),
)
