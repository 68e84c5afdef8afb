"""The check of exports: the sampling engine must give a checkpoint's tokens what the trainer's own model gave them.

Goes in: exported checkpoints, each with the trainer's log-probabilities beside its weights. Comes out: how far the
engine's are from them. A wrong name, shape, tie, precision or rotation on the way from one to the other shows here,
before anything is sampled from it.
"""

import math
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from selfdistill.foundation.errors import UserError
from selfdistill.foundation.files import write_json
from selfdistill.machine.leases import lease_gpus
from selfdistill.sampling.engines.choice import choose_engine
from selfdistill.sampling.requests import Given
from selfdistill.sampling.sampler import SamplerSettings, start_engine
from selfdistill.tables.training import TRAINED_LOGPROBS
from selfdistill.tables.whole import read_table
from selfdistill.training.handover.exports import TRAINED_LOGPROBS_FILE, stored_precisions

# On the largest difference. The lab's model gives 4e-5 in float32, and in bfloat16 up to 0.8 at single tokens that are
# unlikely, with 2e-3 on average. Random weights of the shape of Qwen3.5-4B, all of whose tokens are unlikely, give 0.44 and
# 0.08 (vLLM on a GPU). In bfloat16 the mean, which may be a tenth of the limit, is what finds damage.
LIMITS = {"float32": 1e-3, "bfloat16": 2.0}
MEAN_SHARE = 1 / 10


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


def check_exports(checkpoints: list[Path], settings: SamplerSettings, limit: float | None, output: Path) -> None:
    """Compare every checkpoint, write down how far each is off, and refuse those that are over the limit."""
    name = choose_engine(settings.engine, settings.device)
    with lease_gpus(settings.gpus), one_after_another(name) as each:
        found = list(each(partial(compare, engine_name=name, settings=settings, limit=limit), checkpoints))
    versions = {version for version, _ in found}
    differences = {folder.name: difference for folder, (_, difference) in zip(checkpoints, found, strict=True)}
    write_json(
        output,
        {
            "engine": name,
            "version": ", ".join(sorted(versions)),
            "device": settings.device,
            "dtype": settings.dtype,
            "checkpoints": {checkpoint: as_json(difference) for checkpoint, difference in differences.items()},
        },
    )
    for folder, (version, difference) in zip(checkpoints, found, strict=True):
        refuse_different(folder, f"{name} {version}", difference)


@contextmanager
def one_after_another(engine_name: str) -> Iterator[Callable[..., Any]]:
    """`map`, in a process of its own for each checkpoint where the engine keeps its memory until its process ends."""
    if engine_name != "vllm":
        yield map
        return
    with ProcessPoolExecutor(1, get_context("spawn"), max_tasks_per_child=1) as pool:
        yield pool.map


def compare(
    folder: Path, engine_name: str, settings: SamplerSettings, limit: float | None = None
) -> tuple[str, Difference]:
    """The engine's version, and how far its log-probabilities are from the trainer's."""
    trained = read_table(folder / TRAINED_LOGPROBS_FILE, TRAINED_LOGPROBS)
    engine, _ = start_engine(folder, engine_name, settings)
    given = [Given(*row) for row in trained.select("request_id", "prompt_ids", "completion_ids").iter_rows()]
    precisions = {settings.dtype, *trained["precision"], *stored_precisions(folder)}
    if limit is None:
        limit = LIMITS["float32" if precisions == {"float32"} else "bfloat16"]
    return engine.version, difference_between(trained["log_probs"].to_list(), engine.score(given), limit)


def difference_between(ours: list[list[float]], theirs: list[list[float]], limit: float) -> Difference:
    pairs = [pair for rows in zip(ours, theirs, strict=True) for pair in zip(*rows, strict=True)]
    if not pairs:
        return Difference(0, math.nan, math.nan, limit)
    one, other = np.array(pairs).T
    with np.errstate(invalid="ignore"):  # infinity less infinity is no number, which is judged later
        apart = np.abs(one - other)
    return Difference(len(apart), float(apart.max()), float(apart.mean()), limit)


def as_json(difference: Difference) -> dict[str, Any]:
    numbers = {name: getattr(difference, name) for name in ("tokens", "largest", "mean", "limit")}
    return {name: number if math.isfinite(number) else None for name, number in numbers.items()}


def refuse_different(folder: Path, engine: str, difference: Difference) -> None:
    if difference.passed:
        return
    raise UserError(
        f"{folder}: {engine} gives the tokens of this checkpoint log-probabilities up to {difference.largest:.2g} "
        f"({difference.mean:.2g} on average, over {difference.tokens} tokens) from those of the trainer's own model; the "
        f"limit is {difference.limit:g} ({difference.limit * MEAN_SHARE:g}). The export is damaged, or the engine computes "
        "another model than the trainer: delete the folder and run again to export it anew; if it is so again, take "
        "another sampling.engine, or raise sampling.export_limit if such a difference is nothing to you."
    )
