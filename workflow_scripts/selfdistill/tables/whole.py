"""Whole tables in one Parquet file (zstd), checked on the way in and out.

`write_table` writes beside the target and renames, so that a half-written table is never seen under its name;
`read_table` refuses a damaged file or one of another schema with a sentence.
"""

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from selfdistill.foundation.errors import UserError
from selfdistill.foundation.files import whole_file
from selfdistill.tables.schema import Schema, conform

ROWS_TOGETHER = 4096  # rows of a row group, so that a long plan can be read a part at a time


def write_table(frame: pl.DataFrame, path: str | Path, schema: Schema) -> None:
    path = Path(path)
    conformed = conform(frame, schema, str(path))
    with whole_file(path) as part:
        conformed.write_parquet(part, compression="zstd", row_group_size=ROWS_TOGETHER)


def unreadable_table(path: str | Path, error: BaseException) -> UserError:
    return UserError(
        f"{path}: this Parquet file cannot be read ({type(error).__name__}); it is damaged: "
        "run again where it lies in a journal, else delete it and run again: journals and work folders keep what they hold."
    )


def read_table(path: str | Path, schema: Schema, columns: Sequence[str] = ()) -> pl.DataFrame:
    """The checked table; with `columns`, only those of its columns, so that heavy ones stay on disk."""
    path = Path(path)
    if not path.exists():
        raise UserError(f"{path}: this table does not exist; ask snakemake for it by name to make it.")
    try:
        frame = pl.read_parquet(path, columns=list(columns) or None)
    except Exception as error:  # polars raises many kinds for a damaged file
        raise unreadable_table(path, error) from error
    return conform(frame, {name: schema[name] for name in columns} or schema, str(path))
