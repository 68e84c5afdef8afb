"""Starts the processes of one training on this node, passes on the wish to stop, and says how they ended.

It is torchrun's own agent, in this process: that leaves the signals and the last word to us. On several nodes each runs
one launcher, and they meet at an address that Slurm's variables or the command line give.
"""

import ctypes
import logging
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, NoReturn, TextIO

import psutil

from selfdistill.foundation.errors import UserError
from selfdistill.training.processes import ranks

if TYPE_CHECKING:
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

LOST_OTHERS = 3  # exit status of a process whose others are gone: the reason is theirs to tell
LAUNCHER = "FORKLOCK_LAUNCHER"  # in a worker's environment: the process id of its launcher
MEETING = "TORCHELASTIC_RUN_ID"  # in the environment of a worker that has others to meet
DIES_WITH_PARENT = 1  # prctl's PR_SET_PDEATHSIG
SLURM_ANSWERS_IN = 60.0  # seconds; a controller that is down would else hold every node of the job for ever
PORTS = range(20000, 60000)


@dataclass(frozen=True)
class Place:
    """This node among the nodes, and the address where their launchers meet (on one node: any free port)."""

    node: int = 0
    meeting: str | None = None


def place_in_slurm() -> Place:
    """The first node of the job and a port made from the job's number, so that every node knows both."""
    missing = [name for name in ("SLURM_JOB_ID", "SLURM_JOB_NODELIST", "SLURM_NODEID") if name not in os.environ]
    if missing:
        raise UserError(
            f"training.nodes: several nodes are started by Slurm's srun, and {missing[0]} is not set; use the Slurm profile, "
            "or give the launcher of every node --node and --meeting."
        )
    first = _scontrol("hostnames", os.environ["SLURM_JOB_NODELIST"]).split()[0]
    # The name of a node need not be one that other nodes can look up; its address is what Slurm itself reaches it by.
    known = re.search(r"\bNodeAddr=(\S+)", _scontrol("node", first))
    port = PORTS.start + int(os.environ["SLURM_JOB_ID"]) % len(PORTS)
    return Place(int(os.environ["SLURM_NODEID"]), f"{known.group(1) if known else first}:{port}")


def _scontrol(kind: str, what: str) -> str:
    command = ["scontrol", "show", kind, what]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=SLURM_ANSWERS_IN).stdout
    except (OSError, subprocess.SubprocessError) as error:
        raise UserError(
            f"training.nodes: `{' '.join(command)}` failed: {error}; see whether Slurm answers on this node, and run again."
        ) from None


def launch(command: list[str], processes: int, nodes: int, place: Place) -> int:
    """Run the command as each of this node's processes. Returns the exit status; what is to say has then been said."""
    if processes * nodes == 1:
        return _launch_one(command)
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)
    os.environ[LAUNCHER] = str(os.getpid())
    with tempfile.TemporaryDirectory(prefix="forklock-") as folder:
        config = LaunchConfig(
            min_nodes=nodes,
            max_nodes=nodes,
            nproc_per_node=processes,
            run_id=place.meeting or "one-node",
            rdzv_backend="static" if place.meeting else "c10d",
            rdzv_endpoint=place.meeting or "localhost:0",
            rdzv_configs={"rank": place.node} if place.meeting else {},
            local_addr=None if place.meeting else "localhost",
            max_restarts=0,  # the checkpoints are for a new start, not for a new attempt of a few processes
            monitor_interval=0.2,
            signals_to_handle="SIGQUIT",
            logs_specs=DefaultLogsSpecs(log_dir=folder),
        )
        try:
            elastic_launch(config, sys.executable)(*command)
        except ChildFailedError as error:
            return _told(error)
    return 0


def _launch_one(command: list[str]) -> int:
    """A process that trains alone and meets nobody: what it held is free when it has ended."""
    os.environ[LAUNCHER] = str(os.getpid())
    status = subprocess.Popen([sys.executable, *command]).wait()
    return status if status >= 0 else _told_of_signal(0, -status)


def pass_on_stop() -> None:
    """Ask the processes to stop after their step. Where none runs yet, there is nothing to finish."""
    workers = psutil.Process().children()
    for worker in workers:
        worker.send_signal(signal.SIGTERM)
    if not workers:
        sys.exit(128 + signal.SIGTERM)


def _told(error: "ChildFailedError") -> int:
    """The exit status of whoever failed first. A process that was killed could not say so itself."""
    failures = sorted(error.failures.items(), key=lambda item: item[1].exitcode == LOST_OTHERS)
    rank, failure = failures[0]
    if failure.exitcode >= 0 and failure.exitcode != LOST_OTHERS:
        return failure.exitcode
    if failure.exitcode != LOST_OTHERS:
        return _told_of_signal(rank, -failure.exitcode)
    return _told_of("processes of this training on another node are gone")


def _told_of_signal(rank: int, number: int) -> int:
    if number == signal.SIGTERM:  # asked to stop before it could listen: no step was under way
        return 128 + signal.SIGTERM
    name = signal.Signals(number).name
    often = " (often: no memory left on the machine)" if name == "SIGKILL" else ""
    return _told_of(f"process {rank} of this training was ended by {name}{often}")


def _told_of(happened: str) -> int:
    print(f"error: {happened}; run the same command to go on from the last checkpoint.", file=sys.stderr)
    return 1


# In the processes themselves


def is_worker() -> bool:
    return LAUNCHER in os.environ


def work_along(run: Callable[[], None], device: str, patience: timedelta | None = None) -> None:
    """`run` as one of several processes: the first is heard, the others only when they have something to say."""
    _end_with_launcher()
    if MEETING in os.environ:
        ranks.join(device, patience)
    if ranks.is_first():
        voice = sys.stderr
    else:
        voice, sys.stderr = sys.stderr, open(os.devnull, "w")  # noqa: SIM115
        sys.stdout = sys.stderr
    try:
        run()
        if ranks.world() > 1:
            ranks.leave()
    except SystemExit as stopped:  # asked to stop: all end after the same step, none while another still listens to it
        ranks.gather(None)
        _leave("", voice, int(stopped.code or 0))
    except UserError as error:
        if not ranks.is_first():
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            time.sleep(5)  # if the first knows it too, it has said so and our launcher ends us; if not, it must be said
        _leave(f"error: {error}\n", voice, 1)
    except Exception as error:
        if _is_loss(error):
            _leave("", voice, LOST_OTHERS)
        _leave(traceback.format_exc(), voice, 1)


def _end_with_launcher() -> None:
    """Whoever kills the launcher must not leave processes that go on writing."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(DIES_WITH_PARENT, signal.SIGKILL)
    if str(os.getppid()) != os.environ[LAUNCHER]:
        os._exit(1)


def _is_loss(error: Exception) -> bool:
    import torch.distributed as dist

    return isinstance(error, dist.DistError) or (isinstance(error, RuntimeError) and "gloo" in str(error))


def _leave(words: str, voice: TextIO, status: int) -> NoReturn:
    """At once: the end of a process group that has lost members can take long."""
    print(words, end="", file=voice, flush=True)
    os._exit(status)
