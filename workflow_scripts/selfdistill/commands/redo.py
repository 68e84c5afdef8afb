"""The rows behind a number of the report, and a few lines of polars that make it again.

forklock redo config/my.yaml                                       (the names of all numbers)
forklock redo config/my.yaml accuracy:ssd/seed-0/at-100:t07        (a level)
forklock redo config/my.yaml accuracy:ssd/seed-0/at-100-base:t07   (a difference)
forklock redo config/my.yaml ssd-at-0-7 --rows behind.parquet      (the answer to a hypothesis, and all rows behind it)

The lines are run here as well, and what they give stands beside what the table says.
"""

import argparse
import contextlib
import io
import math
from pathlib import Path

import polars as pl

from selfdistill.commands.given import add_study, refuse_no_place
from selfdistill.foundation.errors import UserError
from selfdistill.foundation.files import whole_file
from selfdistill.reporting.numbers import Number, lines_of, number_of, numbers, rows_of
from selfdistill.study.load import study_of
from selfdistill.study.study import Study

SUMMARY = "The rows behind a number of the report, and the lines that make it again."
FIRST = 8  # rows shown of each model


def arguments(parser: argparse.ArgumentParser) -> None:
    add_study(parser, usual=None)
    parser.add_argument("number", nargs="?", help="its name; without one all are listed")
    parser.add_argument("--rows", type=Path, metavar="FILE", help="write all rows behind it, as Parquet")
    parser.add_argument("--all", action="store_true", help="without a number: also those of parts of the problems")


def run(asked: argparse.Namespace) -> int:
    study = study_of(asked.study)
    if asked.rows is not None:
        refuse_no_place("--rows", asked.rows)
    if asked.number is None:
        for number in reversed(numbers(study).values()):
            if asked.all or (number.budget, number.split) == ("full", "test"):
                print(f"{number.name:<64} {told(number)}")
        return 0
    return redo(study, number_of(study, asked.number), asked.rows)


def redo(study: Study, number: Number, out: Path | None) -> int:
    lines = lines_of(study, number)
    print(f"{number.name}: {told(number)}, from {study.results}/{number.table}")
    if number.said:
        print(number.said)
    rows = list(rows_of(study, number))
    for table in rows:
        print(f"\n{study.results}/models/{table['model_id'][0]}/graded.parquet: {table.height:,} answers, of which")
        with pl.Config(
            tbl_rows=FIRST,
            tbl_cols=-1,
            tbl_hide_dataframe_shape=True,
            tbl_hide_column_data_types=True,
            fmt_str_lengths=24,
            tbl_width_chars=160,
        ):
            print(table.drop("model_id").head(FIRST))
    print(f"\n{lines}\n")
    made = printed_by(lines)
    same = number.estimate is not None and math.isclose(made, number.estimate, abs_tol=1e-12)
    print(f"gives {made!r}; the table has {number.estimate!r}: {'the same' if same else 'NOT THE SAME'}")
    if out is not None:
        with whole_file(out) as part:
            pl.concat(rows).write_parquet(part)
    return int(not same)


def told(number: Number) -> str:
    interval = f" [{number.low:.4g}, {number.high:.4g}]" if number.low is not None and number.high is not None else ""
    estimate = "none" if number.estimate is None else f"{number.estimate:.6g}"
    return f"{estimate}{interval}, n {number.n:,} ({number.unit})"


def printed_by(lines: str) -> float:
    """The lines as a person would run them. They are ours: names in them are of the study, and were checked with it."""
    said = io.StringIO()
    try:
        with contextlib.redirect_stdout(said):
            exec(compile(lines, "the lines", "exec"), {})
    except pl.exceptions.PolarsError as error:
        raise UserError(
            f"the tables behind it cannot be read ({type(error).__name__}: {error}); run the study again."
        ) from error
    return float(said.getvalue())
