"""AIME, the exams of 1983 to 2024.

Confirmed: AIME_Dataset_1983_2024.csv, the licence and that the first exam of 2024 is not in it, on the hub's pages of
di-zhang-fdu/AIME_1983_2024; its columns ID, Year, Problem Number, Question, Answer and Part, in public code that reads it.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from selfdistill.problems.datasets.aime import exam_problem
from selfdistill.problems.datasets.dataset import Counted, Dataset, Dropped, Kept
from selfdistill.problems.datasets.options import Span
from selfdistill.problems.datasets.raw_files import csv_rows, find_files

FILES = "AIME_Dataset_1983_2024.csv"
COLUMNS = ("ID", "Year", "Problem Number", "Question", "Answer")


def read(folder: Path, options: Mapping[str, Any]) -> Iterator[Kept | Dropped]:
    first, last = options["years"]
    for path in find_files(folder, FILES):
        for row in csv_rows(path, COLUMNS):
            year, number = row["Year"].strip(), row["Problem Number"].strip()
            if not (year.isdecimal() and number.isdecimal()):
                yield Dropped(row["ID"], "no year or no number")
            elif not first <= int(year) <= last:
                yield Dropped(row["ID"], "year not asked for")
            else:
                yield exam_problem(row["ID"], row["Question"], row["Answer"], int(number))


DATASET = Dataset(
    name="aime-1983-2024",
    hub="di-zhang-fdu/AIME_1983_2024",
    files=(FILES,),
    licence="MIT, on the dataset's card, which adds that it is a benchmark and not for training",
    columns={
        "Question": "problem",
        "Answer": "answer (080 is 80)",
        "Problem Number": "level (1 to 5 is 1, 6 to 10 is 2, 11 to 15 is 3)",
        "ID": "id",
    },
    about="933 problems of the exams from 1983 to 2024, without the first exam of 2024.",
    read=read,
    options={"years": Span((1983, 2024), "The first and the last year to keep.")},
    counted=(
        Counted(
            "nouop/aidltest",
            "1d7fcf5570e8b8f61954fc8fa0b22db44ebc2abb",
            "data/AIME_Dataset_1983_2024.csv",
            kept=929,
            dropped={"answer is no whole number": 1, "needs a picture": 3},
            helped=60,
            note="the file as the hub serves it",
        ),
        Counted(
            "tonghuikang/grpo_aimo2",
            "c766ab5b78e0a0eb029569ad1cc6a7be9a8ec464",
            "AIME_Dataset_1983_2024.csv",
            kept=949,
            dropped={"needs a picture": 3, "year not asked for": 30},
            helped=60,
            whole=False,
            note="other columns, another choice of exams, and 2025 as well",
        ),
        Counted(
            "agentica-project/rllm",
            "874daa4acb7f451dc2a4b2b6e8ce28f5aa88d1f5",
            "rllm/data/train/math/aime.json",
            kept=968,
            dropped={"a link": 1, "needs a picture": 6},
            helped=93,
            whole=False,
            note="the exams typed by others, to 2023",
        ),
    ),
)
