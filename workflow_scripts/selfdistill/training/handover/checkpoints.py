"""What survives a crash, and what is handed out: the work folder and the journal of steps.

The work folder is undeclared to Snakemake and belongs to one set of settings. In it lie the trainer's own checkpoints
(`checkpoint-20`, one at a time, under that name only when complete), the journal of every step (`steps.jsonl`) and the
models exported so far (`exports/at-025`). A rerun starts from the last checkpoint whose journal and exports are there.
A finished run stays in it too (`finished/`, and the exports as hard links, which cost no disk): Snakemake wipes declared
outputs before it runs a rule again, and the same training is then put in place instead of being done twice.
"""

import json
import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from selfdistill.foundation.errors import UserError
from selfdistill.foundation.files import sync_tree, write_json, write_text
from selfdistill.models.digests import model_digest
from selfdistill.tables.schema import Schema
from selfdistill.tables.training import COHERENCE, HISTOGRAMS, NOISE, RUN_LOG, TRAINED_LOGPROBS, WEIGHTS
from selfdistill.tables.whole import read_table
from selfdistill.training.handover.exports import TRAINED_LOGPROBS_FILE

MANIFEST = "manifest.json"  # written last: a folder that holds it is whole
TABLES: dict[str, Schema] = {
    "log.parquet": RUN_LOG,
    "noise.parquet": NOISE,
    "weights.parquet": WEIGHTS,
    "histograms.parquet": HISTOGRAMS,
    "coherence.parquet": COHERENCE,
}
COMPLETE = "trainer_state.json"  # the file that the trainer writes last


class WorkFolder:
    """The folder in which a training run can be continued."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.exports = path / "exports"
        self.finished = path / "finished"  # tables and manifest of a run that came to its end
        self.unfinished = path / "unfinished"  # where the trainer writes a checkpoint before it gets its name
        self.journal = StepJournal(path / "steps.jsonl")

    def claim(self, settings_hash: str, settings: dict[str, Any]) -> tuple[Path, dict[str, Any]] | None:
        """Make the folder ours. One of other settings is set aside: the answer is where it went, and these settings.

        What was set aside for these settings earlier comes back: to change a setting and change it back costs nothing.
        """
        owner = self.path / "settings.json"
        aside = None
        if self.path.exists() and any(self.path.iterdir()) and _owner(owner).get("hash") != settings_hash:
            aside = _free_name(self.path), _owner(owner).get("settings") or {}
            self.path.rename(aside[0])
        if not self.path.exists():
            for earlier in self.path.parent.glob(f"{self.path.name}.old-*"):
                if _owner(earlier / "settings.json").get("hash") == settings_hash:
                    earlier.rename(self.path)
                    break
        self.path.mkdir(parents=True, exist_ok=True)
        if not owner.exists():
            write_json(owner, {"hash": settings_hash, "settings": settings})
        return aside

    def resume_point(self, exports: dict[str, int]) -> tuple[int, Path | None]:
        """The step to go on from and its checkpoint (0 and none: from the start); what cannot be used is removed.

        `exports` says at which step each exported model is made: those up to the resumed step must exist.
        """
        shutil.rmtree(self.unfinished, ignore_errors=True)
        usable = None
        for checkpoint in sorted(self.path.glob("checkpoint-*"), key=_step_of, reverse=True):
            step = _step_of(checkpoint)
            whole = (checkpoint / COMPLETE).is_file() and self.journal.covers(step)
            whole = whole and all((self.exports / name).is_dir() for name, made in exports.items() if made <= step)
            if whole and usable is None:
                usable = checkpoint
            else:
                shutil.rmtree(checkpoint)
        step = _step_of(usable) if usable else 0
        self.journal.cut_after(step)
        for name, made in exports.items():
            if made > step:
                shutil.rmtree(self.exports / name, ignore_errors=True)
        return step, usable

    def last_checkpoint(self) -> int:
        return max((_step_of(checkpoint) for checkpoint in self.path.glob("checkpoint-*")), default=0)

    def seal_checkpoint(self, written: Path) -> None:
        """A written checkpoint gets its name, and the ones before it go. The journal is on disk before it."""
        self.journal.sync()
        sync_tree(written)
        sealed = self.path / written.name
        shutil.rmtree(sealed, ignore_errors=True)
        os.replace(written, sealed)
        for older in self.path.glob("checkpoint-*"):
            if older != sealed:
                shutil.rmtree(older)

    def clear(self) -> None:
        """After success: what only a resumption needs goes; results, journal and settings stay."""
        for path in (*self.path.glob("checkpoint-*"), self.unfinished):
            shutil.rmtree(path, ignore_errors=True)

    def is_finished(self) -> bool:
        """Whether a finished run lies here undamaged: published files are links to these, and may have been harmed."""
        try:
            manifest = json.loads((self.finished / MANIFEST).read_text())
            for name, schema in TABLES.items():
                read_table(self.finished / name, schema)
            for name, made in manifest["checkpoints"].items():
                read_table(self.exports / name / TRAINED_LOGPROBS_FILE, TRAINED_LOGPROBS)
                if model_digest(self.exports / name) != made["digest"]:
                    return False
            return True
        except (OSError, ValueError, KeyError, UserError):
            return False

    def publish_to(self, out: Path, exports: Iterable[str]) -> None:
        """Everything under its public name, the manifest last."""
        out.mkdir(parents=True, exist_ok=True)
        (out / MANIFEST).unlink(missing_ok=True)
        for name in exports:
            publish(self.exports / name, out / name)
        tables = sorted(path for path in self.finished.iterdir() if path.name != MANIFEST)
        for path in (*tables, self.finished / MANIFEST):
            part = out / f".{path.name}.part"
            shutil.copyfile(path, part)
            os.replace(part, out / path.name)


class StepJournal:
    """One JSON line per finished optimiser step, in order. A torn last line is as if it had never been written."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, row: dict[str, Any]) -> None:
        with open(self.path, "a", encoding="utf-8") as handle:
            handle.write(json.dumps(row) + "\n")

    def rows(self) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        if self.path.exists():
            for line in self.path.read_text(encoding="utf-8").split("\n")[:-1]:  # what lacks its line end is torn
                try:
                    row = json.loads(line)
                except json.JSONDecodeError:
                    break
                if row["step"] != len(rows) + 1:
                    break
                rows.append(row)
        return rows

    def covers(self, step: int) -> bool:
        return len(self.rows()) >= step

    def cut_after(self, step: int) -> None:
        write_text(self.path, "".join(json.dumps(row) + "\n" for row in self.rows()[:step]))

    def sync(self) -> None:
        if self.path.exists():
            with open(self.path, "rb") as handle:
                os.fsync(handle.fileno())


def publish(source: Path, target: Path) -> None:
    """Put a finished file or folder under its public name at once; the source stays, for a rerun after a crash here."""
    part = target.with_name(f".{target.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copytree(source, part, copy_function=_link_or_copy)
    shutil.rmtree(target, ignore_errors=True)
    os.replace(part, target)


def _link_or_copy(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system
        shutil.copyfile(source, target)


def _owner(settings_file: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(settings_file.read_text()))
    except (OSError, ValueError, TypeError):
        return {}


def _free_name(path: Path) -> Path:
    names: Iterable[Path] = (path.with_name(f"{path.name}.old-{number}") for number in range(1, 10_000))
    return next(name for name in names if not name.exists())


def _step_of(checkpoint: Path) -> int:
    number = checkpoint.name.removeprefix("checkpoint-")
    return int(number) if number.isdigit() else -1
