"""What a table's schema is, and the check that a frame fits it."""

from collections.abc import Iterable, Sequence

import polars as pl

from selfdistill.foundation.errors import UserError

Schema = dict[str, pl.DataType | type[pl.DataType]]

TOKENS = pl.List(pl.Int32)


def of_runs(schema: Schema) -> Schema:
    """The schema of a table that holds the rows of several training runs."""
    return {"run": pl.String, **schema}


def empty_table(schema: Schema) -> pl.DataFrame:
    return pl.DataFrame(schema=schema)


def part_of(schema: Schema, columns: Sequence[str]) -> Schema:
    """The schema of a table that is read for these columns alone; without any, the whole one."""
    return {name: schema[name] for name in columns} or schema


def dtype_name(dtype: object) -> str:
    """As `List(Int32)`."""
    return f"List({dtype_name(dtype.inner)})" if isinstance(dtype, pl.List) else str(dtype)


class Misfit(ValueError):
    """What of a frame does not fit its schema."""


def conform(frame: pl.DataFrame, schema: Schema, name: str) -> pl.DataFrame:
    """The frame with exactly the schema's columns in its order, or a UserError that says what does not fit."""
    try:
        return fitted(frame, schema)
    except Misfit as misfit:
        raise UserError(f"{name}: does not fit its schema ({misfit}).") from misfit


def fitted(frame: pl.DataFrame, schema: Schema) -> pl.DataFrame:
    refuse_misfit(frame.columns, schema)
    try:
        return frame.select(pl.col(column).cast(dtype, strict=True) for column, dtype in schema.items())
    except (pl.exceptions.InvalidOperationError, pl.exceptions.ComputeError) as error:
        raise Misfit(f"a column has the wrong type: {error}") from error


def refuse_misfit(columns: Iterable[str], schema: Schema) -> None:
    there = list(columns)
    missing = [name for name in schema if name not in there]
    unknown = [name for name in there if name not in schema]
    if missing or unknown:
        raise Misfit(f"columns missing: {', '.join(missing) or 'none'}; unknown: {', '.join(unknown) or 'none'}")
