"""The files of a journal, and how they become one table.

Lines (`*.jsonl`) are what the sampler appends: a checksum and a JSON object each. A torn last line or a flipped byte
costs that sample and nothing else. Tables (`*.parquet`) are lines made small: sorted by request, in pieces with
checksums, so that damage costs one piece. `merge` walks all of them in the order of the requests and never holds more
than a few pieces, however long the journal is.
"""

import json
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from selfdistill.foundation.errors import UserError
from selfdistill.tables.faults import UnusableTable
from selfdistill.tables.sampling import COMPLETIONS
from selfdistill.tables.schema import Schema, empty_table
from selfdistill.tables.streams import PIECE_TOKENS, open_pieces, read_piece

KEY = "request_id"
LINES_TOGETHER = 64
REQUESTS_TOGETHER = 256


def encode_line(record: dict[str, Any]) -> bytes:
    payload = json.dumps(record, ensure_ascii=False).encode()
    return b"%08x %s\n" % (zlib.crc32(payload), payload)


def decode_line(line: bytes) -> dict[str, Any] | None:
    """The record, or None of a line that is torn or damaged."""
    checksum, _, payload = line.rstrip(b"\n").partition(b" ")
    if not line.endswith(b"\n") or checksum != b"%08x" % zlib.crc32(payload):
        return None
    return json.loads(payload)


class Segment:
    """What can be read of one file: `ids`, sorted, and the samples in that order. What cannot is in `damaged`."""

    ids: pl.Series
    damaged: list[str]
    schema: Schema

    def samples(self) -> Iterator[pl.DataFrame]:
        raise NotImplementedError

    def holds(self, ids: pl.Series) -> bool:
        """Whether all of these can be read of it, and nothing of it is damaged."""
        return not self.damaged and not len(ids.filter(~ids.is_in(self.ids.implode())))


class Unreadable(Segment):
    def __init__(self, schema: Schema) -> None:
        self.ids, self.damaged, self.schema = pl.Series(KEY, [], pl.String), [], schema

    def samples(self) -> Iterator[pl.DataFrame]:
        return iter(())


class Lines(Segment):
    def __init__(self, path: Path, schema: Schema = COMPLETIONS) -> None:
        self.path, self.damaged, self.schema = path, [], schema
        ids, offsets, lengths = [], [], []
        offset = 0
        with open(path, "rb") as lines:
            for number, line in enumerate(lines, 1):
                record = decode_line(line)
                if record is None:
                    self.damaged.append(f"{path}, line {number}: torn or damaged; this sample is done anew")
                else:
                    ids.append(record[KEY])
                    offsets.append(offset)
                    lengths.append(len(line))
                offset += len(line)
        index = pl.DataFrame({KEY: ids, "offset": offsets, "length": lengths}, schema_overrides={KEY: pl.String})
        self._index = index.unique(KEY, keep="first").sort(KEY)
        self.ids = self._index[KEY]

    def samples(self) -> Iterator[pl.DataFrame]:
        with open(self.path, "rb") as lines:
            for places in self._index.iter_slices(LINES_TOGETHER):
                records = []
                for offset, length in places.select("offset", "length").iter_rows():
                    lines.seek(offset)
                    records.append(decode_line(lines.read(length)))
                if None in records:
                    raise UserError(f"{self.path}: changed while it was read; run again.")
                yield pl.DataFrame(records, schema=self.schema)


class Table(Segment):
    """Every byte is read once to begin with, so that damage is found before anything relies on it."""

    def __init__(self, path: Path, schema: Schema = COMPLETIONS) -> None:
        self.path, self.damaged, self.schema = path, [], schema
        self._file = open_pieces(path, schema)
        self._pieces, ids = [], [pl.Series(KEY, [], pl.String)]
        for number in range(self._file.num_row_groups):
            try:
                ids.append(read_piece(self._file, number, path, schema)[KEY])
                self._pieces.append(number)
            except UnusableTable:
                lost = self._file.metadata.row_group(number).num_rows
                self.damaged.append(
                    f"{path}, piece {number + 1}: damaged; its {lost} samples are lost; those that are asked for are done anew"
                )
        self.ids = pl.concat(ids).sort()

    def samples(self) -> Iterator[pl.DataFrame]:
        for number in self._pieces:
            yield read_piece(self._file, number, self.path, self.schema)


def merge(
    segments: Sequence[Segment], wanted: pl.Series | None = None, schema: Schema = COMPLETIONS
) -> Iterator[pl.DataFrame]:
    """The samples of all segments (of the wanted requests, if some are named), each request once, in the order of the
    requests, in pieces of a size to be written."""
    ids = each_once(pl.concat([pl.Series(KEY, [], pl.String), *(segment.ids for segment in segments)]))
    if wanted is not None:
        ids = ids.filter(ids.is_in(wanted.implode()))
    readers = [_Reader(segment) for segment in segments]
    pending = empty_table(schema)
    for start in range(0, len(ids), REQUESTS_TOGETHER):
        together = ids[start : start + REQUESTS_TOGETHER]
        parts = [part for reader in readers for part in reader.up_to(together[-1])]
        found = pl.concat(parts).filter(pl.col(KEY).is_in(together.implode())).unique(KEY, keep="first").sort(KEY)
        *whole, pending = pieces_of(pl.concat([pending, found]))
        yield from whole
    if pending.height:
        yield pending


def each_once(ids: pl.Series) -> pl.Series:
    """Sorted, without repeats. Sorting needs less memory than hashing."""
    ordered = ids.sort()
    return ordered.filter((ordered != ordered.shift()).fill_null(True))


def pieces_of(frame: pl.DataFrame) -> list[pl.DataFrame]:
    """Cuts a frame where PIECE_TOKENS tokens are reached; the last piece may be short of them."""
    tokens = frame["n_tokens"].cast(pl.Int64)
    piece = ((tokens.cum_sum() - tokens) // PIECE_TOKENS).alias("piece")
    return frame.with_columns(piece).partition_by("piece", maintain_order=True, include_key=False) or [frame]


def segment_paths(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.stem.isdigit() and path.suffix in (".jsonl", ".parquet"))


class _Reader:
    """A sorted segment, read forward."""

    def __init__(self, segment: Segment) -> None:
        self._frames, self._schema = segment.samples(), segment.schema
        self._rest = empty_table(self._schema)

    def up_to(self, last: str) -> Iterator[pl.DataFrame]:
        """The samples up to and with the request `last` that were not given before."""
        while True:
            inside = self._rest.filter(pl.col(KEY) <= last)
            if inside.height:
                yield inside
            if inside.height < self._rest.height:
                self._rest = self._rest.filter(pl.col(KEY) > last)
                return
            following = next(self._frames, None)
            if following is None:
                self._rest = empty_table(self._schema)
                return
            self._rest = following
