"""What an arm trains on, and what its audit says about the choice."""

import json
import math

import polars as pl
import pytest

from selfdistill.foundation.errors import UserError
from selfdistill.study.arms import Arm
from selfdistill.tables.sampling import GRADED
from selfdistill.tables.schema import conform
from selfdistill.tables.training import DATASET
from selfdistill.training.examples.filter import arm_dataset

END = 7
FINISHED, EVERYTHING = Arm(decode="hot", keep="finished"), Arm(decode="hot", keep="everything")


def sample(rank: int, finish_class: str, verdict: str = "wrong", length: int = 4, **other: object) -> dict[str, object]:
    ended = finish_class in ("answered", "no_answer")
    tokens = [10 + rank] * (length - ended) + [END] * ended
    row: dict[str, object] = dict.fromkeys(GRADED)
    row |= {"request_id": f"r{rank}", "problem_id": f"p{rank}", "purpose": "train", "decode_id": "hot", "draw": 0}
    row |= {
        "rank": rank,
        "level": 1 + rank % 2,
        "prompt_ids": [1, 2, rank],
        "token_ids": tokens,
        "n_tokens": len(tokens),
    }
    return row | {"finish_class": finish_class, "verdict": verdict, **other}


def graded(*rows: dict[str, object]) -> pl.DataFrame:
    return conform(pl.DataFrame(list(rows), schema=GRADED), GRADED, "graded")


MIXED = graded(
    sample(4, "answered", "correct", 5),
    sample(0, "answered", "correct", 4),
    sample(1, "cut", "unanswered", 20),
    sample(2, "no_answer", "unanswered", 6),
    sample(3, "loop", "unanswered", 20),
    sample(5, "empty", "unanswered", 1),
    sample(6, "answered", "wrong", 9),
    sample(7, "answered", "correct", 3, purpose="eval"),
    sample(8, "answered", "correct", 3, decode_id="plain"),
)


def test_finished_keeps_what_ended_by_itself_in_problem_order() -> None:
    dataset, _ = arm_dataset(MIXED, FINISHED, "hot", 4)
    assert dataset["request_id"].to_list() == ["r0", "r2", "r4", "r6"]
    assert dict(dataset.schema) == {name: DATASET[name] for name in DATASET}
    assert arm_dataset(MIXED, FINISHED, "hot", 2)[0]["request_id"].to_list() == ["r0", "r2"]


def test_everything_keeps_all_but_the_empty() -> None:
    dataset, _ = arm_dataset(MIXED, EVERYTHING, "hot", 6)
    assert dataset["request_id"].to_list() == ["r0", "r1", "r2", "r3", "r4", "r6"]


def test_a_cut_completion_gets_no_end_token_and_an_ended_one_keeps_its_own() -> None:
    tokens = dict(arm_dataset(MIXED, EVERYTHING, "hot", 6)[0].select("request_id", "completion_ids").iter_rows())
    assert tokens["r1"] == [11] * 20
    assert tokens["r0"] == [10, 10, 10, END]


def test_the_audit_counts_what_was_dropped_and_how_the_filter_leans() -> None:
    _, audit = arm_dataset(MIXED, FINISHED, "hot", 3)
    keys = ("sampled", "finished", "cut", "looped", "empty", "kept", "used")
    assert [audit[key] for key in keys] == [7, 4, 1, 1, 1, 4, 3]
    assert audit["before"]["correctness"]["correct"] == 2 and audit["after"]["correctness"]["n"] == 4
    assert audit["favour"]["correctness_difference"] == pytest.approx(2 / 4 - 2 / 7)
    assert audit["favour"]["mean_tokens_difference"] == pytest.approx(6 - 65 / 7)
    assert audit["before"]["median_tokens"] == 6
    assert audit["levels"]["1"] == {"sampled": 4, "kept": 4, "used": 3, "share_before": 4 / 7, "share_after": 1.0}
    json.dumps(audit)


def test_the_interval_of_the_audit_is_wilsons() -> None:
    """Newcombe 1998, table I: 81 of 263 gives .2553 to .3662."""
    rows = [sample(rank, "answered", "correct" if rank < 81 else "wrong") for rank in range(263)]
    correctness = arm_dataset(graded(*rows), FINISHED, "hot", 263)[1]["before"]["correctness"]
    assert (correctness["low"], correctness["high"]) == pytest.approx((0.2553, 0.3662), abs=5e-5)


def test_a_filter_without_effect_leans_nowhere() -> None:
    _, audit = arm_dataset(graded(sample(0, "answered"), sample(1, "answered", "correct")), FINISHED, "hot", 2)
    assert audit["favour"] == {
        "correctness_difference": 0,
        "correctness_difference_low": None,
        "correctness_difference_high": None,
        "mean_tokens_difference": 0,
    }


def test_the_interval_of_the_leaning_is_that_of_its_known_error() -> None:
    """Of n samples c are correct and all kept, k are kept: c/k − c/n, whose error the delta method gives."""
    rows = [sample(rank, "answered", "correct" if rank < 900 else "wrong") for rank in range(1800)]
    rows += [sample(rank, "cut", "unanswered") for rank in range(1800, 2000)]
    favour = arm_dataset(graded(*rows), FINISHED, "hot", 1800)[1]["favour"]
    n, kept, right = 2000, 0.9, 0.45
    influence = [1 / kept - 1 - right / kept**2, -right / kept**2, 0]  # of a kept correct, a kept wrong, a dropped one
    shares = (right, kept - right, 1 - kept)
    mean = sum(share * value for share, value in zip(shares, influence, strict=True))
    error = math.sqrt(sum(share * (value - mean) ** 2 for share, value in zip(shares, influence, strict=True)) / n)
    low, high = favour["correctness_difference_low"], favour["correctness_difference_high"]
    assert favour["correctness_difference"] == pytest.approx(0.05)
    assert (low, high) == pytest.approx((0.05 - 1.96 * error, 0.05 + 1.96 * error), abs=0.15 * error)


def test_a_filter_that_leaves_too_little_is_refused_with_counts() -> None:
    with pytest.raises(UserError, match=r"keep: finished leaves 0 of 1 samples \(1 cut\)"):
        arm_dataset(graded(sample(0, "cut")), FINISHED, "hot", 9)
    assert arm_dataset(MIXED, FINISHED, "hot", 4)[0].height == 4
    with pytest.raises(UserError, match=r"leaves 4 of 7 .*training.examples \(5\).*lower .* or raise training.samples"):
        arm_dataset(MIXED, FINISHED, "hot", 5)
    with pytest.raises(UserError, match="no training samples"):
        arm_dataset(MIXED, FINISHED, "cold", 100)


def test_a_sample_without_a_token_to_train_on_is_named() -> None:
    with pytest.raises(UserError, match="request r9: the sample has no completion token"):
        arm_dataset(graded(sample(9, "cut", length=0)), EVERYTHING, "hot", 1)
