"""OlymMATH: olympiad problems out of printed books, in English and in Chinese, an easy and a hard hundred of each.

Confirmed: data/OlymMATH-EN-EASY.jsonl and its three companions of 100 rows each with problem, answer, subject and
unique_id, and the licence, in the authors' public repository; the same names on the hub, in public code that pins the
revision below.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from selfdistill.problems.datasets.dataset import Counted, Dataset, Dropped, Kept
from selfdistill.problems.datasets.options import Some
from selfdistill.problems.datasets.raw_files import find_files, json_rows

LANGUAGES = ("en", "zh")
LEVELS = {"easy": 1, "hard": 2}
DIFFICULTIES = tuple(LEVELS)
COLUMNS = ("problem", "answer", "unique_id")


def file_of(language: str, difficulty: str) -> str:
    return f"data/OlymMATH-{language.upper()}-{difficulty.upper()}.jsonl"


def read(folder: Path, options: Mapping[str, Any]) -> Iterator[Kept | Dropped]:
    for language in LANGUAGES:
        for difficulty, level in LEVELS.items():
            if language in options["languages"] and difficulty in options["difficulties"]:
                for path in find_files(folder, file_of(language, difficulty)):
                    for row in json_rows(path, COLUMNS):
                        yield Kept(str(row["unique_id"]), str(row["problem"] or ""), str(row["answer"]), level)


DATASET = Dataset(
    name="olymmath",
    hub="RUC-AIBOX/OlymMATH",
    files=tuple(file_of(language, difficulty) for language in LANGUAGES for difficulty in DIFFICULTIES),
    licence="MIT, in the authors' repository",
    columns={"problem": "problem", "answer": "answer", "file": "level (easy 1, hard 2)", "unique_id": "id"},
    about=(
        "200 problems, each in two languages. The two languages of one problem are different texts to us, so a study "
        "that asks for both counts it twice."
    ),
    read=read,
    revision="5f83d12e63ee3267f35044461a6cebad58ec3be1",
    options={
        "languages": Some(("en",), LANGUAGES, "The languages to keep."),
        "difficulties": Some(DIFFICULTIES, DIFFICULTIES, "The halves to keep."),
    },
    counted=(
        Counted(
            "RUCAIBox/OlymMATH",
            "94e19ffb8b7b7abe0f10f0015620c2e1eb57bf67",
            "data/OlymMATH-*.jsonl",
            kept=200,
            note="English, the default",
        ),
    ),
)
