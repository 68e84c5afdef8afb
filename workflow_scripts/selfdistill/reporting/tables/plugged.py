"""The tables that the user's own analyses made, shown as they are; and what the study's plugins were."""

from collections.abc import Mapping
from typing import Any

import polars as pl

from selfdistill.foundation.harmless import harmless
from selfdistill.reporting import formatting as fmt
from selfdistill.reporting.inputs import ReportInputs
from selfdistill.reporting.tables.table import Group, Row, Table, word


def tables(inputs: ReportInputs) -> list[Table]:
    if inputs.plugged is None:
        return []
    return [_table(each) for each in inputs.plugged.partition_by("analysis", maintain_order=True)]


def _table(cells: pl.DataFrame) -> Table:
    columns = cells["column"].unique(maintain_order=True).to_list()
    texts = cells.group_by("column").agg(pl.col("number").is_null().all().alias("text"))
    rows = [
        Row([_shown(cell) for cell in row.iter_rows(named=True)])
        for row in cells.partition_by("row", maintain_order=True)
    ]
    return Table(
        cells["analysis"][0],
        [harmless(name) for name in columns],
        [Group(rows)],
        "analysis/plugged.parquet",
        f"An analysis of the study's own, from a plugin with SHA-256 {cells['digest'][0]}…; nothing here checks it.",
        frozenset(columns.index(name) for name in texts.filter("text")["column"]),
    )


def _shown(cell: Mapping[str, Any]) -> str:
    if cell["number"] is None:
        return harmless(word(cell["text"]))
    return f"{cell['number']:,.0f}" if cell["whole"] else fmt.significant(cell["number"])


def with_plugins_in_words(provenance: Mapping[str, Any]) -> dict[str, Any]:
    """Which files, as what, and which they were."""
    if "plugins" not in provenance:
        return {**provenance}
    told = (f"{each['file']} ({each['offers']}), SHA-256 {each['digest']}…" for each in provenance["plugins"])
    return {**provenance, "plugins": "; ".join(told)}
