"""Arms of right answers learn as many examples of the same problems, right ones alone, and the text is all that differs."""

import random
from typing import Any

import polars as pl
import pytest

from selfdistill.foundation.errors import UserError
from selfdistill.study.arms import Arm
from selfdistill.tables.sampling import GRADED
from selfdistill.tables.schema import conform
from selfdistill.tables.training import DATASET
from selfdistill.training.examples.correct import correct_dataset
from selfdistill.training.examples.filter import ArmDataset, arm_dataset

UG = Arm(decode="hot", keep="correct")
SG = Arm(decode="hot", keep="correct", context="guided")
SHORT = Arm(decode="hot", keep="correct", length_like="sg")
ARMS = {"ug": UG, "sg": SG, "short": SHORT}


def sample(rank: int, draw: int, correct: bool, length: int, told: bool = False) -> dict[str, Any]:
    row: dict[str, Any] = dict.fromkeys(GRADED)
    kind = "t" if told else "u"
    return row | {
        "request_id": f"{kind}{rank}-{draw}", "model_id": "samples-hot" + "/in-guided" * told, "problem_id": f"p{rank}",
        "purpose": "train", "decode_id": "hot", "draw": draw, "rank": rank, "level": 1, "finish_class": "answered",
        "prompt_ids": [9, 9, rank] if told else [1, rank], "token_ids": [5] * length, "n_tokens": length,
        "verdict": "correct" if correct else "wrong",
    }  # fmt: skip


def graded(rows: list[dict[str, Any]]) -> pl.DataFrame:
    return conform(pl.DataFrame(rows, schema=GRADED), GRADED, "graded")


def prompts(count: int) -> pl.DataFrame:
    return pl.DataFrame({"problem_id": [f"p{n}" for n in range(count)], "prompt_ids": [[1, n] for n in range(count)]})


def datasets(bare: list[dict[str, Any]], told: list[dict[str, Any]], examples: int) -> dict[str, ArmDataset]:
    tables = {"ug": graded(bare), "sg": graded(told), "short": graded(bare)}
    count = 1 + max(row["rank"] for row in bare)
    return {name: correct_dataset(name, ARMS, tables, prompts(count), examples) for name in ARMS}


BARE = [
    sample(0, 0, False, 9), sample(0, 1, True, 30), sample(0, 2, True, 8), sample(0, 3, True, 14),
    sample(1, 0, True, 20), sample(1, 1, True, 22),
    sample(2, 0, True, 25), sample(2, 1, True, 12),
    sample(3, 0, True, 21), sample(3, 1, False, 10),
]  # fmt: skip
TOLD = [
    sample(0, 0, True, 11, told=True), sample(0, 1, True, 7, told=True), sample(1, 0, False, 9, told=True),
    sample(2, 0, True, 10, told=True), sample(3, 0, True, 40, told=True),
]  # fmt: skip


def test_both_hold_right_answers_to_the_same_problems_equally_many_and_in_the_same_order() -> None:
    made = datasets(BARE, TOLD, 3)
    chosen = {name: each.examples["request_id"].to_list() for name, each in made.items()}
    # Problem 1 has no right answer of those who were told. |11 − 8| = |11 − 14|: the earlier draw.
    assert chosen == {"ug": ["u0-1", "u2-0", "u3-0"], "sg": ["t0-0", "t2-0", "t3-0"], "short": ["u0-2", "u2-1", "u3-0"]}
    for each in made.values():
        assert each.examples["problem_id"].to_list() == ["p0", "p2", "p3"]
        assert set(each.examples["verdict"]) == {"correct"} and dict(each.examples.schema) == dict(DATASET)


def test_what_is_learnt_is_the_completion_behind_the_bare_prompt() -> None:
    told = datasets(BARE, TOLD, 3)["sg"].examples
    assert told["prompt_ids"].to_list() == [[1, 0], [1, 2], [1, 3]]
    assert told["completion_ids"].list.len().to_list() == [11, 10, 40]
    assert set(told["model_id"]) == {"samples-hot/in-guided"}
    finished = arm_dataset(graded(TOLD), Arm(decode="hot", keep="finished", context="guided"), "hot", 4, prompts(4))
    assert finished.examples["prompt_ids"].to_list() == [[1, 0], [1, 1], [1, 2], [1, 3]]


def test_the_audit_tells_what_was_shared_and_how_well_lengths_were_matched() -> None:
    made = datasets(BARE, TOLD, 3)
    said = made["short"].audit
    assert said["problems_with_a_right_answer"] == {"ug": 4, "sg": 3, "short": 4} and said["shared_problems"] == 3
    assert said["mean_length_gap"] == pytest.approx((8 - 11 + 12 - 10 + 21 - 40) / 3) and said["same_length"] == 0
    assert said["like_mean_tokens"] == pytest.approx(61 / 3)
    assert made["sg"].audit["context"] == "guided" and "mean_length_gap" not in made["ug"].audit
    assert made["sg"].audit["after"]["correctness"]["rate"] == 1


def test_too_few_shared_problems_are_refused_with_the_count_of_each_arm() -> None:
    with pytest.raises(
        UserError, match=r"leaves 3 problems .* \(ug 4, sg 3, short 4\), fewer than training.examples \(4\)"
    ):
        datasets(BARE, TOLD, 4)


def test_the_choice_is_that_of_a_plain_loop_over_the_problems() -> None:
    """Random answers of 30 problems, and the definition written out."""
    rng = random.Random(5)
    for _ in range(20):
        bare, told = (
            [sample(n, d, rng.random() < 0.4, rng.randint(3, 40), kind) for n in range(30) for d in range(4)]
            for kind in (False, True)
        )
        expected: dict[str, list[str]] = {"ug": [], "sg": [], "short": []}
        for n in range(30):
            mine, theirs = (
                [row for row in rows if row["rank"] == n and row["verdict"] == "correct"] for rows in (bare, told)
            )
            if mine and theirs and len(expected["ug"]) < 8:
                expected["ug"].append(mine[0]["request_id"])
                expected["sg"].append(theirs[0]["request_id"])
                wanted = theirs[0]["n_tokens"]
                nearest = min(mine, key=lambda row: (abs(row["n_tokens"] - wanted), row["draw"]))
                expected["short"].append(nearest["request_id"])
        rng.shuffle(bare)
        made = datasets(bare, told, 8)
        assert {name: each.examples["request_id"].to_list() for name, each in made.items()} == expected


def test_an_arm_learns_one_of_several_samples_of_a_problem() -> None:
    rows = [
        sample(n, d, d == 1, 4 + d) | ({"finish_class": "cut"} if d == 0 else {}) for n in range(3) for d in range(3)
    ]
    made = arm_dataset(graded(rows), Arm(decode="hot", keep="finished"), "hot", 3)
    assert made.examples["request_id"].to_list() == ["u0-1", "u1-1", "u2-1"]
    assert (made.audit["sampled"], made.audit["kept"], made.audit["used"]) == (9, 6, 3)
    with pytest.raises(
        UserError, match=r"leaves 3 of 3 problems \(3 cut, 6 answered\), fewer than training.examples \(4\)"
    ):
        arm_dataset(graded(rows), Arm(decode="hot", keep="finished"), "hot", 4)


def test_the_interval_of_the_leaning_counts_problems_and_not_draws() -> None:
    """Eight equal draws of a problem tell no more than one: the interval is that of single draws."""

    def width(draws: int) -> float:
        rows = [
            sample(n, d, n % 4 < 2, 5) | ({"finish_class": "cut", "verdict": "unanswered"} if n % 4 == 3 else {})
            for n in range(200) for d in range(draws)
        ]  # fmt: skip
        favour = arm_dataset(graded(rows), Arm(decode="hot", keep="finished"), "hot", 100).audit["favour"]
        assert favour["correctness_difference"] == pytest.approx(2 / 3 - 1 / 2)
        return float(favour["correctness_difference_high"] - favour["correctness_difference_low"])

    assert width(8) == pytest.approx(width(1), rel=0.1)
