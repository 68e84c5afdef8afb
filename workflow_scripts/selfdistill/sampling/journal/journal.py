"""The journal of one shard: every finished sample, on disk the moment it is finished, never lost and never doubled.

A journal is a folder of segments (`segments.py`). The writer appends one line a sample to its own new segment; a
segment that has grown large, and every segment when the shard is sealed, is folded into a table, which is the compact
form that outlives Snakemake's wiping of declared outputs. One process at a time may hold a journal; a second is told so.
"""

import errno
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import polars as pl

from selfdistill.foundation.errors import UserError
from selfdistill.foundation.files import sync_folder
from selfdistill.foundation.locks import held
from selfdistill.sampling.journal.engine_note import engine_of, keep_to_engine
from selfdistill.sampling.journal.segments import (
    Lines,
    Segment,
    Table,
    Unreadable,
    each_once,
    encode_line,
    merge,
    segment_paths,
)
from selfdistill.tables.faults import UnusableTable
from selfdistill.tables.sampling import COMPLETIONS
from selfdistill.tables.schema import Schema
from selfdistill.tables.streams import TableWriter

FSYNC_EVERY = 1.0  # seconds; a killed process loses nothing, a power cut at most this
FOLD_BYTES = 32 * 2**20  # lines are five times as large as the table they become
MERGED_AT_ONCE = 64  # segments open together


class Journal:
    """`engine` is the one engine whose samples this journal holds: another one's would be other samples of the same
    requests, and one model's samples should come from one engine. `schema` is what is kept of a sample: a completion's
    columns, and more where more is wanted."""

    def __init__(self, folder: Path, engine: str, schema: Schema = COMPLETIONS) -> None:
        self.folder, self.engine, self.schema = folder, engine, schema
        self.damaged: list[str] = []
        self._set_aside: list[str] = []
        self._read: dict[Path, Segment] = {}
        self._writer: int | None = None

    def __enter__(self) -> "Journal":
        with ExitStack() as opened:
            new = not self.folder.exists()
            opened.enter_context(held(self.folder / "lock", self._busy))
            with self._sentence_for_a_failed_write():
                if new:
                    sync_folder(self.folder.parent)
                keep_to_engine(self.folder, self.engine)
                for leftover in self.folder.glob(".*.part"):
                    leftover.unlink()
                self._finish_foldings()
            self._synced = time.monotonic()
            self._lock = opened.pop_all()
        return self

    def _busy(self, holder: str) -> str:
        return f"{self.folder}: another sampler is writing this journal ({holder}); wait for it or stop it."

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock, self._sentence_for_a_failed_write():
            self._finish_segment()

    def append(self, record: dict[str, Any]) -> None:
        """One write call a line, so that a kill at any moment leaves whole lines and at most one torn one."""
        line = encode_line(record)
        with self._sentence_for_a_failed_write():
            if self._writer is None:
                self._path = self._new_path(".jsonl")
                self._writer = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o666)
                sync_folder(self.folder)
                self._size = 0
            if os.write(self._writer, line) != len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            if time.monotonic() - self._synced > FSYNC_EVERY:
                os.fsync(self._writer)
                self._synced = time.monotonic()
            self._size += len(line)
            if self._size >= FOLD_BYTES:
                self._finish_segment()
                self._fold([self._path], self._path.with_suffix(".parquet"))

    def held(self) -> pl.Series:
        """The ids of every whole sample. What is damaged is named in `damaged`, and its samples count as not held."""
        with self._sentence_for_a_failed_write():
            self._finish_segment()
        segments = self._segments()
        self.damaged = self._set_aside + [complaint for segment in segments for complaint in segment.damaged]
        return each_once(pl.concat([pl.Series("request_id", [], pl.String), *(segment.ids for segment in segments)]))

    def adopt(self, wanted: pl.Series) -> None:
        """Copies wanted samples from the journals beside this one: with another number of shards, they lie there.

        Those may be written or folded at this moment, so they are listed until nothing new is found.
        """
        for sibling in sorted(self.folder.parent.glob("journal-*")):
            if sibling == self.folder or not sibling.is_dir() or not sibling.name.removeprefix("journal-").isdigit():
                continue
            seen: set[Path] = set()
            while unseen := [path for path in segment_paths(sibling) if path not in seen]:
                seen.update(unseen)
                for path in unseen:
                    self._adopt_from(path, wanted)

    def _adopt_from(self, path: Path, wanted: pl.Series) -> None:
        try:
            if engine_of(path.parent) != self.engine:
                return
            segment = self._opened(path)
        except FileNotFoundError:  # folded at this moment: the table it went into is seen next
            return
        except UnusableTable as error:
            self._set_aside.append(f"{error} It was not adopted from.")
            return
        useful = segment.ids.filter(segment.ids.is_in(wanted.implode()))
        if len(useful):
            with suppress(FileNotFoundError), self._sentence_for_a_failed_write():
                self._write_table([segment], self._new_path(".parquet"), useful)

    def seal(self, wanted: pl.Series, output: Path) -> None:
        """Writes the wanted samples to `output` and makes the journal small."""
        with self._sentence_for_a_failed_write():
            for leftover in output.parent.glob(f".{output.name}.*.part"):  # of a sealing that was killed
                leftover.unlink()
            self._finish_segment()
            while len(paths := segment_paths(self.folder)) > MERGED_AT_ONCE:
                self._fold(paths[:MERGED_AT_ONCE], self._new_path(".parquet"))
            self._write_table(self._segments(), output, wanted)
            if len(paths) > 1 or any(path.suffix == ".jsonl" for path in paths):
                self._fold(paths, self._new_path(".parquet"))

    @contextmanager
    def _sentence_for_a_failed_write(self) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            raise
        except OSError as error:
            raise UserError(
                f"{self.folder}: could not be written ({error.strerror}); every sample that was finished before is safe: "
                "make room and run again."
            ) from error

    def _finish_foldings(self) -> None:
        """Of a folding that was killed, whichever of table and lines is whole stays: the lines, unless the table holds
        all of them."""
        for table in sorted(self.folder.glob("*.parquet")):
            lines = table.with_suffix(".jsonl")
            if not lines.exists():
                continue
            if self._segment(table).holds(self._segment(lines).ids):
                self._read.pop(lines)
                lines.unlink()
            else:
                self._read.pop(table)
                with suppress(FileNotFoundError):  # one that cannot be opened has been set aside already
                    table.rename(table.with_suffix(".damaged"))

    def _fold(self, old: list[Path], target: Path) -> None:
        """Replaces segments by one table, once that has been read back and holds all of them. A table of which not every
        piece could be read is set aside, not removed."""
        segments = [self._segment(path) for path in old]
        self._write_table(segments, target)
        folded = self._read_back(target)
        ids = each_once(pl.concat(segment.ids for segment in segments))
        if folded is None or len(folded.ids) != len(ids) or not folded.holds(ids):
            target.unlink()
            raise UserError(
                f"{target}: does not read back as it was written, so it was removed and what it was made from is kept; see to "
                "the disk and run again."
            )
        self._read[target] = folded
        for path in old:
            segment = self._read.pop(path)
            if segment.damaged and path.suffix == ".parquet":
                path.rename(path.with_suffix(".damaged"))
            else:
                path.unlink(missing_ok=True)  # one that could not be opened has been set aside already

    def _read_back(self, target: Path) -> Table | None:
        try:
            return Table(target, self.schema)
        except UnusableTable:
            return None

    def _write_table(self, segments: list[Segment], target: Path, wanted: pl.Series | None = None) -> None:
        with TableWriter(target, self.schema) as table:
            for piece in merge(segments, wanted, self.schema):
                table.write(piece)

    def _finish_segment(self) -> None:
        if self._writer is not None:
            writer, self._writer = self._writer, None
            try:
                os.fsync(writer)
            finally:
                os.close(writer)

    def _segments(self) -> list[Segment]:
        return [self._segment(path) for path in segment_paths(self.folder)]

    def _segment(self, path: Path) -> Segment:
        """Segments never change once they are finished, so each is read and verified once."""
        if path not in self._read:
            self._read[path] = Lines(path, self.schema) if path.suffix == ".jsonl" else self._table(path)
        return self._read[path]

    def _opened(self, path: Path) -> Lines | Table:
        return Lines(path, self.schema) if path.suffix == ".jsonl" else Table(path, self.schema)

    def _table(self, path: Path) -> Segment:
        try:
            return Table(path, self.schema)
        except UnusableTable:  # what cannot be read at the moment stays where it is
            aside = path.with_suffix(".damaged")
            path.rename(aside)
            self._set_aside.append(
                f"{path}: damaged, or of another version, and set aside as {aside.name}; its samples are done anew"
            )
            return Unreadable(self.schema)

    def _new_path(self, suffix: str) -> Path:
        number = 1 + max((int(path.stem) for path in self.folder.iterdir() if path.stem.isdigit()), default=-1)
        return self.folder / f"{number:06d}{suffix}"
