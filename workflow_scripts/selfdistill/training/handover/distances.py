"""How far apart log-probabilities of the same tokens lie: the engine's, the trainer's, and the base's.

Two questions are asked of a checkpoint. Does the engine give what the trainer gave (`Difference`)? And is that nearer to
the trained model than to the base (`Movement`)? In bfloat16 training moves less than the first question's limit allows.
"""

import math
from dataclasses import dataclass

import numpy as np
import polars as pl

# On the largest difference. The lab's model gives 4e-5 in float32, and in bfloat16 up to 0.8 at single tokens that are
# unlikely, with 2e-3 on average. Random weights of the shape of Qwen3.5-4B, all of whose tokens are unlikely, give 0.44 and
# 0.08 (vLLM on a GPU). In bfloat16 the mean, which may be a tenth of the limit, is what finds damage.
LIMITS = {"float32": 1e-3, "bfloat16": 2.0}
MEAN_SHARE = 1 / 10
# So many times nearer to the trainer's than to the base's. The lab's trainings, which move 5e-3 to 1e-2 nats on average, give
# 2.4 to 10 in bfloat16 (and 20,000 in float32), one that moves as much as the engine is off about 1.4, and the base 0.1 to 0.8.
NEARER = 1.25
# Nats on average, up to which two log-probabilities of the trainer's are of the same weights. They are the same program's, so
# only another machine, after a crash, makes them differ; a training that leaves every stored weight as it was moves none.
UNMOVED = 1e-5

LogProbs = list[list[float]]  # a list for each example


@dataclass(frozen=True)
class Difference:
    """Between two sides' log-probabilities of the same tokens."""

    tokens: int
    largest: float
    mean: float
    limit: float

    @property
    def passed(self) -> bool:
        return self.largest <= self.limit and self.mean <= self.limit * MEAN_SHARE  # not so where they are no numbers


@dataclass(frozen=True)
class Movement:
    """Mean distances of a checkpoint. The base's log-probabilities are the trainer's own, before its first step: what the
    engine is off by is then in both of its distances, and not in how far training moved."""

    to_trained: float  # from the engine's
    to_base: float
    moved: float  # from the trainer's to the base's

    @property
    def is_seen(self) -> bool:
        return self.moved > 0 and self.to_base >= NEARER * self.to_trained

    @property
    def is_too_small(self) -> bool:
        """Less than the engine is off by, so that its distances to both are as good as equal."""
        return self.moved == 0 or self.moved < self.to_trained < NEARER * self.to_base


def difference_between(ours: LogProbs, theirs: LogProbs, limit: float) -> Difference:
    apart = _apart(ours, theirs)
    if not len(apart):
        return Difference(0, math.nan, math.nan, limit)
    return Difference(len(apart), float(apart.max()), float(apart.mean()), limit)


def mean_apart(ours: LogProbs, theirs: LogProbs) -> float:
    return difference_between(ours, theirs, math.inf).mean


def movement(engine: LogProbs, trained: pl.DataFrame, base: pl.DataFrame) -> Movement | None:
    """None where the base's table is of other examples."""
    tokens = ["request_id", "prompt_ids", "completion_ids"]
    if not trained.select(tokens).equals(base.select(tokens)):
        return None
    ours, bases = trained["log_probs"].to_list(), base["log_probs"].to_list()
    return Movement(mean_apart(engine, ours), mean_apart(engine, bases), mean_apart(ours, bases))


def _apart(ours: LogProbs, theirs: LogProbs) -> np.ndarray:
    pairs = [pair for rows in zip(ours, theirs, strict=True) for pair in zip(*rows, strict=True)]
    one, other = np.array(pairs or np.empty((0, 2))).T
    with np.errstate(invalid="ignore"):  # infinity less infinity is no number, which is judged later
        return np.abs(one - other)
