"""Whether a new run of a bundle's study has the same tables: the analysis, column by column, and the largest difference."""

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from selfdistill.foundation.errors import UserError
from selfdistill.publishing.archive import Opened, read_member
from selfdistill.publishing.members import RESULTS
from selfdistill.tables.faults import unreadable_table

ROOM = "analysis"
ROUNDING = 1e-9  # of the larger of 1 and the value: what another order of summing does


@dataclass(frozen=True)
class Compared:
    name: str
    same: bool
    said: str


def compared(bundle: Path, opened: Opened, results: Path) -> list[Compared]:
    """A bundle's digests must have been checked before."""
    if not (results / ROOM).is_dir():
        raise UserError(f"{results / ROOM}: is not there; run the study first, and name the folder of its results.")
    names = [
        name for name in opened.contents["files"] if name.startswith(f"{RESULTS}/{ROOM}/") and name.endswith(".parquet")
    ]
    return [
        _table(bundle, name, opened.contents["files"][name].bytes, results / name.removeprefix(f"{RESULTS}/"))
        for name in names
    ]


def _table(bundle: Path, name: str, size: int, path: Path) -> Compared:
    short = Path(name).stem
    if not path.is_file():
        return Compared(short, False, "is not there")
    then = pl.read_parquet(read_member(bundle, name, size))
    try:
        now = pl.read_parquet(path)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise unreadable_table(path, error) from error
    if now.equals(then):
        return Compared(short, True, "the same")
    if now.schema != then.schema:
        return Compared(short, False, "has other columns: it was made by another version")
    if now.height != then.height:
        return Compared(short, False, f"has {now.height:,} rows; the bundle has {then.height:,}")
    apart = [column for column in now.columns if not _equal(now[column], then[column])]
    if not apart:
        return Compared(short, True, "the same up to rounding")
    return Compared(short, False, f"differs in {', '.join(apart[:5])}")


def _equal(now: pl.Series, then: pl.Series) -> bool:
    if not now.dtype.is_float():
        return now.equals(then)
    if not now.is_null().equals(then.is_null()):
        return False
    apart = pl.select(
        ((now - then).abs() > ROUNDING * pl.max_horizontal(pl.lit(1.0), now.abs(), then.abs()))
        & ~(now.is_nan() & then.is_nan())
    ).to_series()
    return not apart.fill_null(False).any()
