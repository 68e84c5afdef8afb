"""An example value of every column, taken from finished studies, for the page of tables.

PYTHONPATH=workflow_scripts python -m selfdistill.tables.examples results/smoke results/every-table > docs/examples/tables.json

Of each table it is the row with the fewest gaps, the first of such rows, and what is still lacking is taken from the next
table of the same columns that has it.
"""

import json
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import polars as pl

from selfdistill.tables.places import PLACES, Place, placed_schemas, places_of

TEXT, ITEMS, DIGITS = 60, 3, 4  # longest text, most items of a list, digits of a number
LOOKED_INTO = 12  # tables of one place


def examples(results: Iterable[Path]) -> dict[str, dict[str, Any]]:
    """Schema → column → value; null where every table has nothing there, and no columns where there is no row."""
    studies = list(results)
    return {schema: example_row(tables_of(schema, studies)) for schema in placed_schemas()}


def tables_of(schema: str, studies: Iterable[Path]) -> Iterator[pl.DataFrame]:
    for study in studies:
        for place in places_of(schema):
            for file in files_of(place, study)[:LOOKED_INTO]:
                yield pl.read_parquet(file)


def files_of(place: Place, study: Path) -> list[Path]:
    """What lies there: `{model}` may hold slashes, the other names may not."""
    pattern = "".join(
        {"{model}": ".+"}.get(part, "[^/]+" if part.startswith("{") else re.escape(part))
        for part in re.split(r"(\{\w+\})", place.file)
    )
    there = study.glob(re.sub(r"\{\w+\}", "*", place.file.replace("{model}", "**/*")))
    return sorted(file for file in there if re.fullmatch(pattern, str(file.relative_to(study))))


def place_of(file: Path, study: Path) -> Place | None:
    return next((place for place in PLACES if file in files_of(place, study)), None)


def example_row(tables: Iterable[pl.DataFrame]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for table in tables:
        if table.height and (not found or None in found.values()):
            row = table.row(fullest(table), named=True)
            found = {name: found.get(name) if found.get(name) is not None else shown(row[name]) for name in row}
            found |= {name: first(table[name]) for name, value in found.items() if value is None}
    return found


def fullest(table: pl.DataFrame) -> int:
    """The number of the first row with the fewest nulls."""
    return int(table.select(pl.sum_horizontal(pl.all().is_not_null()).arg_max()).item())


def first(column: pl.Series) -> Any:
    known = column.drop_nulls()
    return shown(known[0]) if known.len() else None


def shown(value: Any) -> Any:
    """Short enough for a page: the beginning of a text or a list, a few digits of a number."""
    if isinstance(value, pl.Series):
        value = value.to_list()
    if isinstance(value, list):
        return [shown(item) for item in value[:ITEMS]] + (["…"] if len(value) > ITEMS else [])
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}")
    if isinstance(value, str) and len(value) > TEXT:
        return value[:TEXT] + "…"
    return value


if __name__ == "__main__":
    print(json.dumps(examples(Path(name) for name in sys.argv[1:]), indent=1, ensure_ascii=False))
