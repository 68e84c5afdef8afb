"""What a table of the report is: a caption, columns, rows of words and formatted numbers, and the file they come from.

Functions that make one return None when their frames are missing; the template decides where it stands.
"""

from dataclasses import dataclass, field
from typing import Any

from selfdistill.reporting import formatting as fmt
from selfdistill.reporting.numbers.names import Numbered


@dataclass(frozen=True)
class Row:
    cells: list[str]  # the first is the row's header
    minor: bool = False  # a single training seed under the row of its arm


@dataclass(frozen=True)
class Group:
    rows: list[Row]
    title: str = ""


@dataclass(frozen=True)
class Table:
    caption: str
    columns: list[str]
    groups: list[Group]
    source: str  # the file under the results folder that the numbers come from
    note: str = ""
    text_columns: frozenset[int] = field(default=frozenset({0}))  # the rest are numbers, set flush right

    @property
    def redone(self) -> dict[str, list[tuple[str, str]]]:
        """Of each row with numbers that can be made again, their columns and names."""
        found: dict[str, list[tuple[str, str]]] = {}
        for group in self.groups:
            for row in group.rows:
                named = [
                    (column, cell.redo)
                    for column, cell in zip(self.columns, row.cells, strict=True)
                    if isinstance(cell, Numbered)
                ]
                if named:
                    whose = f"{row.cells[0]}, {group.title.split(':')[0]}" if group.title else row.cells[0]
                    found.setdefault(whose, []).extend(named)
        return found


def word(value: Any) -> str:
    return fmt.MISSING if value is None else str(value)
