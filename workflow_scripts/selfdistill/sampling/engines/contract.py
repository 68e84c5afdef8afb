"""The contract of an engine. Everything around an engine (plan, journal, sealing, progress, device) is the sampler's; an engine
turns requests into samples.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from selfdistill.sampling.requests import Given, NextTokens, Probed, Request, Sample
from selfdistill.study.sampling import AbortLoops


class Engine(Protocol):
    """To add an engine, write these five and name it in `choice.py: open_engine` and in `study/sampling.py: Sampling.engine`."""

    name: str
    version: str

    def sample(self, requests: Iterator[Request]) -> Iterator[Sample]:
        """Yields every sample as soon as it is finished, in any order. Takes requests as it has room for them, never
        all at once: there may be a million. Requests of several decodes come mixed and share one batch."""
        ...

    def score(self, given: list[Given]) -> list[list[float]]:
        """The log-probability of every token of these few completions, in their order, as `sample` would give them:
        the model's own, at temperature 1. Prompt and completion are shorter than the context."""
        ...

    def distributions(self, given: Iterable[Probed], top: int) -> Iterator[NextTokens]:
        """The laws at the asked positions of each completion, one completion after the other as they are done: the `top`
        likeliest tokens, or all where the vocabulary has fewer. Prompt and completion are shorter than the context. The
        logits of a whole text are never held at once: there may be 32,000 tokens and 150,000 in the vocabulary."""
        ...


@runtime_checkable
class Resting(Protocol):
    """What an engine may have beside these five: it takes new weights without being started anew."""

    def rest(self) -> None:
        """Gives back the memory of its device, weights included, until it is woken."""
        ...

    def wake(self, model: Path) -> None:
        """Samples again, with the weights that lie in this folder now. All else about the model is as it was."""
        ...


@dataclass(frozen=True)
class EngineSettings:
    model: Path
    dtype: str  # float32 | bfloat16
    context: int  # longest prompt plus completion
    stop_ids: list[int]
    batch: int = 64  # sequences decoded at once
    device: str = "cpu"  # cpu | cuda
    abort_loops: AbortLoops | None = None
    trust_remote_code: bool = False
    rests: bool = False  # it will be asked to rest
    memory: float | None = None  # share of the GPU's memory; the engine's own choice unless given
    top: int = 0  # most tokens of a law that `distributions` will be asked for
