r"""AIME: the exams of 1983 to 2024 in one repository and of 2025 in another; every answer is a whole number.

Confirmed: AIME_Dataset_1983_2024.csv, the licence and that the first exam of 2024 is not in it, on the hub's pages of
di-zhang-fdu/AIME_1983_2024; its columns ID, Year, Problem Number, Question, Answer and Part, in public code that reads
it. aime2025-I.jsonl and aime2025-II.jsonl of 15 rows each with question and answer, and the licence, on the hub's pages
of opencompass/AIME2025 and in public code. From memory: that an answer of 2025 stands with its sign of degrees.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from selfdistill.problems.datasets.dataset import Dataset, Dropped, Kept
from selfdistill.problems.datasets.gold import unwrapped
from selfdistill.problems.datasets.options import Span
from selfdistill.problems.datasets.raw_files import csv_rows, find_files, json_rows

ARCHIVE_FILES = "AIME_Dataset_1983_2024.csv"
ARCHIVE_COLUMNS = ("ID", "Year", "Problem Number", "Question", "Answer")
EXAMS = ("aime2025-I.jsonl", "aime2025-II.jsonl")
WHOLE_NUMBER = re.compile(r"(-?\d+)(?:\.0)?(?:\s*\^\s*(?:\\circ|\{\s*\\circ\s*\})|°)?")
BAND = 5  # problems of an exam rise in difficulty: 1 to 5 are level 1, 6 to 10 level 2, 11 to 15 level 3


def read_archive(folder: Path, options: Mapping[str, Any]) -> Iterator[Kept | Dropped]:
    first, last = options["years"]
    for path in find_files(folder, ARCHIVE_FILES):
        for row in csv_rows(path, ARCHIVE_COLUMNS):
            year, number = row["Year"].strip(), row["Problem Number"].strip()
            if not (year.isdecimal() and number.isdecimal()):
                yield Dropped(row["ID"], "no year or no number")
            elif not first <= int(year) <= last:
                yield Dropped(row["ID"], "year not asked for")
            else:
                yield _item(row["ID"], row["Question"], row["Answer"], int(number))


def read_2025(folder: Path, _options: Mapping[str, Any]) -> Iterator[Kept | Dropped]:
    for exam in EXAMS:
        for path in find_files(folder, exam):
            for number, row in enumerate(json_rows(path, ("question", "answer")), start=1):
                yield _item(f"{path.stem}-{number}", str(row["question"]), str(row["answer"]), number)


def _item(name: str, problem: str, answer: str, number: int) -> Kept | Dropped:
    match = WHOLE_NUMBER.fullmatch(unwrapped(answer))
    if match is None:
        return Dropped(name, "answer is no whole number")
    return Kept(name, problem, str(int(match[1])), level=min(1 + (number - 1) // BAND, 3))


ARCHIVE = Dataset(
    name="aime-1983-2024",
    hub="di-zhang-fdu/AIME_1983_2024",
    files=(ARCHIVE_FILES,),
    licence="MIT, on the dataset's card, which adds that it is a benchmark and not for training",
    columns={
        "Question": "problem",
        "Answer": "answer (080 is 80)",
        "Problem Number": "level (1 to 5 is 1, 6 to 10 is 2, 11 to 15 is 3)",
        "ID": "id",
    },
    about="933 problems of the exams from 1983 to 2024, without the first exam of 2024.",
    read=read_archive,
    options={"years": Span((1983, 2024), "The first and the last year to keep.")},
)

YEAR_2025 = Dataset(
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
    read=read_2025,
    revision="a6ad95f611d72cf628a80b58bd0432ef6638f958",
)
