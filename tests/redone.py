"""What the tests of several finished studies ask of the numbers that `forklock redo` makes again."""

import contextlib
import html
import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from selfdistill.commands.redo import alike, printed_by
from selfdistill.reporting.numbers.behind import rows_behind
from selfdistill.reporting.numbers.index import TABLES, Number, numbers, of_table
from selfdistill.reporting.numbers.recipes import lines_of
from selfdistill.study.load import study_of
from selfdistill.study.study import Study
from selfdistill.tables.whole import read_table

# What tells kinds of one table apart, beside the column; the rest are many rows of one kind.
TOLD = ("measure", "test", "grouping", "part", "of", "claim", "scale")
OF_ANSWERS = ("estimand", "against", "comparison", "claim", "method", "budget", "split")


def kind_of(number: Number) -> tuple[Any, ...]:
    """Of what is made of the answers themselves every kind; of what the library makes again one of each table, column and measure."""
    row = number.row
    if number.table in ("levels", "comparisons", "solving"):
        return (number.table, *(row.get(name) for name in OF_ANSWERS))
    of_probes = number.table in ("mechanism", "ssd_fit", "depth")
    told = (row.get("measure") == "fit ratio beyond the null",) if of_probes else tuple(row.get(name) for name in TOLD)
    return (number.table, number.column, *told, row.get("word") is None, row.get("against") is None)


def made_again(study: Study, tables: Collection[str]) -> list[Number]:
    """Runs the lines of every kind of number of these tables, from the folder of the project."""
    kinds = {
        kind_of(number): number
        for number in numbers(study).values()
        if number.table in tables and None not in number.reported
    }
    assert {number.table for number in kinds.values()} == set(tables)
    for number in kinds.values():
        made = printed_by(lines_of(study, number))
        assert len(made) == len(number.reported), number.name
        assert all(map(alike, made, number.reported)), (number.name, made, number.reported)
    return list(kinds.values())


def refuse_rowless(study: Study, found: Collection[Number]) -> None:
    for number in found:
        assert sum(table.height for _, table in rows_behind(study, number)), number.name


def counted_behind(study: Study, table: str) -> Iterator[tuple[Number, int]]:
    """Each estimate of a table, and how many rows are behind it."""
    for number in numbers(study).values():
        if number.table == table and number.column == "estimate":
            yield number, sum(rows.height for _, rows in rows_behind(study, number))


def refuse_shared_names(study: Study, tables: Collection[str]) -> None:
    """Two numbers of one name are one number."""
    for table in tables:
        found: dict[str, list[Any]] = {}
        for number in of_table(
            study, table, read_table(Path(study.results) / f"analysis/{table}.parquet", TABLES[table])
        ):
            assert found.setdefault(number.name, number.reported) == number.reported, number.name


def shown_on(page: str) -> list[str]:
    """The names behind the numbers of a page's tables, which the lists under the tables have, too."""
    shown = [html.unescape(name) for name in re.findall(r'<td[^>]* data-redo title="([^"]*)"', page)]
    listed = [html.unescape(name) for name in re.findall(r"<dd>[^<]* <code>([^<]*)</code></dd>", page)]
    assert sorted(shown) == sorted(listed)
    return shown


def examine(folder: Path, file: str, tables: Collection[str]) -> None:
    """All of it, of these tables of a finished study, which its page shows."""
    with contextlib.chdir(folder):
        study = study_of(Path(file))
        refuse_rowless(study, made_again(study, tables))
        refuse_shared_names(study, tables)
        found = numbers(study)
        shown = shown_on(Path(study.results, "report.html").read_text())
        assert set(shown) <= set(found)
        assert set(tables) <= {found[name].table for name in shown}
