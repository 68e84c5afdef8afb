"""What passes between those who answer and those who learn: a question, a rollout, and where rollouts come from."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import polars as pl

POLICY = "policy"  # in a training's work folder: the student as it answers


@dataclass(frozen=True)
class Question:
    """One place in a generation: a problem, and the number of the first of its draws."""

    problem_id: str
    problem: str
    gold: str
    prompt_ids: list[int]
    told: str | None
    first_draw: int


@dataclass(frozen=True)
class Policy:
    """The student as it answers: a model folder, and what its weights are called."""

    folder: Path
    digest: str
    updated: bool = False  # so that an optimiser's moments lie where it is trained


class RolloutSource(Protocol):
    """Where a generation's rollouts come from: sampled now, or once sampled and now replayed."""

    def rollouts(self, generation: int, questions: Sequence[Question], policy: Callable[[], Policy]) -> pl.DataFrame:
        """The rows of ROLLOUTS of this generation, question by question and draw by draw, on every rank the same.

        `policy` exports the student when it is asked, which a replay never does. All ranks must ask together.
        """
        ...
