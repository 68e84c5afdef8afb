"""What a table's schema is, and the check that a frame fits it."""

import polars as pl

from selfdistill.foundation.errors import UserError

Schema = dict[str, pl.DataType | type[pl.DataType]]

TOKENS = pl.List(pl.Int32)


def of_runs(schema: Schema) -> Schema:
    """The schema of a table that holds the rows of several training runs."""
    return {"run": pl.String, **schema}


def empty_table(schema: Schema) -> pl.DataFrame:
    return pl.DataFrame(schema=schema)


def conform(frame: pl.DataFrame, schema: Schema, name: str) -> pl.DataFrame:
    """The frame with exactly the schema's columns in its order, or a UserError that says what does not fit."""
    missing = [column for column in schema if column not in frame.columns]
    extra = [column for column in frame.columns if column not in schema]
    if missing or extra:
        raise UserError(
            f"{name}: its columns do not fit its schema (missing {missing or 'none'}, unknown {extra or 'none'}): "
            "delete the file and run again to make it anew."
        )
    try:
        return frame.select(pl.col(column).cast(dtype, strict=True) for column, dtype in schema.items())
    except (pl.exceptions.InvalidOperationError, pl.exceptions.ComputeError) as error:
        raise UserError(f"{name}: a column has the wrong type: {error}") from error
