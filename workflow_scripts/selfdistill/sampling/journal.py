"""The journal of one shard: every finished sample, on disk the moment it is finished, never lost and never doubled.

A journal is a folder of segments. The writer appends one line a sample to its own new `*.jsonl` segment: a checksum
and a JSON object. A torn last line or a flipped byte costs that sample and nothing else. After sealing, lines are
folded into a Parquet segment, which is the compact form that outlives Snakemake's wiping of declared outputs.
One process at a time may hold a journal; a second is told so.
"""

import fcntl
import json
import os
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import polars as pl

from selfdistill.errors import UserError
from selfdistill.tables import COMPLETIONS, empty_table, read_table, write_table

FSYNC_EVERY = 1.0  # seconds; a killed process loses nothing, a power cut at most this


class Journal:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.damaged: list[str] = []

    def __enter__(self) -> "Journal":
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock = open(self.folder / "lock", "w")
        except OSError as error:
            raise UserError(
                f"{self.folder}: cannot write here ({error.strerror}); make the results folder writable."
            ) from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._lock.close()
            raise UserError(
                f"{self.folder}: another sampler is writing this journal; wait for it or stop it."
            ) from None
        for leftover in self.folder.glob(".*.part"):
            leftover.unlink()
        self._number = 1 + max((int(path.stem) for path in self._segments()), default=-1)
        self._writer: int | None = None
        self._synced = time.monotonic()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._writer is not None:
            os.fsync(self._writer)
            os.close(self._writer)
        self._lock.close()

    def append(self, record: dict[str, object]) -> None:
        """One write call a line, so that a kill at any moment leaves whole lines and at most one torn one."""
        payload = json.dumps(record, ensure_ascii=False)
        line = f"{zlib.crc32(payload.encode()):08x} {payload}\n".encode()
        try:
            if self._writer is None:
                path = self.folder / f"{self._number:06d}.jsonl"
                self._writer = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o666)
            written = os.write(self._writer, line)
            if written != len(line):
                raise OSError(28, "No space left on device")
            if time.monotonic() - self._synced > FSYNC_EVERY:
                os.fsync(self._writer)
                self._synced = time.monotonic()
        except OSError as error:
            raise UserError(
                f"{self.folder}: a sample could not be written ({error.strerror}); what was finished before is safe: "
                "make room and run again."
            ) from error

    def read(self) -> pl.DataFrame:
        """Every whole sample, each request once. Damaged lines are named in `damaged` and their samples done anew."""
        self.damaged = []
        frames = [empty_table(COMPLETIONS)]
        for path in self._segments():
            frames.append(
                _read_parquet(path, self.damaged) if path.suffix == ".parquet" else _read_lines(path, self.damaged)
            )
        return pl.concat(frames).unique("request_id", keep="first", maintain_order=True)

    def fold(self, samples: pl.DataFrame) -> None:
        """Replaces all segments by one Parquet segment with these samples (what `read` gave)."""
        old = self._segments()
        if [path.suffix for path in old] == [".parquet"]:
            return
        if self._writer is not None:
            os.close(self._writer)
            self._writer = None
        self._number = 1 + max((int(path.stem) for path in old), default=-1)
        write_table(samples, self.folder / f"{self._number:06d}.parquet", COMPLETIONS)
        self._number += 1
        for path in old:
            path.unlink()

    def _segments(self) -> list[Path]:
        return segments(self.folder)


def segments(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.stem.isdigit() and path.suffix in (".jsonl", ".parquet"))


def read_siblings(folder: Path) -> list[pl.DataFrame]:
    """What the journals beside this one hold, as far as it can be read while they may be written: they are not ours."""
    found = []
    for sibling in sorted(folder.parent.glob("journal-*")):
        if sibling == folder:
            continue
        for path in segments(sibling):
            try:
                found.append(read_table(path, COMPLETIONS) if path.suffix == ".parquet" else _read_lines(path, []))
            except (UserError, OSError):  # folded away or being written at this moment
                continue
    return found


def _read_parquet(path: Path, damaged: list[str]) -> pl.DataFrame:
    try:
        return read_table(path, COMPLETIONS)
    except UserError:
        damaged.append(f"{path}: this segment is damaged; its samples are done anew")
        path.rename(path.with_suffix(".damaged"))
        return empty_table(COMPLETIONS)


def _read_lines(path: Path, damaged: list[str]) -> pl.DataFrame:
    records = list(_whole_records(path, damaged))
    return pl.DataFrame(records, schema=COMPLETIONS) if records else empty_table(COMPLETIONS)


def _whole_records(path: Path, damaged: list[str]) -> Iterator[dict[str, object]]:
    with open(path, "rb") as lines:
        for number, line in enumerate(lines, 1):
            checksum, _, payload = line.rstrip(b"\n").partition(b" ")
            if line.endswith(b"\n") and checksum == f"{zlib.crc32(payload):08x}".encode():
                yield json.loads(payload)
            else:
                damaged.append(f"{path}, line {number}: torn or damaged; this sample is done anew")
