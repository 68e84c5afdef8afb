"""From what was sampled to what is learnt from: verdicts by the project's own grading, rewards, doubts, advantages.

A question asked in one generation is a group: so many rows, one after the other.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from selfdistill.doubt.counting import Markers
from selfdistill.grading.grade import grade
from selfdistill.models.tokens import end_tokens
from selfdistill.tables.endings import CORRECT, LOOP
from selfdistill.training.practice.rollouts import Question
from selfdistill.training.practice.settings import PracticeSettings

FLATTEST = 1e-4  # added to a group's deviation before it divides, as TRL does


def graded(
    plan: pl.DataFrame, rolled: pl.DataFrame, questions: Sequence[Question], settings: PracticeSettings, model: Path
) -> pl.DataFrame:
    """In the order of the plan, with the columns of ROLLOUTS that a rollout has by itself and in its group."""
    pieces = grade(
        plan=plan,
        completions=lambda: [rolled],
        problems=_problems(questions),
        eos_ids=end_tokens(model),
        settings=settings.grading,
        workers=_workers(settings),
        think=settings.thinks,
    )
    verdicts = pl.concat(pieces).select(
        "request_id",
        "gold",
        "finish_class",
        "verdict",
        "extracted",
        (pl.col("verdict") == CORRECT).cast(pl.Float64).alias("reward"),
        ((pl.col("finish_class") == LOOP) | pl.col("loop_start").is_not_null()).alias("looping"),
    )
    asked = plan.select("request_id", "problem_id", "draw", "prompt_ids")
    rows = asked.join(rolled, on="request_id", how="left", maintain_order="left")
    rows = rows.join(verdicts, on="request_id", how="left", maintain_order="left")
    return rows.with_columns(*_doubts(rows["text"], settings))


def _workers(settings: PracticeSettings) -> int:
    """Beside a GPU the processors that this process may use have nothing else to do."""
    return len(os.sched_getaffinity(0)) if settings.device == "cuda" else settings.threads


def _problems(questions: Sequence[Question]) -> pl.DataFrame:
    """As the grader asks for them; of where a problem comes from it needs nothing."""
    golds = {question.problem_id: question.gold for question in questions}
    return pl.DataFrame({"problem_id": golds.keys(), "answer": golds.values()}).with_columns(
        pl.lit("").alias("source"),
        pl.lit("").alias("family"),
        pl.lit(0).alias("level"),
        pl.lit("train").alias("split"),
        pl.lit(0).alias("rank"),
    )


def _doubts(texts: pl.Series, settings: PracticeSettings) -> list[pl.Series]:
    markers = Markers(settings.doubt)
    counts = [markers.counts(text, settings.thinks) for text in texts]
    return [
        pl.Series("doubts", [each.total for each in counts], pl.Int32),
        pl.Series("doubts_thought", [each.in_thought for each in counts], pl.Int32),
    ]


def advantages(rewards: pl.Series, rollouts: int, scale: Literal["none", "group"]) -> pl.Series:
    """Each reward less its group's mean. A flat group has none, whatever the scale."""
    groups = rewards.to_numpy().reshape(-1, rollouts)
    found = groups - groups.mean(axis=1, keepdims=True)
    if scale == "group":
        found = found / (_deviations(groups) + FLATTEST)
    return pl.Series("advantage", found.reshape(-1), pl.Float64)


def _deviations(groups: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    if groups.shape[1] == 1:
        return np.zeros_like(groups)
    return groups.std(axis=1, ddof=1, keepdims=True)
