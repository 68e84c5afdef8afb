"""The dataset that an arm trains on, of the samples that its filter keeps.

In: graded training samples and the arm. Out: a table of token ids exactly as they were sampled (an end token only where one
was sampled).
"""

from typing import Any, NamedTuple

import polars as pl

from selfdistill.foundation.errors import UserError
from selfdistill.foundation.plugins import without_place
from selfdistill.study.arms import Arm
from selfdistill.tables.schema import conform
from selfdistill.tables.training import DATASET
from selfdistill.training.examples.audit import audit
from selfdistill.training.examples.kept import kept_samples


class ArmDataset(NamedTuple):
    examples: pl.DataFrame
    audit: dict[str, Any]


def arm_dataset(
    graded: pl.DataFrame, arm: Arm, decode_id: str, examples: int, prompts: pl.DataFrame | None = None
) -> ArmDataset:
    """The arm's training examples, the first `examples` in problem order, and the audit of how they were chosen. `prompts`
    are the bare ones, where the samples were told something beside: what is learnt is the completion behind these."""
    sampled = training_samples(graded, decode_id)
    kept = kept_samples(sampled, arm.keep)
    # Of several samples of a problem one is learnt, so that no problem counts more than another.
    learnable = kept.unique("problem_id", keep="first", maintain_order=True)
    used = learnable.head(examples)
    refuse_too_few(sampled, learnable, arm.keep, examples)
    refuse_untrainable(used)
    if prompts is not None:
        used = used.drop("prompt_ids").join(prompts, on="problem_id", how="left", maintain_order="left")
    dataset = used.rename({"token_ids": "completion_ids"}).select(list(DATASET))
    return ArmDataset(conform(dataset, DATASET, "dataset"), audit(sampled, kept, used, arm.keep, decode_id))


def training_samples(graded: pl.DataFrame, decode_id: str) -> pl.DataFrame:
    sampled = graded.filter((pl.col("purpose") == "train") & (pl.col("decode_id") == decode_id))
    if sampled.is_empty():
        raise UserError(
            f"decode {decode_id!r}: no training samples were graded; check training.samples and arms.*.decode."
        )
    return sampled.sort("rank", "draw", "request_id")


def refuse_too_few(sampled: pl.DataFrame, kept: pl.DataFrame, keep: str | None, examples: int) -> None:
    """Arms are compared after equally many steps, so each must have its full number of examples."""
    if kept.height >= examples:
        return
    classes = ", ".join(
        f"{row['len']} {row['finish_class']}" for row in sampled.group_by("finish_class").len().sort("len").to_dicts()
    )
    kind = "samples" if sampled["problem_id"].is_unique().all() else "problems"
    raise UserError(
        f"keep: {without_place(keep or '')} leaves {kept.height} of {sampled['problem_id'].n_unique()} {kind} ({classes}), fewer than training.examples "
        f"({examples}), and arms must take equally many steps: lower training.examples or raise training.samples."
    )


def refuse_untrainable(used: pl.DataFrame) -> None:
    for column, what in (("token_ids", "no completion token to train on"), ("prompt_ids", "no prompt token")):
        broken = used.filter(pl.col(column).list.len() == 0)
        if broken.height:
            raise UserError(
                f"request {broken['request_id'][0]}: the sample has {what} ({broken.height} such in all): "
                "grade the samples anew, an empty completion must be of class empty."
            )
