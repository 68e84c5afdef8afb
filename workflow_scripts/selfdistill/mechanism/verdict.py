"""What the tables of the mechanism say, in a sentence each: made of their numbers, for the page and the log."""

from typing import Any

import polars as pl

from selfdistill.foundation.wording import number
from selfdistill.tables import words

Row = dict[str, Any]

PLACES = {words.FORK: "forks", words.LOCK: "locks"}


def ssd_sentences(fit: pl.DataFrame) -> list[Row]:
    """Is it self-distillation, by arm: against the target of its own decode where there is one, or else the study's first."""
    return [{"arm": arm, "sentence": ssd_sentence(fit, arm)} for arm in fit["arm"].unique(maintain_order=True)]


def ssd_sentence(fit: pl.DataFrame, arm: str, decode_id: str | None = None) -> str:
    """Training moved the model 31 % [27, 35] of the way to the SSD target at forks and 4 % [1, 7] at locks; 60 % [...] of the
    movement is not towards it."""
    mine = _everywhere(fit.filter(pl.col("arm") == arm))
    measured = mine.filter(pl.col("method") != words.TARGET_IS_BASE)
    if measured.is_empty():
        return "No decode of the study asks for another law than the base's own, so that there is no target to reach."
    asked = decode_id or measured["decode_id"][0]
    rows: dict[tuple[str, str], Row] = {
        (row["measure"], row["token_class"]): row
        for row in measured.filter(pl.col("decode_id") == asked).iter_rows(named=True)
    }
    ways = {
        plural: rows[words.FIT_RATIO, name]
        for name, plural in PLACES.items()
        if known(rows.get((words.FIT_RATIO, name)))
    }
    if not ways:
        return f"Too few locks and forks were probed to say how far {arm} moved to the target of {asked}."
    return f"{_moved(arm, ways, asked)}; {_elsewhere(rows)}{_beyond(rows)}"


def _moved(arm: str, ways: dict[str, Row], asked: str) -> str:
    target = f"the target of {asked}"
    resolved = {plural: row for plural, row in ways.items() if not _holds_nothing(row)}
    nearer = [f"{share(row)} at {plural}" for plural, row in resolved.items() if row["estimate"] >= 0]
    further = [f"{share(_negative(row))} at {plural}" for plural, row in resolved.items() if row["estimate"] < 0]
    unresolved = [f"{share(row)} at {plural}" for plural, row in ways.items() if _holds_nothing(row)]
    open_ways = f"{' and '.join(unresolved)} of the way, which may be none"
    if not resolved:
        return f"Training moved {arm} towards {target} by {open_ways}"
    away = f"{' and '.join(further)} of the distance that there was"
    if nearer:
        first = nearer[0].replace(" at ", " of the way at ", 1)
        moved = f"Training moved {arm} towards {target}, {' and '.join([first, *nearer[1:]])}"
        moved += f", and away from it by {away}" if further else ""
    else:
        moved = f"Training moved {arm} away from {target}, by {away}"
    return f"{moved}; {open_ways}" if unresolved else moved


def _holds_nothing(row: Row) -> bool:
    """Whether the interval holds a movement of nothing."""
    return row["low"] is not None and row["low"] <= 0 <= row["high"]


def _negative(row: Row) -> Row:
    low, high = row["low"], row["high"]
    return {"estimate": -row["estimate"], "low": None if high is None else -high, "high": None if low is None else -low}


def _elsewhere(rows: dict[tuple[str, str], Row]) -> str:
    rest = rows.get((words.REMAINDER, words.EVERY_CLASS))
    return (
        f"{share(rest)} of the movement is not towards it."
        if known(rest) and rest
        else "how much else it moved is unknown."
    )


def _beyond(rows: dict[tuple[str, str], Row]) -> str:
    """Whether the null moved as far."""
    beyond = rows.get((words.FIT_BEYOND_NULL, words.EVERY_CLASS))
    if not beyond or beyond["low"] is None:
        return ""
    if beyond["low"] > 0:
        return f" That is {share(beyond)} more of the way than the fixed point came."
    if beyond["high"] < 0:
        return " The fixed point, which has nothing to learn, came nearer to it."
    return " The fixed point, which has nothing to learn, came as near to it, as far as can be told."


def share(row: Row) -> str:
    """31 % [27, 35]."""
    middle = f"{number(100 * row['estimate'], 0)} %"
    return middle if row["low"] is None else f"{middle} [{number(100 * row['low'], 0)}, {number(100 * row['high'], 0)}]"


def known(row: Row | None) -> bool:
    return row is not None and row["estimate"] is not None


def lock_and_fork_sentences(mechanism: pl.DataFrame) -> list[Row]:
    """What training did to the likeliest token of locks and to the entropy of forks, by arm, less the null."""
    rows = _everywhere(mechanism).filter(pl.col("decode_id").is_null())
    found = {(row["arm"], row["measure"], row["token_class"]): row for row in rows.iter_rows(named=True)}
    arms = rows["arm"].unique(maintain_order=True)
    return [{"arm": arm, "sentence": sentence} for arm in arms if (sentence := _locks_and_forks(arm, found))]


def _locks_and_forks(arm: str, found: dict[tuple[str, str, str], Row]) -> str:
    said = []
    for name, measure, unit, factor, digits in (
        (words.LOCK, words.TOP_PROBABILITY, "points", 100, 2),
        (words.FORK, words.ENTROPY, "nats", 1, 3),
    ):
        row = found.get((arm, measure, name))
        if not known(row) or row is None:
            continue
        what = {words.LOCK: "the likeliest token of locks", words.FORK: "the entropy of forks"}[name]
        said.append(f"{what} by {_change(row, factor, digits)} {unit}{_less(row, factor, digits)}")
    return f"{arm} moved {' and '.join(said)}." if said else ""


def _change(row: Row, factor: float, digits: int) -> str:
    values = [
        number(factor * row[name], digits, signed=True) for name in ("estimate", "low", "high") if row[name] is not None
    ]
    return values[0] if len(values) == 1 else f"{values[0]} [{values[1]}, {values[2]}]"


def _less(row: Row, factor: float, digits: int) -> str:
    if row["beyond_null"] is None:
        return ""
    return f" ({number(factor * row['beyond_null'], digits, signed=True)} beyond {row['null']})"


def depth_sentence(depth: pl.DataFrame, model_id: str) -> str:
    """Are forks deep and locks shallow?"""
    row = next(
        _everywhere(depth).filter(pl.col("model_id") == model_id, pl.col("measure") == words.DEPTH_AUROC).iter_rows(named=True),
        None,
    )  # fmt: skip
    if not known(row) or row is None:
        return "Too few locks and forks were probed to say which of them are deep."
    if row["low"] is None:
        return f"A fork settles at a deeper layer than a lock in {share(row)} of pairs, of too few positions for an interval."
    told = "goes with" if row["low"] > 0.5 else "goes against" if row["high"] < 0.5 else "cannot be told to go with"
    return f"A fork settles at a deeper layer than a lock in {share(row)} of pairs, ties counted half: depth {told} the class."


def _everywhere(table: pl.DataFrame) -> pl.DataFrame:
    return table.filter(pl.col("carriers") == words.BY_ALL, pl.col("position_kind") == words.EVERY_KIND)
