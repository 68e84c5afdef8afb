"""A new run's tables are held against the packed ones: the same, the same but for what a machine does, or other ones."""

import math
from pathlib import Path

import polars as pl
import pytest

from selfdistill.foundation.errors import UserError
from selfdistill.publishing.archive import checked, digest_of, write_archive
from selfdistill.publishing.members import Kind, Member
from selfdistill.publishing.rerun import compared, held

THEN = pl.DataFrame(
    {
        "id": ["a", "b", "c"], "seconds": [1.0, 2.0, 3.0], "peak_bytes": [10, 20, 30], "logprob": [-250.0, 0.5, None],
        "share": [0.1, math.nan, math.inf], "laws": [[0.5, 0.25], [], [1.0]],
    }
)  # fmt: skip


def said(**columns: pl.Expr) -> tuple[bool, bool, str]:
    found = held("levels", THEN.with_columns(**columns), THEN)
    return found.same, found.exact, found.said


def test_equal_tables_are_the_same() -> None:
    assert said() == (True, True, "the same")


@pytest.mark.parametrize(
    "columns",
    [
        {"seconds": pl.col("seconds") * 7, "peak_bytes": pl.lit(0, pl.Int64)},
        {"logprob": pl.col("logprob") * (1 + 1e-12)},
        {"laws": pl.col("laws").list.eval(pl.element() + 1e-12)},
    ],
)
def test_times_memory_and_last_bits_are_no_difference(columns: dict[str, pl.Expr]) -> None:
    assert said(**columns) == (True, False, "the same but for times and rounding")


def test_how_far_numbers_are_apart_is_told_by_column() -> None:
    assert said(logprob=pl.col("logprob") * (1 + 1e-6)) == (False, False, "differs in logprob (by 1e-06)")
    assert said(share=pl.col("share") + 0.01)[2] == "differs in share (by 0.01)"
    assert said(laws=pl.col("laws").list.eval(pl.element() * 2))[2] == "differs in laws (by 0.5)"


@pytest.mark.parametrize(
    "columns",
    [
        {"id": pl.Series(["a", "b", "d"])},
        {"share": pl.Series([0.1, 0.1, math.inf])},
        {"share": pl.Series([0.1, math.nan, -math.inf])},
        {"logprob": pl.col("logprob").fill_null(0.0)},
        {"laws": pl.Series([[0.5, 0.25], [1.0], []])},
    ],
)
def test_another_text_or_a_number_where_none_was_is_a_difference(columns: dict[str, pl.Expr]) -> None:
    assert said(**columns) == (False, False, f"differs in {next(iter(columns))}")


def test_other_rows_and_columns_are_told() -> None:
    assert held("x", THEN.head(1), THEN).said == "differs: it has 1 rows; the bundle has 3"
    assert "was made by another version" in held("x", THEN.drop("share"), THEN).said


@pytest.mark.parametrize("content", ["PAR1", "no table", ""])
def test_a_packed_table_that_was_damaged_before_it_was_packed_is_a_sentence(tmp_path: Path, content: str) -> None:
    member = Member("results/analysis/levels.parquet", Kind.OURS, text=content)
    write_archive([member], {member.name: digest_of(member)}, {"study": "x"}, tmp_path / "x.zip")
    (tmp_path / "analysis").mkdir()
    THEN.write_parquet(tmp_path / "analysis/levels.parquet")
    with pytest.raises(UserError, match=r"x.zip: results/analysis/levels.parquet in it is a damaged Parquet file"):
        compared(tmp_path / "x.zip", checked(tmp_path / "x.zip"), tmp_path)
