"""The rows behind a number of the report, and a few lines that make it again, with its interval.

forklock redo config/my.yaml --list                                (the kinds of names, and what has none)
forklock redo config/my.yaml --all                                 (every name, also of parts of the problems)
forklock redo config/my.yaml --list ssd accuracy t07               (those with all of these words in them)
forklock redo config/my.yaml accuracy:ssd/seed-0/at-100:t07        (a level)
forklock redo config/my.yaml accuracy:ssd/seed-0/at-100-base:t07   (a difference, paired by problem)
forklock redo config/my.yaml ssd-at-0-7 --rows behind.parquet      (the answer to a hypothesis, and all rows behind it)

The page shows the name of each number that can be made again: point at the number, or open the list under its table. The
lines are run here as well, and what they give stands beside what the table says.
"""

import argparse
import contextlib
import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from selfdistill.commands.given import add_study, refuse_place
from selfdistill.foundation.errors import UserError
from selfdistill.foundation.files import whole_file
from selfdistill.foundation.wording import plural
from selfdistill.reporting.numbers.behind import rows_behind
from selfdistill.reporting.numbers.index import NOT_REDONE, Number, number_of, searched
from selfdistill.reporting.numbers.recipes import lines_of
from selfdistill.study.load import study_of
from selfdistill.study.study import Study

SUMMARY = "The rows behind a number of the report, and the lines that make it again."
FIRST = 8  # rows shown of each file
COLUMNS = 12  # shown of each row

Value = float | str | None


def arguments(parser: argparse.ArgumentParser) -> None:
    add_study(parser, usual=None)
    parser.add_argument("number", nargs="?", help="its name; without one the kinds of names are listed")
    parser.add_argument("--list", nargs="*", metavar="WORD", help="list the names that all of these words are in")
    parser.add_argument("--rows", type=Path, metavar="FILE.parquet", help="write all rows behind it to a new file")
    parser.add_argument("--all", action="store_true", help="list every name, also of parts of the problems")


def run(asked: argparse.Namespace) -> int:
    study = study_of(asked.study)
    if asked.rows is not None:
        refuse_place("--rows", asked.rows, ".parquet")
    if asked.number is not None and asked.list is None:
        return redo(study, number_of(study, asked.number), asked.rows)
    listed(study, [*([asked.number] if asked.number else []), *(asked.list or [])], asked.all)
    return 0


def listed(study: Study, wanted: Sequence[str], everything: bool) -> None:
    found = searched(study, wanted, everything)
    if not found:
        raise UserError(
            f"{' '.join(wanted)}: no number of {study.study} has all of these words; leave one out, or say --all."
        )
    if wanted or everything:
        for number in found:
            print(f"{number.name:<64} {told(number)}")
    else:
        of_each_kind(found)
    without = [table for table in NOT_REDONE if (Path(study.results) / f"analysis/{table}.parquet").is_file()]
    if without and not wanted:
        print("\nWhat has no name, and why:")
        for table in without:
            print(f"  analysis/{table}.parquet: {NOT_REDONE[table]}.")


def of_each_kind(found: Sequence[Number]) -> None:
    """By the first word of their names: all of them would be thousands of lines."""
    kinds: dict[str, list[str]] = {}
    for number in found:
        first, colon, _ = number.name.partition(":")
        kinds.setdefault(first if colon else "an answer to a hypothesis", []).append(number.name)
    for kind, names in kinds.items():
        print(f"{kind:<32} {plural(len(names), 'name')}, as {names[0]}")
    print("\nforklock redo STUDY.yaml --list WORD … shows those with all of these words, and --all every name.")


def redo(study: Study, number: Number, out: Path | None) -> int:
    lines = lines_of(study, number)
    print(f"{number.name}: {told(number)}, from {study.results}/analysis/{number.table}.parquet")
    if said := number.row.get("sentence"):
        print(said)
    rows = list(rows_behind(study, number))
    for file, table in rows:
        print(f"\n{file}: {table.height:,} rows, of which")
        with pl.Config(
            tbl_rows=FIRST,
            tbl_cols=COLUMNS,
            tbl_hide_dataframe_shape=True,
            tbl_hide_column_data_types=True,
            fmt_str_lengths=20,
            tbl_width_chars=200,
        ):
            print(table.drop("model_id", strict=False).head(FIRST))
    print(f"\n{lines}\n")
    made, reported = printed_by(lines), number.reported
    same = len(made) == len(reported) and all(map(alike, made, reported))
    print(f"gives {in_words(made)}; the table has {in_words(reported)}: {'the same' if same else 'NOT THE SAME'}")
    if out is not None:
        with whole_file(out) as part:
            pl.concat([table for _, table in rows], how="diagonal").write_parquet(part)
    return int(not same)


def told(number: Number) -> str:
    row, (estimate, *ends) = number.row, number.reported
    text = "none" if estimate is None else estimate if isinstance(estimate, str) else f"{estimate:.6g}"
    if len(ends) >= 2 and None not in ends[:2]:
        text += f" [{ends[0]:.4g}, {ends[1]:.4g}]"
    counted = f"n {row['n']:,}" + (f" ({row['unit']})" if row.get("unit") else "") if row.get("n") is not None else ""
    spoken = row.get("claim") if row.get("training_seeds") else None
    return ", ".join(part for part in (text, counted, row.get("method"), spoken) if part)


def printed_by(lines: str) -> list[Value]:
    """What the lines print, as a person would run them. They are ours: what a table says stands in them as a constant alone."""
    said = io.StringIO()
    try:
        with contextlib.redirect_stdout(said):
            exec(compile(lines, "the lines", "exec"), {})
    except (pl.exceptions.PolarsError, OSError) as error:
        raise UserError(
            f"the tables behind it cannot be read ({type(error).__name__}: {error}); run the study again."
        ) from error
    return [_value(line) for line in said.getvalue().splitlines()]


def _value(line: str) -> Value:
    try:
        number = float(line)
    except ValueError:
        return None if line == "None" else line
    return number if math.isfinite(number) else None


def alike(made: Value, reported: Any) -> bool:
    """To the last digits that are worth anything: ends of intervals are searched for to ten places."""
    if isinstance(made, float) and isinstance(reported, int | float):
        return math.isclose(made, reported, rel_tol=1e-9, abs_tol=1e-9)
    return bool(made == reported)


def in_words(values: Sequence[Any]) -> str:
    return ", ".join("none" if value is None else str(value) for value in values)
