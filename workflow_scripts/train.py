"""Train one arm with one seed. After a crash or a stop, the same command goes on from the last checkpoint.

python workflow_scripts/train.py --model DIR --dataset dataset.parquet --out RUN --work RUN/work --settings JSON

The settings: {"training": {as in the study file}, "study_seed", "training_seed", "arm", "context", "device", "threads",
"processes", "nodes"}. More than one process: this program starts itself that many times, and they train as one
(`selfdistill/training/processes/launcher.py`). More than one node: run it once on each, as `srun --ntasks-per-node=1` does.
"""

import argparse
import contextlib
import os
import signal
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, NamedTuple

from selfdistill.foundation.programs import as_program
from selfdistill.machine.leases import lease_gpus

if TYPE_CHECKING:
    from selfdistill.training.settings import RunSettings

OFFLINE = {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "TRL_EXPERIMENTAL_SILENCE": "1"}
INTERRUPTED = 130  # what shells call a program that ended by Ctrl-C


def add_options(parser: argparse.ArgumentParser, learnt: str) -> None:
    """What every training is told; `learnt` is what its file of examples is called."""
    for name in ("model", learnt, "out", "work"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--settings", required=True, help="JSON, see above")
    parser.add_argument("--trackers", nargs="*", default=[], help="where else to log to: tensorboard, wandb")
    parser.add_argument("--slow-kernels", action="store_true", help="on a GPU, do without kernels that make it fast")
    parser.add_argument("--study", help="its name, which checkpoints keep beside what else they were made from")
    parser.add_argument("--node", type=int, help="which of several nodes this is, where Slurm does not say it")
    parser.add_argument("--meeting", help="host:port of the first node, likewise")


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser, "dataset")
    parser.add_argument("--targets", type=Path, nargs="?", help="soft targets; without a file the sampled tokens are")
    parser.add_argument("--save-every", type=int, help="steps between the checkpoints that a crash is survived with")
    asked = parser.parse_args(arguments)

    os.environ.update(OFFLINE)  # before the libraries that read it are imported
    from selfdistill.training.settings import training_settings

    settings = training_settings(asked.settings, save_every=asked.save_every, trackers=asked.trackers)
    started_on(settings, asked.node, asked.meeting, lambda stop_requested: train(asked, settings, stop_requested))


class Between(NamedTuple):
    """What this program does between one start of its processes and the next, as often as they end with this status."""

    status: int
    work: "Callable[[int, StopSignal], None]"  # given the number of this node


def started_on(
    settings: "RunSettings",
    node: int | None,
    meeting: str | None,
    work: "Callable[[StopSignal], None]",
    between: Between | None = None,
    patience: timedelta | None = None,
) -> None:
    """The work in this process, or in as many as the settings ask for: this program then starts itself so many times.

    Of several each waits for the others for so long, where it is given. With something to do between, the work is in processes of its own even if it is one: what they held is free then.
    """
    from selfdistill.training.processes import launcher

    os.environ["OMP_NUM_THREADS"] = str(settings.threads)
    if launcher.is_worker():
        stop_requested = StopSignal(patient=True)
        launcher.work_along(lambda: work(stop_requested), settings.device, patience)
        return
    with lease_gpus(settings.processes if settings.device == "cuda" else 0):
        if settings.ranks == 1 and not between:
            work(StopSignal())
            return
        learning = True
        stop_requested = StopSignal(lambda: launcher.pass_on_stop() if learning else None)
        place = launcher.Place(node or 0, meeting)
        if settings.nodes > 1 and place.meeting is None:
            place = launcher.place_in_slurm()
        while True:
            learning = True
            status = launcher.launch(sys.argv, settings.processes, settings.nodes, place)
            if not between or status != between.status:
                sys.exit(status)
            learning = False
            if not stop_requested():
                between.work(place.node, stop_requested)
            if stop_requested():
                sys.exit(INTERRUPTED)


def train(asked: argparse.Namespace, settings: "RunSettings", stop_requested: "StopSignal") -> None:
    from selfdistill.training.run import Stopped, train_run

    try:
        train_run(
            asked.model,
            asked.dataset,
            settings,
            asked.out,
            asked.work,
            stop_requested,
            asked.targets,
            asked.slow_kernels,
            asked.study,
        )
    except Stopped as stopped:
        print(stopped, file=sys.stderr)
        sys.exit(INTERRUPTED)


class StopSignal:
    """True once SIGINT or SIGTERM came: the step under way is finished and saved. A second one ends at once.

    A worker of several is patient: it may hear of one wish from its launcher and from Slurm, and leaves ends to the launcher.
    """

    def __init__(self, then: Callable[[], None] = lambda: None, patient: bool = False) -> None:
        self.asked, self.then, self.patient = False, then, patient
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._note)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.asked = True
        if self.patient:
            return
        # Whoever reads our output may be gone by now, and the checkpoint matters more than the sentence.
        for each in (signal.SIGINT, signal.SIGTERM):
            signal.signal(each, signal.SIG_DFL)
        with contextlib.suppress(OSError):
            print("stopping after this step; once more to stop at once", file=sys.stderr, flush=True)
        self.then()

    def __call__(self) -> bool:
        return self.asked


if __name__ == "__main__":
    as_program(main)
