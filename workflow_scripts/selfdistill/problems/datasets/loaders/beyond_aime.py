"""BeyondAIME: a hundred problems in the manner of AIME, harder, each with a whole number for an answer.

Confirmed: the file data/test.parquet and the columns problem and answer (a whole number), in public code that loads
ByteDance-Seed/BeyondAIME; a hundred rows, in NeMo-Skills and others; that the first forty rows speak of no picture, in
BeyondAIME.jsonl of JavierZhao/IDM (45e77a6), which could be read but not converted. At second hand: the licence.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from selfdistill.problems.datasets.dataset import Dataset, Dropped, Kept
from selfdistill.problems.datasets.raw_files import Kind, find_files, parquet_rows

FILES = "data/test*.parquet"
COLUMNS: dict[str, Kind] = {"problem": "text", "answer": "whole number"}


def read(folder: Path, _options: Mapping[str, Any]) -> Iterator[Kept | Dropped]:
    for path in find_files(folder, FILES):
        for number, row in enumerate(parquet_rows(path, COLUMNS)):
            name = f"{path.stem}/{number}"
            if row["answer"] is None:
                yield Dropped(name, "no answer")
            else:
                yield Kept(name, row["problem"] or "", str(row["answer"]), level=1)


DATASET = Dataset(
    name="beyond-aime",
    hub="ByteDance-Seed/BeyondAIME",
    files=(FILES,),
    licence="CC0-1.0, according to public surveys that cite the card; read the card itself before passing anything on",
    columns={"problem": "problem", "answer": "answer", "file and row": "id"},
    about="100 problems with whole numbers for answers. All have level 1, since the dataset knows no difficulty.",
    read=read,
)
