"""Single answers, by problem and draw: what an evaluation would have given under a smaller token cap.

A model does not see its cap, so an answer that it gives under a smaller one is the start of the answer that is stored: it
counts exactly if the stored one is right, finished, and shorter than the smaller cap. This costs nothing and can only go
down; what more tokens would have given is nowhere in the data.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from selfdistill.analysis.pairing import shared_budgets
from selfdistill.analysis.problem_means import Evaluations, Side, family_codes, unit_of
from selfdistill.foundation.errors import UserError
from selfdistill.statistics.clusters import Array
from selfdistill.tables.endings import CORRECT, FINISHED

STEPS = 24  # of the grid of token caps


@dataclass(frozen=True)
class Drawn:
    """One model's answers: a row per problem, a column per draw."""

    draws: Array  # the number of each draw
    tokens: Array
    right: Array
    finished: Array

    def right_within(self, cap: int) -> Array:
        return np.asarray(self.right & (self.tokens < cap))

    def finished_within(self, cap: int) -> Array:
        """An answer of exactly the cap counts as cut."""
        return np.asarray(self.finished & (self.tokens < cap))


@dataclass(frozen=True)
class Answers:
    """The answers of one side: of all its training seeds, to the problems of one budget and split, sorted by problem_id."""

    problems: list[str]
    families: Array
    unit: str
    models: tuple[Drawn, ...]

    def share(self, of: Callable[[Drawn], Array]) -> Array:
        """By problem: draws are averaged first, then training seeds."""
        return np.asarray(np.mean([of(drawn).mean(axis=1) for drawn in self.models], axis=0))


class AnswersOf:
    """The answers of every side on request; the table is parted once."""

    def __init__(self, graded: pl.DataFrame, evaluations: Evaluations) -> None:
        self.budgets = evaluations.budgets
        self.parts = graded.with_columns(
            finished=pl.col("finish_class").is_in(FINISHED), right=pl.col("verdict") == CORRECT
        ).partition_by("model_id", "decode_id", as_dict=True)

    def __call__(self, side: Side, budget: str, split: str) -> Answers:
        wanted = (pl.col("rank") < self.budgets[budget]) & ((pl.col("split") == split) | (split == "all"))
        parts = [self.parts[model, side.decode_id].filter(wanted) for model in side.models]
        problems = parts[0].unique("problem_id").sort("problem_id")
        problems = problems.with_columns(pl.col("family").fill_null(pl.col("problem_id")))
        drawn = tuple(_drawn(part, problems.height, side) for part in parts)
        return Answers(problems["problem_id"].to_list(), family_codes(problems), unit_of(problems), drawn)


def _drawn(part: pl.DataFrame, problems: int, side: Side) -> Drawn:
    part = part.sort("problem_id", "draw")
    draws = part["draw"].unique().sort().to_numpy()
    if part.height != problems * len(draws):
        raise UserError(
            f"{side.model_id} at decode {side.decode_id}: {part.height} answers are not {len(draws)} draws of each of "
            f"{problems} problems; delete its graded.parquet and its plan and run again."
        )
    columns = (part[name].to_numpy().reshape(problems, len(draws)) for name in ("n_tokens", "right", "finished"))
    return Drawn(draws, *columns)


def cap_grid(cap: int, steps: int = STEPS) -> list[int]:
    """Equal steps up to the decode's own cap."""
    return sorted({math.ceil(cap * step / steps) for step in range(1, steps + 1)})


def finished_pairs(evaluations: Evaluations) -> list[tuple[Side, Side, str]]:
    """Every finished arm with the base at the same decode, and the widest budget that both reached."""
    sides = evaluations.sides()
    base: Mapping[str, Side] = {side.decode_id: side for side in sides if side.arm == "base"}
    pairs = []
    for side in sides:
        against = base.get(side.decode_id)
        if side.arm != "base" and side.percent in (0, 100) and against is not None:
            budgets = shared_budgets(evaluations, side, against)
            pairs.append((side, against, max(budgets, key=lambda name: (evaluations.budgets[name], name == "full"))))
    return pairs
