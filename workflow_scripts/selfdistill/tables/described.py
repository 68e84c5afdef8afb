"""What every column means, read from the comments that stand beside the columns of this room's modules.

A comment is the unit in brackets, where the column is a number, and the meaning: `# [tokens] of the prompt`. A column that is
taken from another schema has that one's words; one without words of its own has those of `columns.py`. What a table is says
the comment above its schema.
"""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

import polars as pl

from selfdistill.tables.columns import SAME_EVERYWHERE
from selfdistill.tables.schema import Schema

ROOM = Path(__file__).parent
WORDS = re.compile(r"(?:\[(?P<unit>[^]]+)\] )?(?P<meaning>.*)")


class Column(NamedTuple):
    name: str
    dtype: pl.DataType | type[pl.DataType]
    unit: str  # empty: none
    meaning: str  # empty: nobody said

    @classmethod
    def of(cls, name: str, comment: str, dtype: pl.DataType | type[pl.DataType] = pl.String) -> "Column":
        found = WORDS.fullmatch(comment)
        assert found is not None, comment
        return cls(name, dtype, found["unit"] or "", found["meaning"])

    @property
    def is_number(self) -> bool:
        inner = self.dtype.inner if isinstance(self.dtype, pl.List) else self.dtype
        return inner.is_numeric()


class Described(NamedTuple):
    name: str  # module.SCHEMA
    about: str
    columns: list[Column]


class Schemas(NamedTuple):
    """The schemas of this room: what is said of each column and of each table, and which are parts of others."""

    words: dict[str, dict[str, str]]
    about: dict[str, str]
    parts: set[str]


def described(name: str) -> Described:
    """A schema by its module and name, as `sampling.GRADED`."""
    said = schemas()
    columns = [Column.of(column, said.words[name][column], dtype) for column, dtype in schema_of(name).items()]
    return Described(name, said.about.get(name, ""), columns)


def schema_of(name: str) -> Schema:
    module, _, constant = name.partition(".")
    schema: Schema = getattr(import_module(f"selfdistill.tables.{module}"), constant)
    return schema


@cache
def schemas() -> Schemas:
    said = Schemas({}, {}, set())
    for module in sorted(ROOM.glob("*.py")):
        _Module(module, said).read()
    return said


class _Module:
    """One module's schemas. Those that it takes from others are read first."""

    def __init__(self, file: Path, said: Schemas) -> None:
        text = file.read_text(encoding="utf-8")
        self.name, self.said, self.tree = file.stem, said, ast.parse(text)
        tokens = list(tokenize.generate_tokens(io.StringIO(text).readline))
        self.comments = {at.start[0]: at.string.lstrip("# ") for at in tokens if at.type == tokenize.COMMENT}
        self.alone = {at.start[0] for at in tokens if at.type == tokenize.COMMENT and at.start[1] == 0}
        self.from_others: dict[str, str] = {}

    def read(self) -> None:
        for node in self.tree.body:
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("selfdistill.tables."):
                self._imported(str(node.module).rpartition(".")[2], node.names)
            elif isinstance(node, ast.AnnAssign) and ast.unparse(node.annotation) == "Schema" and node.value:
                self._schema(ast.unparse(node.target), node.value, node.lineno)

    def _imported(self, module: str, names: list[ast.alias]) -> None:
        if any(name.name.isupper() and f"{module}.{name.name}" not in self.said.words for name in names):
            _Module(ROOM / f"{module}.py", self.said).read()
        self.from_others |= {name.name: f"{module}.{name.name}" for name in names}

    def _schema(self, name: str, value: ast.expr, line: int) -> None:
        full = f"{self.name}.{name}"
        self.said.words[full] = self._alias(value) if isinstance(value, ast.Name) else dict(self._columns(value))
        self.said.about[full] = self._above(line) or (
            self.said.about.get(self._full(value.id), "") if isinstance(value, ast.Name) else ""
        )

    def _alias(self, value: ast.Name) -> dict[str, str]:
        return self.said.words[self._full(value.id)]

    def _columns(self, value: ast.expr) -> Iterator[tuple[str, str]]:
        assert isinstance(value, ast.Dict), ast.unparse(value)
        for key, column in zip(value.keys, value.values, strict=True):
            if isinstance(key, ast.Constant):
                yield str(key.value), self._own(str(key.value), column)
            else:
                yield from self._taken(column).items()

    def _own(self, name: str, column: ast.expr) -> str:
        """Beside the column; or of the schema that its type is taken from; or what it means everywhere."""
        if (beside := self.comments.get(column.end_lineno or 0)) is not None:
            return beside
        if isinstance(column, ast.Subscript):
            return self._words(column.value).get(ast.literal_eval(column.slice), "")
        return SAME_EVERYWHERE.get(name, "")

    def _taken(self, part: ast.expr) -> dict[str, str]:
        """`**OTHER`, or `**{k: OTHER[k] for k in (…)}`."""
        if isinstance(part, ast.DictComp) and isinstance(part.value, ast.Subscript):
            words = self._words(part.value.value)
            return {name: words[name] for name in ast.literal_eval(part.generators[0].iter)}
        return self._words(part)

    def _words(self, schema: ast.expr) -> dict[str, str]:
        assert isinstance(schema, ast.Name), ast.unparse(schema)
        self.said.parts.add(self._full(schema.id))
        return self.said.words[self._full(schema.id)]

    def _full(self, name: str) -> str:
        return self.from_others.get(name, f"{self.name}.{name}")

    def _above(self, line: int) -> str:
        """The comment that stands directly above."""
        first = line
        while first - 1 in self.alone:
            first -= 1
        return " ".join(self.comments[at] for at in range(first, line))
