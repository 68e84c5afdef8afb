"""The check of exports: the sampling engine must give a checkpoint's tokens what the trainer's own model gave them.

Goes in: exported checkpoints, each with the trainer's log-probabilities beside its weights, and the run's manifest. Comes
out: how far the engine's are from them and from the base's. A wrong name, shape, tie, precision or rotation on the way
from one to the other shows here, before anything is sampled from it; so does a base in the place of a checkpoint.
"""

import json
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from selfdistill.foundation.errors import UserError
from selfdistill.foundation.files import write_json
from selfdistill.foundation.plugins import without_place
from selfdistill.machine.leases import lease_gpus
from selfdistill.models.digests import model_digest
from selfdistill.sampling.engines.choice import choose_engine
from selfdistill.sampling.requests import Given
from selfdistill.sampling.sampler import SamplerSettings, start_engine
from selfdistill.tables.training import TRAINED_LOGPROBS
from selfdistill.tables.whole import read_table
from selfdistill.training.handover.distances import (
    LIMITS,
    MEAN_SHARE,
    NEARER,
    UNMOVED,
    Difference,
    LogProbs,
    Movement,
    difference_between,
    mean_apart,
    movement,
)
from selfdistill.training.handover.exports import BASE_LOGPROBS_FILE, TRAINED_LOGPROBS_FILE, stored_precisions


@dataclass(frozen=True)
class Checked:
    """A checkpoint as the engine reads it."""

    folder: Path
    digest: str
    engine: str
    version: str
    trained: LogProbs
    difference: Difference
    movement: Movement | None  # None: what the base gives was not written down beside it

    @property
    def reader(self) -> str:
        return f"{self.engine} {self.version}"


def check_exports(
    checkpoints: list[Path], manifest: Path, settings: SamplerSettings, limit: float | None, output: Path
) -> None:
    """Compare every checkpoint, write down how far each is off, and refuse those that are not what was trained."""
    base_digest = str(json.loads(manifest.read_text())["base_digest"])
    name = choose_engine(settings.engine, settings.device, checkpoints[0])
    with lease_gpus(settings.gpus), one_after_another(name) as each:
        found = list(each(partial(compare, engine_name=name, settings=settings, limit=limit), checkpoints))
    write_json(
        output,
        {
            "engine": without_place(name),
            "version": ", ".join(sorted({each.version for each in found})),
            "device": settings.device,
            "dtype": settings.dtype,
            "checkpoints": {each.folder.name: as_json(each) for each in found},
        },
    )
    for checked in found:
        refuse_different(checked.folder, checked.reader, checked.difference)
        refuse_base(checked, base_digest)
    refuse_equal(found)


@contextmanager
def one_after_another(engine_name: str) -> Iterator[Callable[..., Any]]:
    """`map`, in a process of its own for each checkpoint where the engine keeps its memory until its process ends."""
    if engine_name == "torch":
        yield map
        return
    with ProcessPoolExecutor(1, get_context("spawn"), max_tasks_per_child=1) as pool:
        yield pool.map


def compare(folder: Path, engine_name: str, settings: SamplerSettings, limit: float | None = None) -> Checked:
    """How far the engine's log-probabilities are from the trainer's and from the base's."""
    table = read_table(folder / TRAINED_LOGPROBS_FILE, TRAINED_LOGPROBS)
    engine, _ = start_engine(folder, engine_name, settings)
    given = [Given(*row) for row in table.select("request_id", "prompt_ids", "completion_ids").iter_rows()]
    precisions = {settings.dtype, *table["precision"], *stored_precisions(folder)}
    if limit is None:
        limit = LIMITS["float32" if precisions == {"float32"} else "bfloat16"]
    trained, scored = table["log_probs"].to_list(), engine.score(given)
    base = folder / BASE_LOGPROBS_FILE
    return Checked(
        folder=folder,
        digest=model_digest(folder),
        engine=without_place(engine_name),
        version=engine.version,
        trained=trained,
        difference=difference_between(trained, scored, limit),
        movement=movement(scored, table, read_table(base, TRAINED_LOGPROBS)) if base.exists() else None,
    )


def as_json(checked: Checked) -> dict[str, Any]:
    """Under `from_base` and `moved` null where the training did not write down what the base gives."""
    difference, moved = checked.difference, checked.movement
    numbers = {name: getattr(difference, name) for name in ("tokens", "largest", "mean", "limit")}
    numbers |= {"from_base": moved.to_base if moved else math.nan, "moved": moved.moved if moved else math.nan}
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


def refuse_base(checked: Checked, base_digest: str) -> None:
    """A checkpoint that is the base, or is read as the base, in whole or in part.

    Training that moved less than the engine is off by shows in nothing that the engine gives: that is said and is no fault.
    """
    folder, found = checked.folder, checked.movement
    if checked.digest == base_digest and (found is None or found.moved > UNMOVED):
        raise UserError(
            f"{folder}: this checkpoint is the base, byte for byte, and not what was trained: the export lost the trained "
            "weights. Set its run's work folder aside, run again, and report it if it is so again."
        )
    if found is None:
        _say(
            f"{folder}: its training, by an earlier version, did not write down what the base gives these tokens, so only "
            "digests tell the two apart."
        )
    elif found.is_too_small:
        _say(
            f"{folder}: training moved the log-probabilities by {found.moved:.2g} on average and {checked.reader} is off by "
            f"{found.to_trained:.2g}, so they do not tell the checkpoint from the base; digests do, where any stored "
            "weight changed."
        )
    elif not found.is_seen:
        raise UserError(
            f"{folder}: {checked.reader} gives the tokens of this checkpoint log-probabilities {found.to_trained:.2g} on "
            f"average from those of the trained model and {found.to_base:.2g} from the base's, and not {NEARER:g} times nearer "
            f"to the trained model's, though training moved them by {found.moved:.2g}: it reads the base, or the base in "
            "parts. Take another sampling.engine; if that finds the same, the export lost trained weights: report it."
        )


def refuse_equal(found: Sequence[Checked]) -> None:
    """Two checkpoints of the same bytes are a fault unless the trainer's model, too, was the same at both."""
    for one, other in combinations(found, 2):
        if one.digest != other.digest:
            continue
        moved = mean_apart(one.trained, other.trained)
        if moved > UNMOVED:
            raise UserError(
                f"{one.folder} and {other.folder}: the same model twice, byte for byte, though training moved the trainer's "
                f"log-probabilities by {moved:.2g} on average between the two: an export lost trained weights. Set their "
                "run's work folder aside, run again, and report it if it is so again."
            )
        _say(
            f"{one.folder} and {other.folder}: the same model twice, for training moved no stored weight between them."
        )


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
