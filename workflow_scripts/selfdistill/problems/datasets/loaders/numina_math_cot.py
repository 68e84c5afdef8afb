r"""NuminaMath-CoT: 860,000 problems from nine sources, with solutions that box their answer.

Confirmed: the files data/train-0000n-of-00005.parquet, the columns source, problem, solution and messages (a list of
content and role), the licence, the nine sources and their sizes, on the hub's pages of AI-MO/NuminaMath-CoT and in
copies of its card. From memory: how the solutions box answers, and that letters of choices stand as \text{(B)} or B.
The levels are ours: the dataset has none.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from selfdistill.problems.datasets.dataset import Counted, Dataset, Dropped, Kept
from selfdistill.problems.datasets.gold import CHOICE, boxed_answer
from selfdistill.problems.datasets.options import LETTERS, Flag, Some
from selfdistill.problems.datasets.raw_files import Kind, Row, find_files, parquet_rows

# As a level each source is a stratum of its own. The order is roughly that of difficulty.
LEVELS = {
    "gsm8k": 1,
    "orca_math": 2,
    "cn_k12": 3,
    "synthetic_math": 4,
    "math": 5,
    "synthetic_amc": 6,
    "amc_aime": 7,
    "aops_forum": 8,
    "olympiads": 9,
}
FILES = "data/train-*.parquet"
COLUMNS: dict[str, Kind] = {"source": "text", "problem": "text", "solution": "text"}

PROOF = re.compile(r"\b(?:prove|show|verify|demonstrate)\b(?:\s+that|\s*:|\s+the|\s+by|\s*\$|\s*\\\()", re.IGNORECASE)
QUESTION = re.compile(
    r"\b(?:find|determine|compute|calculate|evaluate|solve|simplify|how (?:many|much|long|far)|what (?:is|are))\b",
    re.IGNORECASE,
)
# (A) 3 (B) 4 and A. 3 B. 4, but not P(A) and P(B).
CHOICE_MARKS = [
    re.compile(rf"(?<![A-Za-z0-9])\({letter}\)|(?:^|[\s{{$]){letter}[.):、．](?=[\s~$\\\d(}}-])") for letter in "ABC"
]
PART_MARKS = [
    re.compile(rf"(?:^|[\s.;:?,$，。])(?:\((?:{names})\)|（{number}）)\s*\S")
    for number, names in ((1, "1|i|I|a"), (2, "2|ii|II|b"))
]


def read(folder: Path, options: Mapping[str, Any]) -> Iterator[Kept | Dropped]:
    for path in find_files(folder, FILES):
        for number, row in enumerate(parquet_rows(path, COLUMNS)):
            yield _item(f"{path.stem}/{number}", row, options)


def _item(name: str, row: Row, options: Mapping[str, Any]) -> Kept | Dropped:
    if row["source"] not in options["sources"]:
        return Dropped(name, "source not asked for")
    problem = row["problem"] or ""
    gold = boxed_answer(row["solution"] or "")
    if PROOF.search(problem) and (gold.reason or not QUESTION.search(problem)):
        return Dropped(name, "proof")
    if gold.reason:
        return Dropped(name, gold.reason)
    if not options["letters"] and _stand_in_order(CHOICE_MARKS, problem):
        return Dropped(name, CHOICE)
    if _stand_in_order(PART_MARKS, problem):
        return Dropped(name, "several questions")
    return Kept(name, problem, gold.answer, LEVELS[row["source"]], solution=row["solution"])


def _stand_in_order(marks: list[re.Pattern[str]], text: str) -> bool:
    """One search after the other: a single pattern with gaps would take for ever on some texts."""
    position = 0
    for mark in marks:
        match = mark.search(text, position)
        if match is None:
            return False
        position = match.end() - 1
    return True


DATASET = Dataset(
    name="numina-math-cot",
    hub="AI-MO/NuminaMath-CoT",
    files=(FILES,),
    licence="Apache-2.0, on the dataset's card (it first said CC-BY-NC-4.0, in 2024)",
    columns={
        "problem": "problem",
        "solution": "solution, and answer (the content of its box)",
        "source": "level (" + ", ".join(f"{source} {level}" for source, level in LEVELS.items()) + ")",
        "file and row": "id",
    },
    about=(
        "860,000 problems from school books, forums and olympiads. Dropped: proofs, choices, problems of several parts, "
        "solutions without a box or with boxes of different contents. The default sources leave out MATH, AMC and AIME "
        "(they stand in other datasets), what a model wrote (synthetic_*), and word problems of primary school."
    ),
    read=read,
    revision="9d8d210c9f6a36c8f3cd84045668c9b7800ef517",
    options={
        "sources": Some(("olympiads", "aops_forum", "cn_k12"), tuple(LEVELS), "The sources to keep."),
        "letters": Flag(False, LETTERS),
    },
    counted=(
        Counted(
            "sasilver75/cohere-reasoning-v4",
            "d73e6bc822f44cc51bd9705cc3f6cb8c15ab58a0",
            "datasets/**/cn_k12_math_problems_{sip,ss}_*.csv",
            kept=76,
            dropped={
                "multiple choice": 129,
                "proof": 3,
                "several answers": 34,
                "several questions": 4,
            },
            whole=False,
            note="246 rows of the source cn_k12 alone, in which choices are many",
        ),
    ),
)
