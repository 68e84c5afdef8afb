"""Omni-MATH-2: olympiad problems, revised by hand; those without one exact answer carry tags.

Confirmed: the file Omni-Math-2.jsonl with 4,428 rows, of which 247 carry tags (proof, image, estimation, should delete,
duplicate), in the authors' public README and in public code that reads the file; the columns id, domain, difficulty,
problem, solution, answer, source and tags, in the same code; the licence, on the hub's page.
"""

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from selfdistill.problems.datasets.dataset import Counted, Dataset, Dropped, Kept
from selfdistill.problems.datasets.options import Some
from selfdistill.problems.datasets.raw_files import Row, find_files, json_rows, text_of

FILES = "Omni-Math-2*.jsonl"
COLUMNS = ("id", "problem", "answer", "difficulty", "tags")
LEVELS = tuple(range(1, 11))


def read(folder: Path, options: Mapping[str, Any]) -> Iterator[Kept | Dropped]:
    for path in find_files(folder, FILES):
        for row in json_rows(path, COLUMNS):
            yield _item(str(row["id"]), row, options["levels"])


def _item(name: str, row: Row, levels: list[int]) -> Kept | Dropped:
    if row["tags"] not in ([], None, "", "[]"):
        return Dropped(name, "tagged as not of one exact answer")
    level = _level(row["difficulty"])
    if level is None:
        return Dropped(name, "no level")
    if level not in levels:
        return Dropped(name, "level not asked for")
    if not isinstance(row["problem"], str) or not isinstance(row["answer"], str | int | float):
        return Dropped(name, "no problem or no answer")
    return Kept(name, row["problem"], str(row["answer"]), level, solution=text_of(row, "solution"))


def _level(difficulty: Any) -> int | None:
    if isinstance(difficulty, bool) or not isinstance(difficulty, int | float) or difficulty != difficulty:
        return None
    return math.floor(min(max(difficulty, LEVELS[0]), LEVELS[-1]) + 0.5)  # round() takes a half to the even number


DATASET = Dataset(
    name="omni-math-2",
    hub="martheballon/Omni-MATH-2",
    files=(FILES,),
    licence="Apache-2.0, on the hub's page of the dataset",
    columns={
        "problem": "problem",
        "answer": "answer",
        "solution": "solution",
        "difficulty": "level (rounded to 1 to 10, a half upwards)",
        "id": "id",
    },
    about=(
        "4,428 olympiad problems. Dropped: the 247 that the authors tagged as proofs, estimations, images, duplicates or "
        "not solvable, which leaves their Omni-MATH-2-Filtered."
    ),
    read=read,
    revision="1c10fd492252173c73468badf6dc1804225eb5bb",
    options={"levels": Some(LEVELS, LEVELS, "The levels to keep.")},
    counted=(
        Counted(
            "KbsdJames/omni-math-rule",
            "4793415ef37d31c9cdb4e5b82dbe172f76f8cf08",
            "omni_math_rule.jsonl",
            kept=2756,
            dropped={
                "a chain of equations": 1,
                "a cut-off answer": 4,
                "copy of another row": 5,
                "dots for an answer": 1,
                "needs a picture": 31,
                "prose around formulas": 1,
                "several answers": 1,
                "speaks of another answer": 11,
                "unreadable answer": 10,
            },
            helped=22,
            mended=29,
            whole=False,
            note="the part of the first Omni-MATH that its authors hold gradable by rules; it has no tags",
        ),
    ),
)
