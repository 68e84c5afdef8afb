"""AIME, both exams of 2024, in the copy that most evaluations use.

Confirmed: data/train-00000-of-00001.parquet with id, problem, solution, answer (text, 033 with its nought), url and
year, 30 rows, on the dataset's card and in public code that pins the revision below; the addresses, which name the exam
and the problem's number, in public copies of its rows.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from selfdistill.problems.datasets.aime import exam_problem
from selfdistill.problems.datasets.dataset import Counted, Dataset, Dropped, Kept
from selfdistill.problems.datasets.options import Some
from selfdistill.problems.datasets.raw_files import Kind, Row, find_files, parquet_rows

FILES = "data/train-*.parquet"
COLUMNS: dict[str, Kind] = {"problem": "text", "answer": "text", "url": "text"}
EXAMS = ("I", "II")
ADDRESS = re.compile(r".*AIME_(I{1,2})_Problems/Problem_(\d+)")


def read(folder: Path, options: Mapping[str, Any]) -> Iterator[Kept | Dropped]:
    for path in find_files(folder, FILES):
        for number, row in enumerate(parquet_rows(path, COLUMNS, {"solution": "text"})):
            yield _item(f"{path.stem}/{number}", row, options["exams"])


def _item(name: str, row: Row, exams: list[str]) -> Kept | Dropped:
    match = ADDRESS.fullmatch(row["url"] or "")
    if match is None:
        return Dropped(name, "no exam or no number")
    if match[1] not in exams:
        return Dropped(name, "exam not asked for")
    item = exam_problem(f"{match[1]}-{match[2]}", row["problem"] or "", row["answer"] or "", int(match[2]))
    return item._replace(solution=row.get("solution")) if isinstance(item, Kept) else item


DATASET = Dataset(
    name="aime-24",
    hub="HuggingFaceH4/aime_2024",
    files=(FILES,),
    licence="none on the dataset's card; the problems are the Mathematical Association of America's",
    columns={
        "problem": "problem",
        "answer": "answer (033 is 33)",
        "solution": "solution",
        "url": "id (exam and number) and level (1 to 5 is 1, 6 to 10 is 2, 11 to 15 is 3)",
    },
    about=(
        "30 problems, both exams of 2024. `aime-1983-2024` has fifteen of them: where a study uses both, each problem is "
        "kept once, in the source that is named first."
    ),
    read=read,
    revision="2fe88a2f1091d5048c0f36abc874fb997b3dd99a",
    options={"exams": Some(EXAMS, EXAMS, "The exams to keep.")},
    counted=(
        Counted(
            "QwenLM/Qwen2.5-Math",
            "a45202bd16f1ec06f433442dc1152d0074773465",
            "evaluation/data/aime24/test.jsonl",
            kept=30,
            helped=4,
        ),
    ),
)
