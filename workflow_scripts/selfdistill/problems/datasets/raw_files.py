"""Opens raw dataset files: Parquet, CSV, JSON, JSON Lines, XML. What is not as expected is one sentence with the file and the mend.

Rows come one at a time and Parquet is read in batches of few columns, so that a file of any size fits in memory.
"""

import csv
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal
from xml.etree import ElementTree

import pyarrow
import pyarrow.parquet
from pyarrow import types

from selfdistill.foundation.errors import UserError

Kind = Literal["text", "texts", "whole number", "flag", "number or text", "turns", "record"]
Row = dict[str, Any]
BATCH = 1000  # rows; a solution may have many thousands of characters
AGAIN = "download the dataset again, at the revision that the study file names"


def find_files(folder: Path, pattern: str) -> list[Path]:
    """The files of a pattern in the order of their names; at least one."""
    found = sorted(path for path in folder.glob(pattern) if path.is_file())
    if not found:
        raise UserError(f"{folder}: holds no file {pattern!r}; {AGAIN}.")
    return found


def first_files(folder: Path, patterns: Sequence[str]) -> list[Path]:
    """The files of the first pattern that has any: a dataset may lie as its hub or as its authors serve it."""
    for pattern in patterns:
        if any(path.is_file() for path in folder.glob(pattern)):
            return find_files(folder, pattern)
    return find_files(folder, patterns[0])


def parquet_rows(
    path: Path, columns: Mapping[str, Kind], where_there: Mapping[str, Kind] | None = None
) -> Iterator[Row]:
    """`where_there` are columns that a copy may lack: a row has them where the file does."""
    _look_at_the_beginning(path)
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            _check_columns(path, columns, file.schema_arrow.names)
            others = {name: kind for name, kind in (where_there or {}).items() if name in file.schema_arrow.names}
            wanted = {**columns, **others}
            for name, kind in wanted.items():
                found = file.schema_arrow.field(name).type
                if not _is_of_kind(found, kind):
                    raise UserError(f"{path}: its column {name!r} must be of {kind} but is of {found}; {AGAIN}.")
            for batch in file.iter_batches(BATCH, columns=list(wanted)):
                yield from batch.to_pylist()
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
        said = (str(error).splitlines() or [""])[0].rstrip(".")
        raise UserError(f"{path}: is no whole Parquet file ({said}); {AGAIN}.") from None


def csv_rows(path: Path, columns: Collection[str]) -> Iterator[Row]:
    _look_at_the_beginning(path)
    try:
        with open(path, encoding="utf-8-sig", newline="") as handle:
            reader = csv.DictReader(handle)
            _check_columns(path, columns, reader.fieldnames or [])
            for row in reader:
                if None in row or None in row.values():
                    raise UserError(f"{path}, line {reader.line_num}: has not as many fields as the header; {AGAIN}.")
                yield row
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: cannot be read as CSV ({error}); {AGAIN}.") from None


def json_rows(path: Path, columns: Collection[str]) -> Iterator[Row]:
    _look_at_the_beginning(path)
    try:
        with open(path, encoding="utf-8-sig") as handle:
            for line, text in enumerate(handle, start=1):
                if text.strip():
                    yield _json_row(f"{path}, line {line}", text, columns)
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read as text ({error}); {AGAIN}.") from None


def json_array(path: Path, columns: Collection[str]) -> Iterator[Row]:
    """A file that is one list of objects."""
    _look_at_the_beginning(path)
    try:
        rows = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read as text ({error}); {AGAIN}.") from None
    except (json.JSONDecodeError, RecursionError):
        raise UserError(f"{path}: is not JSON; {AGAIN}.") from None
    if not isinstance(rows, list):
        raise UserError(f"{path}: is not a JSON list; {AGAIN}.")
    for number, row in enumerate(rows, start=1):
        yield _with_columns(f"{path}, row {number}", row, columns)


def xml_rows(path: Path, element: str, children: Mapping[str, str], attributes: Collection[str]) -> Iterator[Row]:
    """The elements of one name: the texts of their children under our names, and attributes. Entities are never resolved."""
    _look_at_the_beginning(path, xml=True)
    try:
        text = path.read_text(encoding="utf-8-sig")
        if "<!doctype" in text.lower() or "<!entity" in text.lower():
            raise UserError(
                f"{path}: declares a document type or entities, which the dataset's file does not; {AGAIN}."
            )
        found = list(ElementTree.fromstring(text).iter(element))
    except (OSError, UnicodeDecodeError, ValueError, LookupError, ElementTree.ParseError) as error:
        raise UserError(f"{path}: cannot be read as XML ({error}); {AGAIN}.") from None
    if not found:
        raise UserError(f"{path}: holds no <{element}>; {AGAIN}.")
    for number, one in enumerate(found, start=1):
        row: Row = {ours: one.findtext(theirs) for ours, theirs in children.items()}
        row |= {name: one.get(name) for name in attributes}
        missing = [children.get(name, name) for name, value in row.items() if value is None]
        if missing:
            raise UserError(f"{path}, <{element}> {number}: has no {missing[0]!r}; {AGAIN}.")
        yield row


def _json_row(place: str, text: str, columns: Collection[str]) -> Row:
    try:
        row = json.loads(text)
    except (json.JSONDecodeError, RecursionError):
        raise UserError(f"{place}: is not JSON; {AGAIN}.") from None
    return _with_columns(place, row, columns)


def _with_columns(place: str, row: Any, columns: Collection[str]) -> Row:
    if not isinstance(row, dict):
        raise UserError(f"{place}: is not a JSON object; {AGAIN}.")
    for name in columns:
        if name not in row:
            raise UserError(f"{place}: has no {name!r} but {_some(row)}; {AGAIN}.")
    return row


def text_of(row: Row, column: str) -> str | None:
    """What a column holds that a copy may lack."""
    value = row.get(column)
    return value if isinstance(value, str) else None


def _look_at_the_beginning(path: Path, xml: bool = False) -> None:
    """Downloads that went wrong leave files of the right name: a pointer, a page that asks to sign in, nothing at all."""
    try:
        with open(path, "rb") as handle:
            beginning = handle.read(200).lstrip().lower()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); {AGAIN}.") from None
    if not beginning:
        raise UserError(f"{path}: is empty; {AGAIN}.")
    if beginning.startswith(b"version https://git-lfs"):
        raise UserError(f"{path}: is a Git LFS pointer and not the file itself; run `git lfs pull` or {AGAIN}.")
    if beginning.startswith((b"<!doctype", b"<html", *(() if xml else (b"<?xml",)))):
        raise UserError(f"{path}: is a web page and not the dataset's file; see what it says, then {AGAIN}.")


def _check_columns(path: Path, wanted: Collection[str], there: Collection[str]) -> None:
    for name in wanted:
        if name not in there:
            raise UserError(f"{path}: has no column {name!r} but {_some(there)}; {AGAIN}.")


def _some(names: Collection[str]) -> str:
    """Names out of a file, which may be anything and many."""
    return ", ".join(repr(str(name)[:40]) for name in list(names)[:12]) or "none"


def _is_of_kind(found: pyarrow.DataType, kind: Kind) -> bool:
    if kind == "texts":
        return types.is_list(found) or types.is_large_list(found)
    if kind == "flag":
        return types.is_boolean(found)
    if kind == "whole number":
        return types.is_integer(found)
    if kind == "turns":
        return types.is_list(found) and types.is_struct(found.value_type) and _has(found.value_type, "content")
    if kind == "record":
        return types.is_struct(found)
    if kind == "number or text" and (types.is_integer(found) or types.is_floating(found)):
        return True
    return types.is_string(found) or types.is_large_string(found) or types.is_null(found)  # null: a column of nothing


def _has(struct: pyarrow.DataType, name: str) -> bool:
    return any(field.name == name for field in struct)
