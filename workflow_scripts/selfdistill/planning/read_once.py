"""What is counted of a study's tables. One that is as it was when it was read is not read again: who watches a study looks
every few seconds at tables of which few change. Only counts are kept.
"""

from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from selfdistill.study.sampling import Decode
from selfdistill.tables.sampling import COMPLETIONS, GRADED, PLAN
from selfdistill.tables.schema import Schema
from selfdistill.tables.whole import read_table

KEY = "request_id"


class Version(NamedTuple):
    """A file as it was at one moment. What was read of it holds until it is replaced."""

    file: Path
    written: int
    size: int


def as_it_is(file: Path) -> Version:
    found = file.stat()
    return Version(file, found.st_mtime_ns, found.st_size)


class Planned(NamedTuple):
    requests: int
    decodes: dict[str, dict[str, Any]]
    first: dict[str, Any]  # its first row, with the tokens of its prompt; empty where it has none


@cache
def plan_in(plan: Version) -> Planned:
    table = read_table(plan.file, PLAN, [KEY, "decode_id", "purpose", "draw", *Decode.model_fields])
    distinct = table.select("decode_id", *Decode.model_fields).unique()
    decodes = {row.pop("decode_id"): row for row in distinct.to_dicts()}
    if table.is_empty():
        return Planned(0, decodes, {})
    prompt = pl.scan_parquet(plan.file).head(1).collect()["prompt_ids"][0].to_list()
    return Planned(table.height, decodes, table.row(0, named=True) | {"prompt": prompt})


@cache
def held(plan: Version, shards: tuple[Version, ...]) -> tuple[int, int]:
    """Of the plan's requests how many are sealed, and how many of these were cut."""
    asked, sealed, cut = _ids(plan, PLAN).implode(), 0, 0
    for shard in shards:
        rows = read_table(shard.file, COMPLETIONS, [KEY, "finish_reason"]).filter(pl.col(KEY).is_in(asked))
        sealed, cut = sealed + rows.height, cut + int((rows["finish_reason"] == "length").sum())
    return sealed, cut


@cache
def ask_the_same(graded: Version, plan: Version) -> bool:
    return _ids(graded, GRADED).sort().equals(_ids(plan, PLAN).sort())


@cache
def rows_of(journalled: Version) -> int:
    return len(_ids(journalled, COMPLETIONS))


def _ids(table: Version, schema: Schema) -> pl.Series:
    return read_table(table.file, schema, [KEY])[KEY]
