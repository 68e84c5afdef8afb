"""HMMT, February 2025: the 30 problems of its three subject rounds.

Confirmed: the file data/train-00000-of-00001.parquet and the licence, on the hub's pages of MathArena/hmmt_feb_2025; 30
rows with problem and answer (LaTeX), in public code that pins the revision below; the order (ten of algebra and number
theory, ten of combinatorics, ten of geometry, as they were set), in public copies of its rows; problem_idx (a whole
number) and problem_type (a list of texts), on the cards of the same makers' other competitions.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from selfdistill.problems.datasets.dataset import Counted, Dataset, Dropped, Kept
from selfdistill.problems.datasets.options import Some
from selfdistill.problems.datasets.raw_files import Kind, Row, find_files, parquet_rows

FILES = "data/train-*.parquet"
COLUMNS: dict[str, Kind] = {"problem": "text", "problem_idx": "whole number", "answer": "text"}
ROUNDS = ("algebra and number theory", "combinatorics", "geometry")
PROBLEMS, BAND = 10, 5  # of a round; problems of a round rise in difficulty


def read(folder: Path, options: Mapping[str, Any]) -> Iterator[Kept | Dropped]:
    for path in find_files(folder, FILES):
        for row in parquet_rows(path, COLUMNS):
            yield _item(str(row["problem_idx"]), row, options["rounds"])


def _item(name: str, row: Row, rounds: list[str]) -> Kept | Dropped:
    number = row["problem_idx"]
    if number is None or number < 1:
        return Dropped(name, "no number")
    place = min((number - 1) // PROBLEMS, len(ROUNDS) - 1)
    if ROUNDS[place] not in rounds:
        return Dropped(name, "round not asked for")
    level = min(1 + (number - 1 - PROBLEMS * place) // BAND, PROBLEMS // BAND)
    return Kept(name, row["problem"] or "", row["answer"] or "", level)


DATASET = Dataset(
    name="hmmt-feb-2025",
    hub="MathArena/hmmt_feb_2025",
    files=(FILES,),
    licence="CC-BY-NC-SA-4.0, on the dataset's card",
    columns={
        "problem": "problem",
        "answer": "answer",
        "problem_idx": "id, and level (1 to 5 of a round is 1, 6 to 10 is 2)",
    },
    about="30 problems of the tournament at Harvard and MIT. Answers are expressions, not only whole numbers.",
    read=read,
    revision="6fdc4277120810ff75aa22d2d5489b91f7a262a1",
    options={"rounds": Some(ROUNDS, ROUNDS, "The subject rounds to keep.")},
    counted=(
        Counted(
            "YuYingLi0/FiRe-OPD",
            "2e23cd6d67575978cec5fa697b852838ef6ab2ee",
            "data/hmmt25_feb/test.jsonl",
            kept=30,
            helped=1,
        ),
    ),
)
