"""Who answers the requests of a generation, on each rank its own share of them: an engine in this very process, or a sampler
beside it whose engine rests while the trainer works.
"""

import gc
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from selfdistill.foundation.errors import UserError
from selfdistill.machine.devices import VISIBLE
from selfdistill.models.sizes import ModelSize, size_of
from selfdistill.sampling.sampler import Halted, Started, sample_shard, start_engine
from selfdistill.tables.practice import ROLLED
from selfdistill.training.practice.rollouts import Policy
from selfdistill.training.practice.sampler_process import SamplerProcess
from selfdistill.training.practice.serving import sampler_settings
from selfdistill.training.practice.settings import PracticeSettings
from selfdistill.training.practice.wanted import Share
from selfdistill.training.processes import ranks
from selfdistill.training.run import Stopped

# Of GPU memory that is free when the engine starts, what it must leave for updates.
ADAM_BYTES = 8  # a parameter
LEFT_FREE = 4 * 2**30


class Answering(Protocol):
    def answer(self, folder: Path, student: Policy, stop_requested: Callable[[], bool]) -> None:
        """From the plan in the folder make a sealed shard for each rank (`wanted.py`). All ranks ask together."""
        ...


def stopped_while_answering() -> Stopped:
    return Stopped(
        "training stopped while questions were answered; every answer that was finished is kept: run the same command to go on."
    )


class AnsweringHere:
    """The engine is started for each generation, and is gone when it is answered."""

    def __init__(self, settings: PracticeSettings) -> None:
        self.settings = sampler_settings(settings)

    def answer(self, folder: Path, student: Policy, stop_requested: Callable[[], bool]) -> None:
        share, stopped = Share(folder, student.folder, ranks.rank()), False
        make_room(self.settings.on_gpu)
        try:
            sample_shard(
                share.plan,
                share.model,
                share.shard,
                share.journal,
                share.sealed,
                self.settings,
                lambda name: self._opened(share.model, name),
                ROLLED,
                stop_requested,
            )
        except Halted:
            stopped = True
        make_room(self.settings.on_gpu)
        go_on_together(stopped)

    @contextmanager
    def _opened(self, model: Path, name: str) -> Iterator[Started]:
        yield start_engine(model, name, self.settings)


class AnsweringBeside:
    """A sampler in a process of its own for each rank, on the rank's own GPU. It lives as long as this process."""

    def __init__(self, settings: PracticeSettings, model: Path) -> None:
        self.settings, self.model = settings, model
        self._sampler: SamplerProcess | None = None

    def answer(self, folder: Path, student: Policy, stop_requested: Callable[[], bool]) -> None:
        make_room(self.settings.device == "cuda")
        self._sampler = self._sampler or self._started(student.updated)
        stopped = self._sampler.answer(Share(folder, student.folder, ranks.rank()), stop_requested)
        go_on_together(stopped)

    def _started(self, updated: bool) -> SamplerProcess:
        on_gpu = self.settings.device == "cuda"
        return SamplerProcess(
            self.settings,
            _own_device() if on_gpu else None,
            heard=ranks.is_first(),
            memory=_share_of_memory(self.model, self.settings, updated) if on_gpu else None,
        )


def go_on_together(stopped: bool) -> None:
    """All ranks or none: one that was stopped has left a share unanswered."""
    if any(ranks.gather(stopped)):
        raise stopped_while_answering()


def make_room(on_gpu: bool) -> None:
    """What one of the two no longer uses of the GPU is the other's."""
    if on_gpu:
        import torch

        gc.collect()
        torch.cuda.empty_cache()


def _own_device() -> str:
    """As CUDA_VISIBLE_DEVICES names the GPU of this rank."""
    import torch

    index, named = torch.cuda.current_device(), os.environ.get(VISIBLE)
    return named.split(",")[index] if named else str(index)


def _share_of_memory(model: Path, settings: PracticeSettings, updated: bool) -> float | None:
    import torch

    free, total = torch.cuda.mem_get_info()
    size = size_of(model)
    return share_of_memory(free, total, size, settings, updated) if size else None


def share_of_memory(free: int, total: int, size: ModelSize, settings: PracticeSettings, updated: bool = False) -> float:
    """Of a GPU's memory what the engine may use: what is free, but for the optimiser's moments where they are still to come.
    What an update takes is not taken off, for then the engine rests."""
    moments = 0 if settings.training.lora or updated else ADAM_BYTES * size.parameters // settings.ranks
    left = free - moments - LEFT_FREE
    width = 4 if settings.sampling.precision == "float32" else 2
    needed = width * (size.parameters + settings.context * size.layers * size.cached) + LEFT_FREE // 4
    if left < needed:
        raise UserError(
            f"practice.turns: beside the trainer {max(0, left) / 2**30:.1f} of the GPU's {total / 2**30:.1f} GiB are left for the "
            f"engine, and the weights with one answer of model.context ({settings.context:,}) tokens take {needed / 2**30:.1f}: "
            "set practice.turns: apart, train on more GPUs, or train adapters (training.lora)."
        )
    return round(left / total, 3)
