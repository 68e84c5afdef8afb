"""Which of the dataset's own solutions an arm trains on: the first that are fit to learn from, and a count of all others."""

from typing import Any

import polars as pl
import pytest

from selfdistill.foundation.errors import UserError
from selfdistill.study.grading import Grading
from selfdistill.tables.problems import PROBLEMS, PROMPTS, REFERENCES
from selfdistill.tables.training import DATASET
from selfdistill.training.examples.filter import ArmDataset
from selfdistill.training.examples.references import reference_dataset

GOOD, WRONG, NONE = "So \\boxed{4}.", "So \\boxed{5}.", "So it is 4."
# By rank, from the last to the first, so that the order of the table is not that of the ranking.
TEXTS: list[str | None] = [GOOD, None, GOOD, WRONG, "So \\boxed{8/2}.", NONE, GOOD]
NAMES = [f"p{rank}" for rank in range(len(TEXTS))]


def dataset(examples: int, context: int = 100, **row: Any) -> ArmDataset:
    problems = [
        {"problem_id": name, "source": "a", "family": name, "level": rank % 2, "problem": name, "answer": "4", "split": "train", "rank": rank}
        for rank, name in enumerate(NAMES)
    ]  # fmt: skip
    solved = [
        {"problem_id": name, "text": text, "completion_ids": [7, 8, rank], "ends_within": False} | (row if rank == 0 else {})
        for rank, (name, text) in enumerate(zip(NAMES, TEXTS, strict=True))
        if text is not None
    ]  # fmt: skip
    return reference_dataset(
        train=pl.DataFrame(problems, schema=PROBLEMS).reverse(),
        prompts=pl.DataFrame({"problem_id": NAMES, "prompt_ids": [[1, 2]] * len(NAMES)}, schema=PROMPTS),
        references=pl.DataFrame(solved, schema=REFERENCES),
        examples=examples,
        context=context,
        grading=Grading(),
        think=False,
    )


def test_the_first_of_the_ranking_are_taken_whose_answer_the_grader_takes() -> None:
    found, audit = dataset(3)
    assert found["problem_id"].to_list() == ["p0", "p2", "p4"] and list(found.columns) == list(DATASET)
    assert set(found["model_id"]) == {"reference"} and set(found["finish_class"]) == {"answered"}
    assert set(found["verdict"]) == {"correct"} and set(found["n_tokens"]) == {3}
    assert found["completion_ids"].to_list() == [[7, 8, 0], [7, 8, 2], [7, 8, 4]]
    assert {name: audit[name] for name in ("problems", "without_solution", "refused", "kept", "used", "last_rank")} == {
        "problems": 7, "without_solution": 1, "refused": 2, "kept": 4, "used": 3, "last_rank": 4,
    }  # fmt: skip
    assert audit["samples"] == "reference" and audit["mean_tokens"] == 3
    assert audit["levels"] == {"0": {"problems": 4, "used": 3}, "1": {"problems": 3, "used": 0}}


def test_every_example_has_a_name_of_its_own_that_stays() -> None:
    names = dataset(4).examples["request_id"]
    assert names.n_unique() == 4 and all(len(name) == 32 for name in names)
    assert names.to_list()[:2] == dataset(2).examples["request_id"].to_list()


def test_a_solution_that_does_not_fit_the_context_is_left_out_and_counted() -> None:
    found, audit = dataset(2, context=5, completion_ids=[7] * 4)
    assert found["problem_id"].to_list() == ["p2", "p4"] and audit["too_long"] == 1
    assert dataset(2, context=6, completion_ids=[7] * 4).audit["too_long"] == 0


def test_a_solution_with_an_end_token_within_is_left_out_and_counted() -> None:
    found, audit = dataset(2, ends_within=True)
    assert found["problem_id"].to_list() == ["p2", "p4"] and audit["ends_within"] == 1


def test_too_few_solutions_are_one_sentence_that_counts_them() -> None:
    with pytest.raises(
        UserError, match=r"leaves 4 of 7 training problems \(1 have no solution .* of 2 the grader .* lower"
    ):
        dataset(5)
