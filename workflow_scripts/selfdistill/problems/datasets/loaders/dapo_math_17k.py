r"""DAPO-Math-17k: 17,398 problems whose answers are whole numbers, the set on which much reinforcement learning trains.

Confirmed: data/dapo-math-17k.parquet with data_source, prompt (a list of content and role), ability, reward_model
(ground_truth and style) and extra_info (index), in public code that downloads it and in its authors' AIME-2024 file, which
has the same columns; 1,791,700 rows, in public notes, that are 17,917 rows a hundred times over with 17,398 different
prompts, on the cards of copies without repeated rows; the sentences around a problem, in public code that takes them off and
in the first rows of public copies; that answers are whole numbers, in 512 of its rows in a public repository. At second
hand: the licence, and the revision.

The sentences ask for a last line "Answer: …". They are taken off, because a study asks with its own prompt; one with
grading.answer: line may ask in these very sentences.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from selfdistill.problems.datasets.dataset import Counted, Dataset, Dropped, Kept
from selfdistill.problems.datasets.options import Some
from selfdistill.problems.datasets.raw_files import Kind, Row, find_files, parquet_rows

FILES = "data/*.parquet"
COLUMNS: dict[str, Kind] = {"prompt": "turns", "reward_model": "record", "extra_info": "record"}
LANGUAGES = ("en", "zh")
CHINESE = re.compile(r"[\u3400-\u9fff\uf900-\ufaff]")
BEFORE = re.compile(
    r"\s*Solve the following math problem step by step\. The last line of your response should be of the form "
    r"Answer: [^\n]* where \$Answer is the answer to the problem\.\s*"
)
AFTER = re.compile(r"\s*Remember to put your answer on its own line after \"Answer:\"\.\s*\Z")


def read(folder: Path, options: Mapping[str, Any]) -> Iterator[Kept | Dropped]:
    """Repeated rows are known here already: a hundred copies of all would need gigabytes further on."""
    seen: set[tuple[str, str]] = set()
    for path in find_files(folder, FILES):
        for number, row in enumerate(parquet_rows(path, COLUMNS)):
            item = _item(f"{path.stem}/{number}", row, options["languages"])
            if isinstance(item, Kept) and (item.problem, item.answer) in seen:
                item = Dropped(item.id, "copy of another row")
            if isinstance(item, Kept):
                seen.add((item.problem, item.answer))
            yield item


def _item(name: str, row: Row, languages: list[str]) -> Kept | Dropped:
    turns = row["prompt"] or []
    answer = (row["reward_model"] or {}).get("ground_truth")
    if len(turns) != 1 or not turns[0]["content"]:
        return Dropped(name, "not one question")
    if answer is None:
        return Dropped(name, "no answer")
    problem = without_sentences(turns[0]["content"])
    if ("zh" if CHINESE.search(problem) else "en") not in languages:
        return Dropped(name, "language not asked for")
    index = (row["extra_info"] or {}).get("index")
    return Kept(name if index is None else str(index), problem, str(answer), level=1)


def without_sentences(prompt: str) -> str:
    """The problem alone, where the sentences stand around it."""
    match = BEFORE.match(prompt)
    return AFTER.sub("", prompt[match.end() :] if match else prompt)


DATASET = Dataset(
    name="dapo-math-17k",
    hub="BytedTsinghua-SIA/DAPO-Math-17k",
    files=(FILES,),
    licence="Apache-2.0, on the cards of the dataset and of its copies",
    columns={
        "prompt": "problem (its only turn, without the sentences that ask for a last line 'Answer: …')",
        "reward_model.ground_truth": "answer",
        "extra_info.index": "id",
    },
    about=(
        "17,398 problems for training, each of which stands in the file a hundred times or more: the copies are counted as "
        "such. Models are asked with the study's own prompt, and in the dataset's format only by grading.answer: line. All "
        "have level 1: the dataset knows no difficulty. It holds problems of past exams, which the study's filter of "
        "contamination finds."
    ),
    read=read,
    revision="65877096c24ffa7abc4e4fa5edb95cf3413a5674",
    options={"languages": Some(LANGUAGES, LANGUAGES, "The languages to keep.")},
    counted=(
        Counted(
            "beanie00/self-distillation-analysis",
            "5c51051aaa07513764ab66c631277816bc6520e5",
            "data/math/section_6_2/seen_512.parquet",
            kept=504,
            dropped={"copy of another row": 1, "needs a picture": 7},
            helped=28,
            mended=20,
            whole=False,
            note="512 rows of the training file",
        ),
    ),
)
