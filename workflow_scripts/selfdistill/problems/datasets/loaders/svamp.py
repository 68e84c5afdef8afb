"""SVAMP: one-unknown word problems, made by varying those of ASDiv-A and MAWPS so that shortcuts fail.

Confirmed: the authors' SVAMP.json with ID, Body, Question, Equation, Answer and Type, 1,000 rows and no split, and the
licence, in the authors' repository; the hub's files data/{train,test}-*.parquet and {train,test}.json with 700 and 300 rows,
the columns and that the answers are texts in the first and numbers in the second, in public notes and code that pin the
revision below. The hub's split follows no rule that is told; which problems it put to the test was read off public copies of
its rows, so that the authors' file is split as the hub's is. The levels are ours: the dataset has none.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from selfdistill.problems.datasets.dataset import Counted, Dataset, Dropped, Kept
from selfdistill.problems.datasets.options import Some
from selfdistill.problems.datasets.raw_files import Kind, Row, first_files, json_array, parquet_rows, text_of
from selfdistill.problems.datasets.word_problems import SPLITS, equation_problem, joined

FILES = ("data/{}-*.parquet", "{}.json", "SVAMP.json")
WHOLE = "SVAMP.json"
COLUMNS: dict[str, Kind] = {
    "Question": "text",
    "Body": "text",
    "Equation": "text",
    "Answer": "number or text",
    "ID": "text",
}
# Bit n says that chal-n is in the hub's test split.
IN_TEST = int(
    "18a8988d930b8180a5840043810890c1a1d01842409be001200a91a6443298c581bca24884a5a21c0590"
    "50b889a04014a4838c1822089c8834d60048543042400a104c29002448640020a4008f0905918022a083"
    "01908042200642dc0046ad09ca736805028008105d52008c113104a2313c50607d43402a00294501192",
    16,
)


def read(folder: Path, options: Mapping[str, Any]) -> Iterator[Kept | Dropped]:
    for split in SPLITS:
        if split in options["splits"]:
            for path in first_files(folder, [pattern.format(split) for pattern in FILES]):
                rows = parquet_rows(path, COLUMNS) if path.suffix == ".parquet" else json_array(path, COLUMNS)
                yield from (_item(row) for row in rows if path.name != WHOLE or split_of(row) == split)


def split_of(row: Row) -> str:
    number = str(row["ID"]).removeprefix("chal-")
    return "test" if number.isdecimal() and IN_TEST >> int(number) & 1 else "train"


def _item(row: Row) -> Kept | Dropped:
    problem = joined(text_of(row, "Body"), text_of(row, "Question"))
    answer = row["Answer"]
    if isinstance(answer, bool) or not isinstance(answer, str | int | float):
        return Dropped(str(row["ID"]), "no answer")
    return equation_problem(str(row["ID"]), problem, answer, text_of(row, "Equation") or "")


DATASET = Dataset(
    name="svamp",
    hub="ChilleD/SVAMP",
    files=("data/*.parquet",),
    licence="MIT, in the authors' repository and on the hub's page; made from ASDiv (CC-BY-NC-4.0) and MAWPS",
    columns={
        "Body, Question": "problem (one after the other)",
        "Answer": "answer (27.0 is 27)",
        "Equation": "solution (worked out, a line an operation), and level (the number of operations: 1, or 2)",
        "ID": "id",
    },
    about=(
        "1,000 problems of one or two operations, often several about one story. The test split of 300 is left out unless asked "
        "for. The authors' own `SVAMP.json`, which has no split, is read as well and split as the hub's copy is. The same stories "
        "stand on both sides of that split ([above](#what-the-sets-of-word-problems-share))."
    ),
    read=read,
    elsewhere=(("train.json", "test.json"), ("SVAMP.json",)),
    text_only=True,
    revision="5e0bf1e5e7c0e9c4bc39180d224f41f3f801b7ef",
    options={"splits": Some(("train",), SPLITS, "The splits to keep.")},
    counted=(
        Counted(
            "arkilpatel/SVAMP",
            "689d7ccac74b9983a2ac7cc3b264f441b99e7c53",
            "SVAMP.json",
            kept=699,
            dropped={"equation and answer disagree": 1},
            note="the authors' own file, of which 700 are the training split",
        ),
        Counted(
            "arkilpatel/SVAMP",
            "689d7ccac74b9983a2ac7cc3b264f441b99e7c53",
            "SVAMP.json",
            kept=300,
            options={"splits": ["test"]},
            note="the authors' own file, of which 300 are the test split",
        ),
    ),
)
