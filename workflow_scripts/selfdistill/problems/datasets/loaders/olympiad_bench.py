"""OlympiadBench: its open-ended, text-only, English competition problems of mathematics.

Confirmed: the file OlympiadBench/OE_TO_maths_en_COMP/OE_TO_maths_en_COMP.parquet with 674 rows, its columns and the
answer types Numerical (572), Expression (63), Tuple (33) and Interval (6), in public code and notes that read
Hothan/OlympiadBench; the columns' types, on cards of copies of it; the licence, on the hub's page. From memory: that
`error` holds a tolerance.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from selfdistill.problems.datasets.dataset import Counted, Dataset, Dropped, Kept
from selfdistill.problems.datasets.gold import SEVERAL
from selfdistill.problems.datasets.options import Some
from selfdistill.problems.datasets.raw_files import Kind, Row, find_files, parquet_rows

FILES = "OlympiadBench/OE_TO_maths_en_COMP/*.parquet"
KINDS = ("Numerical", "Expression", "Tuple", "Interval")
COLUMNS: dict[str, Kind] = {
    "id": "whole number",
    "question": "text",
    "final_answer": "texts",
    "context": "text",
    "is_multiple_answer": "flag",
    "answer_type": "text",
    "error": "text",
}


def read(folder: Path, options: Mapping[str, Any]) -> Iterator[Kept | Dropped]:
    for path in find_files(folder, FILES):
        for row in parquet_rows(path, COLUMNS, {"solution": "texts"}):
            yield _item(str(row["id"]), row, options["kinds"])


def _item(name: str, row: Row, kinds: list[str]) -> Kept | Dropped:
    answers = row["final_answer"] or []
    if row["is_multiple_answer"] or len(answers) > 1:
        return Dropped(name, SEVERAL)
    if not answers or answers[0] is None:
        return Dropped(name, "no answer")
    if row["answer_type"] not in kinds:
        return Dropped(name, "kind of answer not asked for")
    if (row["error"] or "").strip():
        return Dropped(name, "an answer with a tolerance")
    if (row["context"] or "").strip():
        return Dropped(name, "needs a context that stands elsewhere")
    solutions = row.get("solution") or [None]
    return Kept(name, row["question"] or "", str(answers[0]), level=1, solution=solutions[0])


DATASET = Dataset(
    name="olympiad-bench",
    hub="Hothan/OlympiadBench",
    files=(FILES,),
    licence="Apache-2.0, on the hub's page of the dataset",
    columns={
        "question": "problem",
        "final_answer": "answer (its only entry)",
        "solution": "solution (the first)",
        "id": "id",
    },
    about=(
        "674 problems. Dropped: several answers, answers with a tolerance, and problems that build on a context. "
        "Units are no part of the answers. All have level 1: the dataset calls every one of them 'Competition'."
    ),
    read=read,
    revision="91184b52131e7fc9455fef848035173aea8cc01a",
    options={"kinds": Some(KINDS, KINDS, "The kinds of answers to keep (`answer_type`).")},
    counted=(
        Counted(
            "QwenLM/Qwen2.5-Math",
            "a45202bd16f1ec06f433442dc1152d0074773465",
            "evaluation/data/olympiadbench/test.json",
            kept=559,
            dropped={
                "an answer with a tolerance": 1,
                "prose around formulas": 1,
                "several answers": 94,
                "speaks of another answer": 19,
                "unreadable answer": 1,
            },
            helped=8,
            note="the same problems as JSON, and one more",
        ),
    ),
)
