"""AIME, both exams of 2025.

Confirmed: aime2025-I.jsonl and aime2025-II.jsonl of 15 rows each with question and answer, and the licence, on the hub's
pages of opencompass/AIME2025 and in public code. From memory: that an answer stands with its sign of degrees.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from selfdistill.problems.datasets.aime import exam_problem
from selfdistill.problems.datasets.dataset import Counted, Dataset, Dropped, Kept
from selfdistill.problems.datasets.raw_files import find_files, json_rows

EXAMS = ("aime2025-I.jsonl", "aime2025-II.jsonl")


def read(folder: Path, _options: Mapping[str, Any]) -> Iterator[Kept | Dropped]:
    for exam in EXAMS:
        for path in find_files(folder, exam):
            for number, row in enumerate(json_rows(path, ("question", "answer")), start=1):
                yield exam_problem(f"{path.stem}-{number}", str(row["question"]), str(row["answer"]), number)


DATASET = Dataset(
    name="aime-2025",
    hub="opencompass/AIME2025",
    files=EXAMS,
    licence="MIT, on the dataset's card",
    columns={
        "question": "problem",
        "answer": "answer (a sign of degrees is left out)",
        "row": "level (1 to 5 is 1, 6 to 10 is 2, 11 to 15 is 3)",
        "file and row": "id",
    },
    about="30 problems, both exams of 2025.",
    read=read,
    revision="a6ad95f611d72cf628a80b58bd0432ef6638f958",
    counted=(
        Counted(
            "beanie00/self-distillation-analysis",
            "5c51051aaa07513764ab66c631277816bc6520e5",
            "data/math/evaluation/aime25.parquet",
            kept=30,
            helped=5,
            note="five drawings stand in it as TikZ or [asy] code",
        ),
        Counted(
            "NVIDIA/NeMo-Skills",
            "0b012df8a09cd4730d31b16e90a0d8f13d145fb8",
            "nemo_skills/dataset/aime25/test.txt",
            kept=30,
            helped=6,
            note="two drawings did not come along",
        ),
    ),
)
