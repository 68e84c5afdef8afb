"""Why a table cannot be used: only a damaged one is called damaged, and nothing dear is told to be deleted."""

import errno
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
import pytest

from selfdistill.foundation.errors import UserError
from selfdistill.tables.faults import UnusableTable
from selfdistill.tables.schema import Schema
from selfdistill.tables.streams import read_pieces
from selfdistill.tables.whole import read_table, write_table

SCHEMA: Schema = {"name": pl.String, "count": pl.Int32}
NEWER: Schema = SCHEMA | {"weight": pl.Float64}
NOBODY = 65534


def whole(path: Path, schema: Schema, columns: tuple[str, ...] = ()) -> pl.DataFrame:
    return read_table(path, schema, columns)


def in_pieces(path: Path, schema: Schema, columns: tuple[str, ...] = ()) -> pl.DataFrame:
    return pl.concat(read_pieces(path, schema, columns))


Reader = Callable[..., pl.DataFrame]
READERS = pytest.mark.parametrize("read", [whole, in_pieces])


@pytest.fixture
def table() -> Iterator[Path]:
    """In a folder that everybody may look into."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        path = Path(folder) / "table.parquet"
        write_table(pl.DataFrame({"name": ["a", "b"], "count": [1, 2]}), path, SCHEMA)
        yield path


def refusal(read: Reader, path: Path, schema: Schema = SCHEMA, columns: tuple[str, ...] = ()) -> UserError:
    with pytest.raises(UserError) as refused:
        read(path, schema, columns)
    return refused.value


@READERS
def test_a_table_that_may_not_be_read_is_not_called_damaged(read: Reader, table: Path) -> None:
    os.chmod(table, 0)
    before = os.geteuid()
    if before == 0:
        os.seteuid(NOBODY)
    try:
        said = refusal(read, table)
    finally:
        os.seteuid(before)
    assert str(said) == f"{table}: may not be read (permission denied); make it readable and run again."
    assert not isinstance(said, UnusableTable)


@READERS
def test_a_table_of_another_version_is_made_anew_and_not_deleted(read: Reader, table: Path) -> None:
    for columns in ((), ("name", "weight")):
        said = refusal(read, table, NEWER, columns)
        assert "was made by another version of this code (columns missing: weight; unknown: none)" in str(said)
        assert f"run again with --forcerun {table}" in str(said)
        assert "delete" not in str(said) and "damaged" not in str(said)
    assert "unknown: count" in str(refusal(read, table, {"name": pl.String}))
    assert "a column has the wrong type" in str(refusal(read, table, {"name": pl.Int32, "count": pl.Int32}))
    assert read(table, {"name": pl.String}, ("name",))["name"].to_list() == ["a", "b"]


@READERS
def test_a_damaged_table_says_so(read: Reader, table: Path) -> None:
    table.write_bytes(table.read_bytes()[:-20])
    said = refusal(read, table)
    assert "is damaged" in str(said) and isinstance(said, UnusableTable)


@READERS
def test_a_table_that_is_not_there_says_so(read: Reader, table: Path) -> None:
    assert "this table does not exist" in str(refusal(read, table.with_name("none.parquet")))


@READERS
@pytest.mark.parametrize(
    ("failure", "sentence"),
    [
        (MemoryError("malloc"), "there is too little memory to read it; give the job more"),
        (OSError(errno.EIO, os.strerror(errno.EIO)), "could not be read (Input/output error)"),
        (OSError("Stale file handle (os error 116)"), "could not be read (Stale file handle (os error 116))"),
    ],
    ids=["memory", "disk", "polars"],
)
def test_what_the_machine_fails_at_says_nothing_against_the_file(
    read: Reader, table: Path, failure: Exception, sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*given: object, **named: object) -> None:
        raise failure

    monkeypatch.setattr(pl, "read_parquet", fails)
    monkeypatch.setattr(pq, "ParquetFile", fails)
    said = refusal(read, table)
    assert sentence in str(said) and "damaged" not in str(said) and "delete" not in str(said)
    assert not isinstance(said, UnusableTable)


def test_a_table_that_does_not_fit_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"does not fit its schema \(columns missing: count; unknown: extra\)\.$"):
        write_table(pl.DataFrame({"name": ["a"], "extra": [1]}), tmp_path / "table.parquet", SCHEMA)
    assert not list(tmp_path.iterdir())
