"""How much the sets of word problems share, by the study's own filter of contamination: what a study drops, and what it keeps.

    python benchmarks/word_problem_overlap.py data

`data` holds the authors' files: gsm8k/{train,test}.jsonl, svamp/SVAMP.json, asdiv/ASDiv.xml and mawps/trainset.json. The
filter is asked three times: about the texts as they are, with numerals for the words of numbers, and with every number alike,
when it finds the same story with other numbers. Prints a table.
"""

import re
import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow_scripts"))

from selfdistill.problems.contamination import find_contamination
from selfdistill.problems.datasets.convert import convert
from selfdistill.problems.normalise import problem_id
from selfdistill.problems.sources import RawProblem
from selfdistill.study.problems import Contamination

TRAIN = {"GSM8K train": ("gsm8k", "train"), "SVAMP train": ("svamp", "train"), "MAWPS train": ("mawps", "train")}
EVALUATION = {"GSM8K test": ("gsm8k", "test"), "SVAMP test": ("svamp", "test"), "ASDiv": ("asdiv", "")}
SMALL = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
]
TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
VALUES = {word: number for number, word in enumerate(SMALL)} | {word: 10 * n for n, word in enumerate(TENS, start=2)}
IN_WORDS = re.compile(
    rf"\b(?:(?:{'|'.join(TENS)})(?:[- ](?:{'|'.join(SMALL[1:10])}))?|{'|'.join(SMALL)})\b", re.IGNORECASE
)
SETTINGS = Contamination()
# With all numbers alike two stories are the same or they are not: their answers say nothing.
STORIES = SETTINGS.model_copy(update={"jaccard_same_answer": SETTINGS.jaccard})


def in_numerals(text: str) -> str:
    return IN_WORDS.sub(lambda match: str(sum(VALUES[word] for word in re.split("[- ]", match[0].lower()))), text)


def numbers_alike(text: str) -> str:
    return re.sub(r"\d[\d,.]*\d|\d", "number", in_numerals(text))


def problems(folder: Path, loader: str, split: str) -> list[RawProblem]:
    rows = convert(loader, folder / loader, {"splits": [split]} if split else {}).rows
    return [
        RawProblem(loader, loader, n, row["id"], None, row["level"], row["problem"], row["answer"], problem_id(row["problem"]))
        for n, row in enumerate(rows)
    ]  # fmt: skip


def reworded(given: list[RawProblem], wording: Callable[[str], str]) -> list[RawProblem]:
    texts = [wording(problem.problem) for problem in given]
    return [
        RawProblem(p.source, p.path, p.line, p.id, None, p.level, text, p.answer, problem_id(text))
        for p, text in zip(given, texts, strict=True)
    ]


def shared(train: list[RawProblem], evaluation: list[RawProblem], settings: Contamination) -> str:
    """How many of the first resemble how many of the second."""
    found = find_contamination(train, evaluation, settings)
    return f"{len({match.train.id for match in found})} and {len({match.evaluation.id for match in found})}"


def main(folder: Path) -> None:
    train, evaluation = (
        {name: problems(folder, *place) for name, place in side.items()} for side in (TRAIN, EVALUATION)
    )
    print("| train | evaluation | as they are | numerals for words | every number alike |\n|---|---|---|---|---|")
    for one, mine in train.items():
        for other, theirs in evaluation.items():
            cells = [shared(mine, theirs, SETTINGS)]
            for wording, settings in ((in_numerals, SETTINGS), (numbers_alike, STORIES)):
                cells.append(shared(reworded(mine, wording), reworded(theirs, wording), settings))
            print(f"| {one} ({len(mine):,}) | {other} ({len(theirs):,}) | {' | '.join(cells)} |")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
