"""A sampler that stays: it answers one share of a generation after another, and its engine rests in between.

It is spoken to in lines of JSON, `sampler_process.py` being the other side: {"folder", "model", "shard"} in, and {"done"},
{"stopped"} or {"error"} out. When nobody holds the other end any more it ends, whatever it is doing: all is in the journal.
"""

import json
import os
import queue
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from selfdistill.foundation.errors import UserError
from selfdistill.sampling.engines.contract import Resting
from selfdistill.sampling.sampler import Halted, SamplerSettings, Started, sample_shard, start_engine
from selfdistill.tables.practice import ROLLED
from selfdistill.training.practice.settings import PracticeSettings
from selfdistill.training.practice.wanted import Share

DONE, STOPPED, ERROR, TRACE = "done", "stopped", "error", "trace"


class Kept:
    """One engine for policies that follow one another; one that cannot rest is started for each."""

    def __init__(self, settings: SamplerSettings) -> None:
        self.settings = settings
        self.started: Started | None = None

    @contextmanager
    def opened(self, model: Path, name: str) -> Iterator[Started]:
        if self.started is not None and isinstance(self.started.engine, Resting):
            self.started.engine.wake(model)
        else:
            self.started = start_engine(model, name, self.settings)
        yield self.started
        if isinstance(self.started.engine, Resting):
            self.started.engine.rest()
        else:
            self.started = None

    def answer(self, share: Share, stop_requested: Callable[[], bool]) -> None:
        sample_shard(
            share.plan,
            share.model,
            share.shard,
            share.journal,
            share.sealed,
            self.settings,
            lambda name: self.opened(share.model, name),
            ROLLED,
            stop_requested,
        )


def serve(settings: SamplerSettings) -> None:
    """Until standard input ends."""
    replies = _own_output()
    stop = _StopFlag()
    asked = _Asked(sys.stdin)
    kept = Kept(settings)
    for message in asked:
        reply = _reply(kept, message, stop)
        print(json.dumps(reply), file=replies, flush=True)
        if TRACE in reply:
            sys.exit(1)


def _reply(kept: Kept, message: Mapping[str, Any], stop_requested: Callable[[], bool]) -> dict[str, Any]:
    try:
        kept.answer(Share(Path(message["folder"]), Path(message["model"]), message["shard"]), stop_requested)
    except Halted:
        return {STOPPED: True}
    except UserError as error:
        return {ERROR: str(error)}
    except Exception:
        return {TRACE: traceback.format_exc()}
    return {DONE: True}


def _own_output() -> TextIO:
    """Standard output for replies alone: what libraries print goes where errors go."""
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    return replies


class _StopFlag:
    """True once SIGINT or SIGTERM came: the sample under way is finished, and the rest is left."""

    def __init__(self) -> None:
        self.asked = False
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._note)

    def _note(self, *_: Any) -> None:
        self.asked = True

    def __call__(self) -> bool:
        return self.asked


class _Asked:
    """The lines that come in. A thread reads them, so that their end is noticed while a share is being answered."""

    def __init__(self, lines: TextIO) -> None:
        self._waiting: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._busy = False
        threading.Thread(target=self._read, args=(lines,), daemon=True).start()

    def _read(self, lines: TextIO) -> None:
        for line in lines:
            self._waiting.put(line)
        if self._busy:
            os._exit(1)
        self._waiting.put(None)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        while (line := self._next()) is not None:
            self._busy = True
            yield json.loads(line)
            self._busy = False

    def _next(self) -> str | None:
        return self._waiting.get()


def sampler_settings(settings: PracticeSettings, rests: bool = False, memory: float | None = None) -> SamplerSettings:
    sampling = settings.sampling
    return SamplerSettings(
        engine=sampling.engine,
        dtype=sampling.precision,
        context=settings.context,
        abort_loops=sampling.abort_loops,
        trust_remote_code=settings.trust_remote_code,
        batch=sampling.batch,
        on_gpu=settings.device == "cuda",
        rests=rests,
        memory=memory,
    )
