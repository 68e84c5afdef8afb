"""GSM8K: word problems of grade school, each with a solution that a person wrote.

Confirmed: the files main/{train,test}-00000-of-00001.parquet with the columns question and answer and 7,473 and 1,319
rows, in public code that pins the revision below; the authors' own files {train,test}.jsonl, their rows, the marks of a
calculator such as <<48/2=24>> and the line #### that holds the answer, in the authors' repository; the licence, there too.
The levels are ours: the dataset has none.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from selfdistill.problems.datasets.dataset import Counted, Dataset, Dropped, Kept
from selfdistill.problems.datasets.options import Some
from selfdistill.problems.datasets.raw_files import Kind, Row, first_files, json_rows, parquet_rows, text_of
from selfdistill.problems.datasets.word_problems import SPLITS

FILES = ("main/{}-*.parquet", "{}.jsonl", "grade_school_math/data/{}.jsonl")
COLUMNS: dict[str, Kind] = {"question": "text", "answer": "text"}
MARK = re.compile(r"<<[^<>]*>>")
ANSWER = re.compile(r"\n?####\s*\$?\s*(-?[\d,]*\.?\d+)\s*%?\s*\Z")
# Lines of a solution, which is about one step each: 2 or fewer are level 1, 3 or 4 level 2, 5 and more level 3.
LEVELS = ((2, 1), (4, 2))


def read(folder: Path, options: Mapping[str, Any]) -> Iterator[Kept | Dropped]:
    for split in SPLITS:
        if split in options["splits"]:
            for path in first_files(folder, [pattern.format(split) for pattern in FILES]):
                rows = parquet_rows(path, COLUMNS) if path.suffix == ".parquet" else json_rows(path, COLUMNS)
                for number, row in enumerate(rows):
                    yield _item(f"{split}/{number}", row)


def _item(name: str, row: Row) -> Kept | Dropped:
    problem, text = text_of(row, "question"), text_of(row, "answer")
    if not problem or not text:
        return Dropped(name, "no problem or no answer")
    match = ANSWER.search(text)
    if match is None:
        return Dropped(name, "no number after ####")
    solution = MARK.sub("", text[: match.start()]).strip()
    steps = solution.count("\n") + 1
    level = next((level for most, level in LEVELS if steps <= most), 3)
    return Kept(name, problem, match[1].replace(",", ""), level, solution=solution)


DATASET = Dataset(
    name="gsm8k",
    hub="openai/gsm8k",
    files=("main/*.parquet",),
    licence="MIT, in the authors' repository",
    columns={
        "question": "problem",
        "answer": "answer (the number after ####), and solution (what stands before it, without <<48/2=24>>)",
        "lines of the solution": "level (1 or 2 is 1, 3 or 4 is 2, 5 and more is 3)",
        "split and row": "id",
    },
    about=(
        "8,792 word problems of grade school. The test split is left out unless asked for: one study trains on a source with "
        "the default and evaluates on another with `splits: [test]`. The authors' own files are read as well: `train.jsonl` "
        "and `test.jsonl` in the folder, or their repository as it is."
    ),
    read=read,
    elsewhere=(
        ("train.jsonl", "test.jsonl"),
        ("grade_school_math/data/train.jsonl", "grade_school_math/data/test.jsonl"),
    ),
    text_only=True,
    revision="740312add88f781978c0658806c59bc2815b9866",
    options={"splits": Some(("train",), SPLITS, "The splits to keep.")},
    counted=(
        Counted(
            "openai/grade-school-math",
            "3101c7d5072418e28b9008a6636bde82a006892c",
            "grade_school_math/data/train.jsonl",
            kept=7473,
            note="the authors' own file of the training split",
        ),
        Counted(
            "openai/grade-school-math",
            "3101c7d5072418e28b9008a6636bde82a006892c",
            "grade_school_math/data/test.jsonl",
            kept=1319,
            options={"splits": ["test"]},
            note="the authors' own file of the test split",
        ),
    ),
)
