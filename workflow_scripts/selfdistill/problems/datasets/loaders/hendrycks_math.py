r"""MATH: competition problems of seven subjects and five levels, the answer boxed at the end of a solution.

Confirmed: the files `<subject>/<split>-00000-of-00001.parquet`, 7,500 rows in train and 5,000 in test, and that problem,
level, type and solution are their only columns and all strings, in public code that checks this at the revision below;
the licence, on the hub's page of EleutherAI/hendrycks_math. From memory: that a few levels are "Level ?".
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from selfdistill.problems.datasets.dataset import Counted, Dataset, Dropped, Kept
from selfdistill.problems.datasets.gold import boxed_answer
from selfdistill.problems.datasets.options import LETTERS, Flag, Some
from selfdistill.problems.datasets.raw_files import Kind, Row, find_files, parquet_rows

SUBJECTS = (
    "algebra",
    "counting_and_probability",
    "geometry",
    "intermediate_algebra",
    "number_theory",
    "prealgebra",
    "precalculus",
)
LEVEL = re.compile(r"Level ([1-5])")
COLUMNS: dict[str, Kind] = {"problem": "text", "level": "text", "solution": "text"}


def read(folder: Path, options: Mapping[str, Any]) -> Iterator[Kept | Dropped]:
    for subject in SUBJECTS:
        for split in ("train", "test"):
            if subject in options["subjects"] and split in options["splits"]:
                rows = (
                    row
                    for path in find_files(folder, f"{subject}/{split}-*.parquet")
                    for row in parquet_rows(path, COLUMNS)
                )
                for number, row in enumerate(rows):
                    yield _item(f"{subject}/{split}/{number}", row, options["levels"])


def _item(name: str, row: Row, levels: list[int]) -> Kept | Dropped:
    match = LEVEL.fullmatch((row["level"] or "").strip())
    if match is None:
        return Dropped(name, "no level")
    level = int(match[1])
    if level not in levels:
        return Dropped(name, "level not asked for")
    gold = boxed_answer(row["solution"] or "")
    if gold.reason:
        return Dropped(name, gold.reason)
    return Kept(name, row["problem"] or "", gold.answer, level, solution=row["solution"])


DATASET = Dataset(
    name="hendrycks-math",
    hub="EleutherAI/hendrycks_math",
    files=tuple(f"{subject}/*.parquet" for subject in SUBJECTS),
    licence="MIT, on the hub's page of the dataset",
    columns={
        "problem": "problem",
        "solution": "solution, and answer (the content of its box)",
        "level": "level ('Level 5' is 5)",
        "subject folder, split and row": "id",
    },
    about=(
        "MATH, 12,500 problems of American competitions. Dropped: rows without a level, without a box or with boxes of "
        "different contents. The test split is left out unless asked for, so that MATH-500, which is drawn from it, "
        "stays a fair test."
    ),
    read=read,
    revision="21a5633873b6a120296cce3e2df9d5550074f4a3",
    options={
        "levels": Some((1, 2, 3, 4, 5), (1, 2, 3, 4, 5), "The levels to keep."),
        "subjects": Some(SUBJECTS, SUBJECTS, "The subjects to keep."),
        "splits": Some(("train",), ("train", "test"), "The splits to keep."),
        "letters": Flag(False, LETTERS),
    },
    counted=(
        Counted(
            "agentica-project/rllm",
            "874daa4acb7f451dc2a4b2b6e8ce28f5aa88d1f5",
            "rllm/data/train/math/math.json",
            kept=7374,
            dropped={
                "a unit that changes the number": 2,
                "an approximate answer": 2,
                "copy of another row": 1,
                "multiple choice": 41,
                "needs a picture": 3,
                "no level": 2,
                "unreadable answer": 3,
                "words for an answer": 42,
            },
            helped=705,
            mended=1,
            note="the training split, less 26 rows that were taken out and 4 without an answer; answers without solutions",
        ),
        Counted(
            "microsoft/ToRA",
            "213c1c995038c73fab10343814df7a42f990f026",
            "src/data/math/test.jsonl",
            kept=4900,
            dropped={
                "a unit that changes the number": 1,
                "multiple choice": 30,
                "needs a picture": 2,
                "several answers": 22,
                "unreadable answer": 2,
                "words for an answer": 43,
            },
            helped=423,
            options={"splits": ["test"]},
            note="the test split",
        ),
        Counted(
            "hkust-nlp/simpleRL-reason",
            "cf1c7858bfc145a27aa733e75d930d34f0d318a6",
            "examples/simplelr_math_eval/data/math500/test.jsonl",
            kept=491,
            dropped={"multiple choice": 3, "several answers": 1, "words for an answer": 5},
            helped=43,
            options={"splits": ["test"]},
            whole=False,
            note="MATH-500, which is drawn from the test split",
        ),
    ),
)
