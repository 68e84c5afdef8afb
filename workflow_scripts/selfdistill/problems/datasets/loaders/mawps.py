"""MAWPS: word problems gathered from older collections, in the copies that are used.

Confirmed: the hub's files data/{train,validation,test}-*.parquet of MU-NLPC/Calc-mawps with id, question, result (a text,
often a fraction), result_float, equation, expression and chain, 1,089, 1,040 and 520 rows, and the licence, on the dataset's
card and in public code that pins the revision below; the files {trainset,validset,testset}.json with id, original_text,
equation and ans, in the repository of MWPToolkit; the tables with Question, Numbers, Equation and Answer whose numbers are
taken out of the texts (number0 and prefix equations, N_00 and infix ones), in the repository of SVAMP and in public code that
reads mwpt5/MAWPS. From memory: the thousands of Calc-mawps with an underscore (1_000). The levels are ours.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from selfdistill.problems.datasets.dataset import Counted, Dataset, Dropped, Kept
from selfdistill.problems.datasets.options import Some
from selfdistill.problems.datasets.raw_files import Kind, Row, csv_rows, first_files, json_array, parquet_rows, text_of
from selfdistill.problems.datasets.word_problems import equation_problem, filled_in, untokenised

SPLITS = ("train", "validation", "test")
# By split: the hub's files, then MWPToolkit's, then tables without their numbers.
FILES = {
    "train": ("data/train-*.parquet", "trainset.json", "train.csv", "MAWPS.csv"),
    "validation": ("data/validation-*.parquet", "validset.json", "dev.csv"),
    "test": ("data/test-*.parquet", "testset.json"),
}
HUB: dict[str, Kind] = {"question": "text", "result": "text", "id": "text"}
HUB_TOO: dict[str, Kind] = {"equation": "text"}
TOOLKIT = ("id", "original_text", "equation", "ans")
TABLE = ("Question", "Numbers", "Equation", "Answer")
UNDERSCORE = re.compile(r"(?<=\d)_(?=\d)")
MOST = 3  # operations that are told apart


def read(folder: Path, options: Mapping[str, Any]) -> Iterator[Kept | Dropped]:
    for split in SPLITS:
        if split in options["splits"]:
            for path in first_files(folder, FILES[split]):
                yield from _items(path, split)


def _items(path: Path, split: str) -> Iterator[Kept | Dropped]:
    if path.suffix == ".parquet":
        return (_of_hub(row) for row in parquet_rows(path, HUB, HUB_TOO))
    if path.suffix == ".json":
        return (_of_toolkit(row) for row in json_array(path, TOOLKIT))
    return (_of_table(f"{split}/{number}", row) for number, row in enumerate(csv_rows(path, TABLE)))


def _of_hub(row: Row) -> Kept | Dropped:
    result, equation = (UNDERSCORE.sub("", text_of(row, name) or "") for name in ("result", "equation"))
    return _item(str(row["id"]), text_of(row, "question"), result, equation)


def _of_toolkit(row: Row) -> Kept | Dropped:
    answer = row["ans"] if isinstance(row["ans"], str | int | float) else ""
    return _item(str(row["id"]), text_of(row, "original_text"), answer, text_of(row, "equation") or "")


def _of_table(name: str, row: Row) -> Kept | Dropped:
    numbers = row["Numbers"].split()
    problem, equation = (filled_in(row[column], numbers) for column in ("Question", "Equation"))
    if problem is None or equation is None:
        return Dropped(name, "a number is missing")
    return _item(name, problem, row["Answer"], equation)


def _item(name: str, problem: str | None, answer: str | int | float, equation: str) -> Kept | Dropped:
    return equation_problem(name, untokenised(problem or ""), answer, equation, MOST)


DATASET = Dataset(
    name="mawps",
    hub="MU-NLPC/Calc-mawps",
    files=("data/*.parquet",),
    licence="MIT, on the dataset's card; the first collection states none",
    columns={
        "question": "problem (without the spaces before its stops)",
        "result": "answer",
        "equation": "solution (worked out, a line an operation), and level (the number of operations: 1, 2, or 3 and more)",
        "id": "id",
    },
    about=(
        "2,649 problems of primary school in the hub's copy, from whose training split its makers took what resembles the rest "
        "and ASDiv. `trainset.json`, `validset.json` and `testset.json` of MWPToolkit are read as well, and tables whose numbers "
        "stand apart (`train.csv` and `dev.csv` of SVAMP's authors, `MAWPS.csv` of mwpt5/MAWPS): the numbers are put back. Only "
        "the training split is kept unless others are asked for."
    ),
    read=read,
    elsewhere=(("trainset.json", "validset.json", "testset.json"), ("train.csv", "dev.csv"), ("MAWPS.csv",)),
    text_only=True,
    revision="38c10053efeafd20ab6ff4e08c3ec17de26c19b7",
    options={"splits": Some(("train",), SPLITS, "The splits to keep.")},
    counted=(
        Counted(
            "LYH-YF/MWPToolkit",
            "0993beb336c286a0f974d58834e932cf65e32249",
            "dataset/mawps/trainset.json",
            kept=1660,
            dropped={
                "a decimal without an end": 45,
                "copy of another row": 137,
                "equation and answer disagree": 54,
                "problem with two answers": 2,
            },
            whole=False,
            note="another copy than the hub's; 1,647 have a solution",
        ),
        Counted(
            "arkilpatel/SVAMP",
            "689d7ccac74b9983a2ac7cc3b264f441b99e7c53",
            "data/cv_mawps/fold0/{train,dev}.csv",
            kept=1693,
            dropped={
                "a decimal without an end": 32,
                "copy of another row": 175,
                "equation and answer disagree": 17,
                "problem with two answers": 4,
            },
            options={"splits": ["train", "validation"]},
            whole=False,
            note="another copy, whose numbers stand apart; 1,692 have a solution",
        ),
    ),
)
