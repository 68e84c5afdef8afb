"""Whole tables in one Parquet file (zstd), checked on the way in and out.

`write_table` writes beside the target and renames, so that a half-written table is never seen under its name;
`read_table` refuses a file that it cannot read, or one of another schema, with the sentence of `faults.py`.
"""

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from selfdistill.foundation.files import whole_file
from selfdistill.tables.faults import missing_table, unreadable_table
from selfdistill.tables.schema import Schema, conform, fitted, part_of, refuse_misfit

ROWS_TOGETHER = 4096  # rows of a row group, so that a long plan can be read a part at a time


def write_table(frame: pl.DataFrame, path: str | Path, schema: Schema) -> None:
    path = Path(path)
    conformed = conform(frame, schema, str(path))
    with whole_file(path) as part:
        conformed.write_parquet(part, compression="zstd", row_group_size=ROWS_TOGETHER)


def is_table(path: Path, schema: Schema) -> bool:
    """Whether a file is a table of this schema, or of an older form of it: all of its columns are among these."""
    try:
        there = pl.read_parquet_schema(path)
    except Exception:  # polars raises many kinds for what is no table
        return False
    return set(there) <= set(schema) and next(iter(schema)) in there


def read_table(
    path: str | Path, schema: Schema, columns: Sequence[str] = (), later: Sequence[str] = ()
) -> pl.DataFrame:
    """The checked table; with `columns`, only those of its columns, so that heavy ones stay on disk. Those of `later` may
    be missing, in a table that an older version wrote: they are null then."""
    wanted = part_of(schema, columns)
    try:
        there = pl.read_parquet_schema(path)
        absent = [name for name in later if name in wanted and name not in there]
        refuse_misfit([*(name for name in there if name in wanted or not columns), *absent], wanted)
        frame = pl.read_parquet(path, columns=[name for name in wanted if name not in absent])
        return fitted(frame.with_columns(pl.lit(None).alias(name) for name in absent), wanted)
    except FileNotFoundError:
        raise missing_table(path) from None
    except Exception as error:  # polars raises many kinds for a damaged file
        raise unreadable_table(path, error) from error
