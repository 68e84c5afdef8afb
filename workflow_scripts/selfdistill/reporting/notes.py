"""Sentences that several captions and notes share: what n counts, what a decode does, what a fair comparison chose from."""

import polars as pl

from selfdistill.foundation import wording
from selfdistill.foundation.wording import count, plural, several
from selfdistill.reporting.inputs import ReportInputs
from selfdistill.reporting.select import decodes_asked
from selfdistill.tables import words


def n_of(rows: pl.DataFrame) -> str:
    """`n = 349 families`: what `n` counts differs from table to table, so the rows say it."""
    known = rows.drop_nulls("n")
    if known.is_empty():
        return "n unknown"
    units = known["unit"].fill_null(words.PROBLEM)
    counts = {unit: known.filter(units == unit)["n"].to_list() for unit in units.unique(maintain_order=True)}
    parts = [f"{between(n)} {unit if max(n) == 1 else several(unit)}" for unit, n in counts.items()]
    return f"n = {' and '.join(parts)}"


def between(numbers: list[int]) -> str:
    low, high = min(numbers), max(numbers)
    return count(low) if low == high else f"{count(low)} to {count(high)}"


def n_counts(rows: pl.DataFrame) -> str:
    """What the column n counts, from the rows themselves."""
    units = [several(unit) for unit in rows["unit"].drop_nulls().unique(maintain_order=True)]
    explained = ["families of near-duplicate problems" if unit == "families" else unit for unit in units]
    return f"n counts {' or '.join(explained)}." if explained else ""


def decoding_rule(inputs: ReportInputs, decode: str, cap: str | None = "at most") -> str:
    """What a decode of the study does: `T 1.1, top-k 20`."""
    return wording.decode_in_words(inputs.study.get("decodes", {}).get(decode, {"temperature": float("nan")}), cap=cap)


def fair_menus(inputs: ReportInputs) -> str:
    """What the sides of a fair comparison chose from, and that the choice's own noise is in its interval."""
    tables = [table for table in (inputs.verdicts, inputs.comparisons) if table is not None]
    if not any(words.FAIR in table["comparison"] for table in tables):
        return ""
    base, arm = decodes_asked(inputs.study, "base"), decodes_asked(inputs.study, "final")
    menu = [decode for decode in base if decode in arm]
    return (
        f"In fair comparisons with the base both sides choose from the same {plural(len(menu), 'decode')} ({', '.join(menu)}), the "
        "one that was most accurate on dev; the estimate is the mean over the choices that resampled dev problems make, and "
        "its interval holds their spread."
    )
