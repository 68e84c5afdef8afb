"""Tables that are larger than memory: written piece by piece and read piece by piece, with checksums.

A piece is a row group. Pages carry checksums that polars neither writes nor verifies, so this goes through pyarrow.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import polars as pl
import pyarrow.parquet as pq

from selfdistill.foundation.files import whole_file
from selfdistill.tables.faults import missing_table, unreadable_table
from selfdistill.tables.schema import Schema, conform, empty_table, fitted, part_of, refuse_misfit

PIECE_TOKENS = 65_536  # tokens of completions in a piece: what a damaged byte costs


class TableWriter:
    """It appears under its name when it is whole."""

    def __init__(self, path: str | Path, schema: Schema) -> None:
        self.path, self.schema = Path(path), schema

    def __enter__(self) -> "TableWriter":
        self._file = whole_file(self.path)
        part = self._file.__enter__()
        arrow = empty_table(self.schema).to_arrow(compat_level=pl.CompatLevel.oldest()).schema
        self._writer = pq.ParquetWriter(part, arrow, compression="zstd", write_page_checksum=True)
        return self

    def write(self, frame: pl.DataFrame) -> None:
        """Adds rows as one row group: what is read, and what is lost to damage, at once."""
        if frame.height:
            conformed = conform(frame, self.schema, str(self.path))
            self._writer.write_table(conformed.to_arrow(compat_level=pl.CompatLevel.oldest()))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._writer.close()
        except OSError as failed:
            self._file.__exit__(type(failed), failed, failed.__traceback__)
            raise
        self._file.__exit__(kind, error, trace)


def open_pieces(path: str | Path, schema: Schema, columns: Sequence[str] = ()) -> Any:
    """The Parquet file, to be read row group by row group with its checksums verified."""
    wanted = part_of(schema, columns)
    try:
        file = pq.ParquetFile(path, page_checksum_verification=True)
        there = file.schema_arrow.names
        refuse_misfit([name for name in there if name in wanted] if columns else there, wanted)
        return file
    except FileNotFoundError:
        raise missing_table(path) from None
    except Exception as error:  # pyarrow raises many kinds for a damaged file
        raise unreadable_table(path, error) from error


def read_piece(file: Any, number: int, path: str | Path, schema: Schema, columns: Sequence[str] = ()) -> pl.DataFrame:
    """One row group of `open_pieces`, checked like a whole table."""
    try:
        arrow = file.read_row_group(number, columns=list(columns) or None, use_threads=False)
        frame = pl.from_arrow(arrow)
        assert isinstance(frame, pl.DataFrame)
        return fitted(frame, part_of(schema, columns))
    except Exception as error:
        raise unreadable_table(path, error) from error


def read_pieces(path: str | Path, schema: Schema, columns: Sequence[str] = ()) -> Iterator[pl.DataFrame]:
    """The checked table, a row group at a time, so that memory does not grow with it."""
    file = open_pieces(path, schema, columns)
    for number in range(file.num_row_groups):
        yield read_piece(file, number, path, schema, columns)
