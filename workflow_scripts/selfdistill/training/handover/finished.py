"""A finished run as it lies in the work folder: whether it is unharmed, and putting it under its public names.

Tables and manifest lie in `finished/`, the exported models beside it in `exports/`. The published models are hard links
to these and cost no disk, so what harms one harms the other: the manifest's digests tell.
"""

import json
import os
import shutil
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import polars as pl

from selfdistill.foundation.errors import UserError
from selfdistill.foundation.files import sync_folder, sync_tree, whole_file, write_json
from selfdistill.models.digests import file_digest, model_digest
from selfdistill.models.lineage import LINEAGE, MANIFEST, Lineage, checkpoint_lineage
from selfdistill.tables.schema import Schema
from selfdistill.tables.training import COHERENCE, HISTOGRAMS, NOISE, RUN_LOG, WEIGHTS
from selfdistill.training.handover.exports import BASE_LOGPROBS_FILE, TRAINED_LOGPROBS_FILE

LARGE = 2**26  # bytes of a table that is not copied

# The manifest is written last: a folder that holds it is whole.
TABLES: dict[str, Schema] = {
    "log.parquet": RUN_LOG,
    "noise.parquet": NOISE,
    "weights.parquet": WEIGHTS,
    "histograms.parquet": HISTOGRAMS,
    "coherence.parquet": COHERENCE,
}


class FinishedRun:
    def __init__(self, folder: Path, exports: Path) -> None:
        self.folder, self.exports = folder, exports

    def is_there(self) -> bool:
        return (self.folder / MANIFEST).exists()

    def table_digests(self, checkpoints: Iterable[str]) -> dict[str, str]:
        """For the manifest: every table of the run, by its public name."""
        beside = [f"{name}/{file}" for name in checkpoints for file in (TRAINED_LOGPROBS_FILE, BASE_LOGPROBS_FILE)]
        more = sorted(path.name for path in self.folder.glob("*.parquet") if path.name not in TABLES)
        names = [*TABLES, *more, *(name for name in beside if self._table(name).exists())]
        return {name: file_digest(self._table(name)) for name in names}

    def harm(self) -> str | None:
        """What is not as the manifest says it was; None where all of it is.

        A file system that does not answer harms nothing: its error comes out. Nor do columns: a table that another
        version wrote is no less finished.
        """
        try:
            manifest = json.loads((self.folder / MANIFEST).read_text(encoding="utf-8"))
            models = {name: made["digest"] for name, made in manifest["checkpoints"].items()}
            tables = dict(manifest.get("tables") or {})
        except (ValueError, KeyError, TypeError, AttributeError):
            return f"{MANIFEST} cannot be read"
        checks = [self._harm_of_model(name, digest) for name, digest in models.items()]
        if tables:
            checks += [self._harm_of_table(name, digest) for name, digest in tables.items()]
        else:  # an earlier version's manifest names none
            checks += [self._harm_of_unnamed(name) for name in TABLES]
            checks += [self._harm_of_unnamed(f"{name}/{TRAINED_LOGPROBS_FILE}") for name in models]
        return next((check for check in checks if check), None)

    def _table(self, public: str) -> Path:
        return (self.exports if "/" in public else self.folder) / public

    def _harm_of_model(self, name: str, digest: str) -> str | None:
        try:
            found = model_digest(self.exports / name)
        except (UserError, FileNotFoundError):
            return f"{name} is no model folder any more"
        return None if found == digest else f"the digest of {name} is another one"

    def _harm_of_table(self, name: str, digest: str) -> str | None:
        try:
            found = file_digest(self._table(name))
        except FileNotFoundError:
            return f"{name} is gone"
        return None if found == digest else f"the digest of {name} is another one"

    def _harm_of_unnamed(self, name: str) -> str | None:
        try:
            pl.read_parquet(self._table(name))
        except FileNotFoundError:
            return f"{name} is gone"
        except OSError:
            raise
        except Exception:  # polars raises many kinds for a damaged file
            return f"{name} cannot be read"
        return None

    def publish_to(self, out: Path, exports: Iterable[str]) -> None:
        """Everything under its public name and on the disk, the manifest last."""
        out.mkdir(parents=True, exist_ok=True)
        (out / MANIFEST).unlink(missing_ok=True)  # a copy: the run's own is in `finished/`
        sync_folder(out)
        manifest = json.loads((self.folder / MANIFEST).read_text(encoding="utf-8"))
        for name in exports:
            publish(self.exports / name, out / name, checkpoint_lineage(manifest, name))
        tables = sorted(path for path in self.folder.iterdir() if path.name != MANIFEST)
        for path in (*tables, self.folder / MANIFEST):
            for leftover in out.glob(f".{path.name}.*.part"):  # of a publication that was killed
                leftover.unlink()
            with whole_file(out / path.name) as part:
                large = path.name != MANIFEST and path.stat().st_size > LARGE
                (_link_or_copy if large else shutil.copyfile)(path, part)
                os.utime(part)  # as old as its name, which tells what is to be made anew


def publish(source: Path, target: Path, lineage: Lineage) -> None:
    """Put a finished folder under its public name at once, and with it where it comes from; the source stays, for a rerun
    after a crash here."""
    part = target.with_name(f".{target.name}.part")
    remove_tree(part)
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copytree(source, part, copy_function=_link_or_copy)
    write_json(part / LINEAGE, lineage)
    sync_tree(part)
    remove_tree(target)
    os.replace(part, target)
    sync_folder(target.parent)


def remove_tree(folder: Path) -> None:
    """Gone afterwards, whether it was there or not; what cannot be removed is not passed over."""
    with suppress(FileNotFoundError):
        shutil.rmtree(folder)


def _link_or_copy(source: str | Path, target: str | Path) -> Any:
    try:
        os.link(source, target)
    except OSError:  # another file system
        shutil.copyfile(source, target)
