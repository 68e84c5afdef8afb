"""Analyses of the user's: each a function from the graded answers of every model to a table that the report shows plainly.

Of plain values alone, and in long form: a row for every cell, so that all of them fit one table.
"""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import polars as pl

from selfdistill.foundation.errors import UserError
from selfdistill.foundation.plugins import Reference, in_a_line, offered
from selfdistill.tables.analysis import PLUGGED

MOST_ROWS, MOST_COLUMNS, MOST_CHARACTERS = 500, 20, 1000
MOST_WHOLE = 2**53  # whole numbers up to it are kept as they are, for a double has as many digits
Analysis = Callable[[Mapping[str, pl.LazyFrame]], pl.DataFrame]


def analysis_of(reference: Reference) -> Analysis:
    found: Any = offered(reference).ANALYSES[reference.name]
    if not callable(found):
        raise UserError(
            f"plugins: {reference.file}: ANALYSES[{reference.name!r}] must be a function of the graded tables, but is a "
            f"{type(found).__name__}."
        )
    return found  # type: ignore[no-any-return]


def analysed(references: list[Reference], graded: Mapping[str, Path]) -> pl.DataFrame:
    """All analyses of a study; `graded` are the files by model."""
    tables = {model: pl.scan_parquet(path) for model, path in graded.items()}
    return pl.concat([pl.DataFrame(schema=PLUGGED), *(_cells(each, tables) for each in references)])


def _cells(reference: Reference, tables: Mapping[str, pl.LazyFrame]) -> pl.DataFrame:
    where = f"plugins: {reference.file}: ANALYSES[{reference.name!r}]"
    try:
        found: Any = analysis_of(reference)(tables)
    except UserError:
        raise
    except (Exception, SystemExit) as error:
        raise UserError(f"{where} fails ({in_a_line(error)}); mend it, or leave it out of plugins.") from error
    if not isinstance(found, pl.DataFrame):
        raise UserError(f"{where} must return a polars DataFrame, but returns a {type(found).__name__}.")
    if found.height > MOST_ROWS or found.width > MOST_COLUMNS:
        raise UserError(
            f"{where} returns {found.height} rows of {found.width} columns, and the report shows {MOST_ROWS} of {MOST_COLUMNS} "
            "at most; summarise more."
        )
    odd = [name for name, kind in found.schema.items() if not (kind.is_numeric() or kind in (pl.String, pl.Boolean))]
    if odd:
        raise UserError(
            f"{where}: column {odd[0]!r} is of {found.schema[odd[0]]}; give numbers, text or true and false."
        )
    if odd_cell := next(_not_kept(found), None):
        raise UserError(f"{where}: {odd_cell}")
    return _long(reference, found)


def _not_kept(found: pl.DataFrame) -> Iterator[str]:
    for name, kind in found.schema.items():
        texts = [name, *(found[name].drop_nulls() if kind == pl.String else [])]
        if (longest := max(map(len, texts))) > MOST_CHARACTERS:
            yield f"column {name[:80]!r} has a text of {longest:,} characters, and the report shows {MOST_CHARACTERS:,}; shorten it."
        if kind.is_integer() and any(abs(value) > MOST_WHOLE for value in found[name].drop_nulls()):
            yield f"column {name!r} has a whole number beyond 2^53, which would be rounded; give it as text."


def _long(reference: Reference, found: pl.DataFrame) -> pl.DataFrame:
    rows = [
        {
            "analysis": reference.name,
            "digest": reference.digest,
            "row": number,
            "column": name,
            "text": None if kind.is_numeric() or value is None else str(value).lower() if kind == pl.Boolean else value,
            "number": float(value) if kind.is_numeric() and value is not None else None,
            "whole": kind.is_integer(),
        }
        for name, kind in found.schema.items()
        for number, value in enumerate(found[name])
    ]
    return pl.DataFrame(rows, schema=PLUGGED)
