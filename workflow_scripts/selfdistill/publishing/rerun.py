"""Whether a new run of a bundle's study has the same tables: the analysis, column by column, and the largest difference."""

import math
import re
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from selfdistill.foundation.errors import UserError
from selfdistill.publishing.archive import Opened, read_member
from selfdistill.publishing.members import RESULTS
from selfdistill.tables.faults import unreadable_table

ROOM = "analysis"
ROUNDING = 1e-9  # of the larger of 1 and the value: what another order of summing does
OF_THE_MACHINE = re.compile(r"(.*_)?(seconds|bytes)(_.*)?")  # columns: how long it took, and how much memory


@dataclass(frozen=True)
class Compared:
    name: str
    same: bool  # but for what another machine does
    exact: bool
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
        return Compared(short, False, False, "is not there")
    try:
        then = pl.read_parquet(read_member(bundle, name, size))
    except (pl.exceptions.PolarsError, OSError) as error:
        raise UserError(
            f"{bundle}: {name} in it is a damaged Parquet file, and was one when it was packed ({type(error).__name__}); ask "
            "who made the bundle for another."
        ) from error
    try:
        now = pl.read_parquet(path)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise unreadable_table(path, error) from error
    return held(short, now, then)


def held(name: str, now: pl.DataFrame, then: pl.DataFrame) -> Compared:
    if now.equals(then):
        return Compared(name, True, True, "the same")
    if now.schema != then.schema:
        return Compared(name, False, False, "differs: it has other columns, so it was made by another version")
    if now.height != then.height:
        return Compared(name, False, False, f"differs: it has {now.height:,} rows; the bundle has {then.height:,}")
    far = {column: _apart(now[column], then[column]) for column in now.columns if not OF_THE_MACHINE.fullmatch(column)}
    if not (unlike := {column: by for column, by in far.items() if by > ROUNDING}):
        return Compared(name, True, False, "the same but for times and rounding")
    told = [column if by == math.inf else f"{column} (by {by:.1g})" for column, by in unlike.items()]
    more = f" and {len(told) - 5} more columns" if len(told) > 5 else ""
    return Compared(name, False, False, f"differs in {', '.join(told[:5])}{more}")


def _apart(now: pl.Series, then: pl.Series) -> float:
    """The largest difference, as a share of the larger of 1 and the value; infinite where it is none of numbers."""
    if now.equals(then):
        return 0.0
    if isinstance(now.dtype, pl.List) and now.list.len().equals(then.list.len()):
        now, then = now.explode(), then.explode()
    if not now.dtype.is_float() or not now.is_null().equals(then.is_null()) or not _marks(now).equals(_marks(then)):
        return math.inf
    size = pl.max_horizontal(pl.lit(1.0), now.abs(), then.abs())
    found = pl.select(((now - then).abs() / size).filter(now.is_finite() & then.is_finite()).max()).item()
    return float(found or 0.0)


def _marks(values: pl.Series) -> pl.Series:
    """What of them is no number, or has no end."""
    return values.set(values.is_finite(), 0.0).cast(pl.String)
