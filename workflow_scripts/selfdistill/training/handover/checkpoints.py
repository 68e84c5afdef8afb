"""What survives a crash: the work folder of a run, and the checkpoint in it from which a rerun goes on.

The work folder is undeclared to Snakemake and belongs to one set of settings. In it lie the trainer's own checkpoints
(`checkpoint-20`, one at a time, under that name only when complete), the journal of every step (`steps.jsonl`) and the
models exported so far (`exports/at-025`). A rerun starts from the last checkpoint whose journal and exports are there.
A finished run stays in it too (`finished.py`): Snakemake wipes declared outputs before it runs a rule again, and the same
training is then put in place instead of being done twice.

One process at a time may use it. What is removed here is made again by the steps that follow; all else that does not fit
is set aside under another name.
"""

import json
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple

from selfdistill.foundation.files import sync_folder, sync_tree, write_json
from selfdistill.foundation.locks import held
from selfdistill.training.handover.exports import BASE_LOGPROBS_FILE
from selfdistill.training.handover.finished import FinishedRun, remove_tree
from selfdistill.training.handover.steps import StepJournal

COMPLETE = "trainer_state.json"  # the file that the trainer writes last
OLD, DAMAGED = "old", "damaged"  # what was set aside: of other settings, which may come back; or no longer whole


class SetAside(NamedTuple):
    where: Path
    settings: dict[str, Any]  # of its run; empty where they cannot be read


class ResumePoint(NamedTuple):
    step: int  # 0: from the start
    checkpoint: Path | None


class WorkFolder:
    """The folder in which a training run can be continued."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.exports = path / "exports"
        self.finished = path / "finished"  # tables and manifest of a run that came to its end
        self.unfinished = path / "unfinished"  # where the trainer writes a checkpoint before it gets its name
        self.base_logprobs = path / BASE_LOGPROBS_FILE  # copied into every export
        self.journal = StepJournal(path / "steps.jsonl")
        self.result = FinishedRun(self.finished, self.exports)

    def locked(self) -> AbstractContextManager[None]:
        """Beside the folder and not in it, for the folder may be set aside while it is held."""
        return held(
            self.path.with_name(f"{self.path.name}.lock"),
            lambda who: (
                f"{self.path}: {who} is training in this folder; wait for its end, or stop it and run the same command to "
                "go on from its last checkpoint."
            ),
        )

    def claim(self, settings_hash: str, settings: dict[str, Any]) -> SetAside | None:
        """Make the folder ours. One of other settings is set aside.

        What was set aside for these settings earlier comes back: to change a setting and change it back costs nothing.
        """
        owner = self.path / "settings.json"
        before, aside = _owner(owner), None
        if self.path.exists() and any(self.path.iterdir()) and before.get("hash") != settings_hash:
            aside = SetAside(self.set_aside(OLD), before.get("settings") or {})
        if not self.path.exists():
            for earlier in self.path.parent.glob(f"{self.path.name}.{OLD}-*"):
                if _owner(earlier / "settings.json").get("hash") == settings_hash:
                    earlier.rename(self.path)
                    break
        self.path.mkdir(parents=True, exist_ok=True)
        if not owner.exists():
            write_json(owner, {"hash": settings_hash, "settings": settings})
        return aside

    def set_aside(self, kind: str) -> Path:
        names = (self.path.with_name(f"{self.path.name}.{kind}-{number}") for number in range(1, 10_000))
        where = next(name for name in names if not name.exists())
        self.path.rename(where)
        return where

    def harm(self, exports: dict[str, int]) -> str | None:
        """Why what lies here cannot be used although it was finished, or far enough to be gone on from; None if it can."""
        if self.result.is_there():
            return self.result.harm()
        whole = list(self._whole_checkpoints())
        lacks = {checkpoint: self._lacks(_step_of(checkpoint), exports) for checkpoint in whole}
        if whole and all(lacks.values()):
            return f"{whole[0].name} is there and {lacks[whole[0]]}"
        if exports and not whole and not self._lacks(max(exports.values()), exports):
            return "everything is exported, and neither a checkpoint nor the manifest is there"
        return None

    def resume_point(self, exports: dict[str, int]) -> ResumePoint:
        """Where to go on from. What the steps from there make again is removed.

        `exports` says at which step each exported model is made: those up to the resumed step must exist.
        """
        remove_tree(self.unfinished)
        usable = [each for each in self._whole_checkpoints() if not self._lacks(_step_of(each), exports)]
        point = ResumePoint(_step_of(usable[0]), usable[0]) if usable else ResumePoint(0, None)
        for checkpoint in self.path.glob("checkpoint-*"):
            if checkpoint != point.checkpoint:
                remove_tree(checkpoint)
        self.journal.cut_after(point.step)
        for name, made in exports.items():
            if made > point.step:
                remove_tree(self.exports / name)
        return point

    def _whole_checkpoints(self) -> Iterator[Path]:
        """The last one first."""
        for checkpoint in sorted(self.path.glob("checkpoint-*"), key=_step_of, reverse=True):
            if (checkpoint / COMPLETE).is_file():
                yield checkpoint

    def _lacks(self, step: int, exports: dict[str, int]) -> str | None:
        """What a checkpoint of this step cannot be gone on without."""
        journalled = len(self.journal.rows())
        if journalled < step:
            return f"the journal of its steps ends at step {journalled}"
        gone = [name for name, made in exports.items() if made <= step and not (self.exports / name).is_dir()]
        return f"the model exported before it as {gone[0]} is gone" if gone else None

    def last_checkpoint(self) -> int:
        return max((_step_of(checkpoint) for checkpoint in self.path.glob("checkpoint-*")), default=0)

    def seal_checkpoint(self, written: Path) -> None:
        """A written checkpoint gets its name, and the ones before it go. The journal is on disk before it."""
        self.journal.sync()
        sync_tree(written)
        sealed = self.path / written.name
        os.replace(written, sealed)
        sync_folder(self.path)
        for older in self.path.glob("checkpoint-*"):
            if older != sealed:
                remove_tree(older)

    def clear(self) -> None:
        """After success: what only a resumption needs goes; results, journal and settings stay."""
        for path in (*self.path.glob("checkpoint-*"), self.unfinished):
            remove_tree(path)
        self.base_logprobs.unlink(missing_ok=True)


def _owner(settings_file: Path) -> dict[str, Any]:
    """Whose a folder is; nobody's where that is not written or not readable as JSON. Other errors come out."""
    try:
        return dict(json.loads(settings_file.read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError, TypeError):
        return {}


def _step_of(checkpoint: Path) -> int:
    number = checkpoint.name.removeprefix("checkpoint-")
    return int(number) if number.isdigit() else -1
