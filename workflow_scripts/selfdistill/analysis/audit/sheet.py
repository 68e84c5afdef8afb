"""The sheet that a person fills, as CSV that any spreadsheet opens, and what is read of it when it is filled.

What models and problems wrote is text: a cell that a spreadsheet would take for a formula gets an apostrophe in front,
which is taken off again when the sheet is read.
"""

import csv
import io
import re
from pathlib import Path

import polars as pl

from selfdistill.foundation.errors import UserError

COLUMNS = ("row", "problem", "gold", "answer", "ending", "right", "comment")
YES, NO, UNCLEAR = "yes", "no", "unclear"
SAID = (YES, NO, UNCLEAR)
ENDING = 600  # characters of the completion's end
LONGEST = 8000  # characters of a cell; spreadsheets cut off at 32,767
FORMULA = re.compile(r"\s*[=+\-@\t\r\uFF1D\uFF0B\uFF0D\uFF20]|[\t\r\n]")
UNPRINTABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")
BYTE_ORDER_MARK = "\ufeff"  # tells spreadsheets that the file is UTF-8


def sheet(rows: pl.DataFrame) -> str:
    """`rows` has the first five columns; the person's own are empty."""
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\r\n", quoting=csv.QUOTE_ALL)
    writer.writerow(COLUMNS)
    for row in rows.select(COLUMNS[:5]).iter_rows():
        writer.writerow([*(defused(shown(cell or "")) for cell in row), "", ""])
    return BYTE_ORDER_MARK + written.getvalue()


def shown(text: str) -> str:
    """What a cell can hold: no control characters, and not longer than a spreadsheet keeps."""
    text = UNPRINTABLE.sub("\ufffd", text)
    half = LONGEST // 2
    return text if len(text) <= LONGEST else f"{text[:half]} […] {text[-half:]}"


def ending(text: str) -> str:
    return text if len(text) <= ENDING else f"… {text[-ENDING:]}"


def defused(cell: str) -> str:
    """With an apostrophe where a spreadsheet would calculate, and where one stands already before such a cell."""
    return f"'{cell}" if FORMULA.match(cell.lstrip("'")) else cell


def restored(cell: str) -> str:
    return cell[1:] if cell.startswith("'") and FORMULA.match(cell.lstrip("'")) else cell


def read_sheet(path: Path) -> list[dict[str, str]]:
    """Its rows by column, as they were before they were defused; separated by what the spreadsheet chose."""
    text = _text(path)
    header = text.partition("\n")[0]
    separator = max(",;\t", key=header.count)
    try:
        lines = [line for line in csv.reader(io.StringIO(text, newline=""), delimiter=separator) if any(line)]
    except csv.Error as error:
        raise UserError(f"{path}: is no CSV file that can be read ({error}); save the sheet as CSV anew.") from error
    names = [name.strip().lower() for name in lines[0]] if lines else []
    for column in ("row", "right"):
        if names.count(column) != 1:
            raise UserError(
                f"{path}: has {names.count(column) or 'no'} column {column!r}; keep the sheet's first line as it is."
            )
    return [dict(zip(names, map(restored, line), strict=False)) for line in lines[1:]]


def _text(path: Path) -> str:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); name the filled copy of the sheet.") from error
    if content.startswith(b"PK"):
        raise UserError(f"{path}: is a workbook, not a CSV file; save the sheet as CSV, UTF-8.")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UserError(f"{path}: is not UTF-8 text; save the sheet as CSV, UTF-8.") from None


def judgements(path: Path, key: pl.DataFrame) -> pl.DataFrame:
    """`row` and `right` (yes, no or unclear) of every row that is filled; a UserError where the sheet cannot be meant."""
    known = set(key["row"])
    said: dict[str, str] = {}
    unknown = []
    for line in read_sheet(path):
        row, word = line.get("row", "").strip(), line.get("right", "").strip().lower()
        if row not in known:
            unknown.append(row)
        elif row in said:
            raise UserError(f"{path}: row {row} stands there twice; keep one of them.")
        elif word and word not in SAID:
            raise UserError(
                f"{path}: row {row} says {word[:40]!r} in the column right; write yes, no or unclear, or nothing."
            )
        else:
            said[row] = word
    if unknown:
        raise UserError(
            f"{path}: row {unknown[0][:40]!r} ({len(unknown)} in all) is not on the sheet of these answers, which were sampled "
            "or graded anew since; delete such rows, and take the others from the present audit/sheet.csv."
        )
    filled = [(row, word) for row, word in said.items() if word]
    if not filled:
        raise UserError(
            f"{path}: its column right is empty; write yes, no or unclear, or remove evaluation.audit.filled."
        )
    return pl.DataFrame(filled, schema={"row": pl.String, "right": pl.String}, orient="row")
