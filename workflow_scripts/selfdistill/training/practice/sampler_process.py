"""A sampler in a process of its own (`serving.py`), from the side of who asks it.

An engine that shares its process with a trainer would share its random numbers, its process groups and its allocator too.
"""

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from selfdistill.foundation.errors import UserError
from selfdistill.machine.devices import VISIBLE
from selfdistill.training.practice.serving import DONE, ERROR, STOPPED
from selfdistill.training.practice.settings import PracticeSettings
from selfdistill.training.practice.wanted import Share

PROGRAM = Path(__file__).resolve().parents[3] / "answer.py"
PYTHON = "FORKLOCK_SAMPLER_PYTHON"  # of the environment that has the engine, where it is another than the trainer's
LOOK_EVERY = 0.2  # seconds between two looks whether a stop was asked for
# What a group of trainers tells its members, and the sampler is none.
OF_THE_GROUP = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "GROUP_RANK", "MASTER_ADDR", "MASTER_PORT")
PREFIXES_OF_THE_GROUP = ("TORCHELASTIC_", "ACCELERATE_", "FSDP_", "ROLE_", "GROUP_")
# Mappings of the trainer's allocator, which do not go with memory that an engine gives back and takes again.
OF_THE_ALLOCATOR = ("PYTORCH_CUDA_ALLOC_CONF", "PYTORCH_ALLOC_CONF")


class SamplerProcess:
    """`device` is the entry of CUDA_VISIBLE_DEVICES that it may use; `heard` whether it may talk."""

    def __init__(
        self, settings: PracticeSettings, device: str | None, heard: bool = True, memory: float | None = None
    ) -> None:
        command = [os.environ.get(PYTHON) or sys.executable, str(PROGRAM), "--settings", settings.model_dump_json()]
        command += ["--memory", str(memory)] if memory is not None else []
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=None if heard else subprocess.DEVNULL,
            env=_environment(device),
            text=True,
        )

    def answer(self, share: Share, stop_requested: Callable[[], bool] = lambda: False) -> bool:
        """True when it was stopped before all was answered."""
        assert self._process.stdin is not None
        message = {"folder": str(share.folder), "model": str(share.model), "shard": share.shard}
        try:
            print(json.dumps(message), file=self._process.stdin, flush=True)
            reply = json.loads(self._line(stop_requested) or "null")
        except BrokenPipeError:
            reply = None
        if reply is None:
            lost = self._lost()
            if stop_requested():  # it was asked too, and perhaps before it could listen
                return True
            raise lost
        if ERROR in reply:
            raise UserError(reply[ERROR])
        if STOPPED in reply:
            return True
        if DONE not in reply:
            raise RuntimeError(f"the sampler of share {share.shard} failed:\n{next(iter(reply.values()))}")
        return False

    def _line(self, stop_requested: Callable[[], bool]) -> str:
        """Of its output; empty when it is gone."""
        assert self._process.stdout is not None
        told = False
        while not select.select([self._process.stdout], [], [], LOOK_EVERY)[0]:
            if stop_requested() and not told:
                self._process.send_signal(signal.SIGTERM)
                told = True
        return self._process.stdout.readline()

    def _lost(self) -> UserError:
        status = self._process.wait()
        how = signal.Signals(-status).name if status < 0 else f"status {status}"
        often = " (often: no memory left on the machine)" if status == -signal.SIGKILL else ""
        return UserError(
            f"the sampler ended with {how}{often}; what it answered is kept: look above for its reason and run again."
        )

    def close(self) -> None:
        """It ends with its input."""
        assert self._process.stdin is not None
        if not self._process.stdin.closed:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()
        self._process.wait()

    def __enter__(self) -> "SamplerProcess":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _environment(device: str | None) -> dict[str, str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in (*OF_THE_GROUP, *OF_THE_ALLOCATOR) and not name.startswith(PREFIXES_OF_THE_GROUP)
    }
    return kept if device is None else kept | {VISIBLE: device}
