"""What is asked of a model, carrier by carrier: each answer is a file of its own, whole the moment it is there, so that a job
that is killed goes on where it was.

A part is found again by what it was asked of (the model's bytes, the precision, the engine) and holds the probes that it was
asked for; any other is asked anew.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars as pl

from selfdistill.foundation.errors import UserError
from selfdistill.foundation.locks import held
from selfdistill.sampling.requests import Probed
from selfdistill.tables.schema import Schema, empty_table
from selfdistill.tables.whole import read_table, write_table


class Parts:
    """Answers of one model, in a folder that one process at a time may hold."""

    def __init__(self, folder: Path, schema: Schema, asked: Mapping[str, Any]) -> None:
        said = json.dumps(asked, sort_keys=True).encode()
        self.folder = folder / hashlib.sha256(said).hexdigest()[:16]
        self.schema = schema

    @contextmanager
    def opened(self) -> Iterator[None]:
        with held(self.folder / "lock", self._busy):
            for leftover in self.folder.glob(".*.part"):
                leftover.unlink()
            yield

    def _busy(self, holder: str) -> str:
        return f"{self.folder}: another process probes this model ({holder}); wait for it or stop it."

    def of(self, carrier: str, probe_ids: Sequence[str]) -> pl.DataFrame | None:
        """Nothing where it is not there, cannot be read, or answers other probes."""
        try:
            found = read_table(self._path(carrier), self.schema)
        except UserError:
            return None
        return found if found["probe_id"].to_list() == list(probe_ids) else None

    def missing(self, probes: Mapping[str, Sequence[str]], given: Sequence[Probed]) -> list[Probed]:
        return [each for each in given if self.of(each.carrier_id, probes[each.carrier_id]) is None]

    def write(self, carrier: str, rows: pl.DataFrame) -> None:
        try:
            write_table(rows, self._path(carrier), self.schema)
        except OSError as error:
            raise UserError(
                f"{self.folder}: could not be written ({error.strerror}); what was finished before is safe: make room and run "
                "again."
            ) from error

    def seal(self, probes: Mapping[str, Sequence[str]], output: Path) -> None:
        """All parts in one table, sorted by probe. What it was made from is no longer needed."""
        found = [(carrier, self.of(carrier, probe_ids)) for carrier, probe_ids in probes.items()]
        if lacking := [carrier for carrier, part in found if part is None]:
            raise UserError(f"{output}: {len(lacking)} of {len(probes)} carriers have no answer; run again.")
        parts = [empty_table(self.schema), *(part for _, part in found if part is not None)]
        write_table(pl.concat(parts).sort("probe_id"), output, self.schema)
        for carrier in probes:
            self._path(carrier).unlink(missing_ok=True)

    def _path(self, carrier: str) -> Path:
        return self.folder / f"{carrier}.parquet"
