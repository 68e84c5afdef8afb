"""Who answers the requests of a generation: an engine in this very process, on each rank for its own share."""

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from selfdistill.sampling.sampler import Halted, SamplerSettings, Started, sample_shard, start_engine
from selfdistill.tables.practice import ROLLED
from selfdistill.training.practice.rollouts import Policy
from selfdistill.training.practice.settings import PracticeSettings
from selfdistill.training.processes import ranks
from selfdistill.training.run import Stopped


class Answering(Protocol):
    def answer(self, folder: Path, student: Policy, stop_requested: Callable[[], bool]) -> None:
        """From `plan.parquet` in the folder, make `shard-0.parquet` and so on, one for each rank. All ranks ask together."""
        ...


class AnsweringHere:
    """The engine is started for each generation, and is gone when it is answered."""

    def __init__(self, settings: PracticeSettings) -> None:
        self.settings = sampler_settings(settings)

    def answer(self, folder: Path, student: Policy, stop_requested: Callable[[], bool]) -> None:
        rank, stopped = ranks.rank(), False
        try:
            sample_shard(
                folder / "plan.parquet",
                student.folder,
                rank,
                folder / f"journal-{rank}",
                folder / f"shard-{rank}.parquet",
                self.settings,
                lambda name: self._opened(student.folder, name),
                ROLLED,
                stop_requested,
            )
        except Halted:
            stopped = True
        self._make_room()
        if any(ranks.gather(stopped)):  # all of them, for none can go on alone
            raise Stopped(
                "training stopped while questions were answered; what is answered is kept: run the same command to go on."
            )

    @contextmanager
    def _opened(self, model: Path, name: str) -> Iterator[Started]:
        yield start_engine(model, name, self.settings)

    def _make_room(self) -> None:
        """What the engine held on a GPU is the trainer's again."""
        gc.collect()
        if self.settings.on_gpu:
            import torch

            torch.cuda.empty_cache()


def sampler_settings(settings: PracticeSettings) -> SamplerSettings:
    sampling = settings.sampling
    return SamplerSettings(
        engine=sampling.engine,
        dtype=sampling.precision,
        context=settings.context,
        abort_loops=sampling.abort_loops,
        trust_remote_code=settings.trust_remote_code,
        batch=sampling.batch,
        on_gpu=settings.device == "cuda",
    )
