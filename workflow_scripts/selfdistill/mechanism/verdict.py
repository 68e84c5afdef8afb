"""Is it self-distillation? One sentence an arm, from the table of the fit."""

from typing import Any

import polars as pl

from selfdistill.tables import words

Row = dict[str, Any]


def verdicts(fit: pl.DataFrame) -> dict[str, str]:
    """By arm, against the target of its own decode where the table has it, and else against the study's first."""
    return {arm: verdict(fit, arm) for arm in fit["arm"].unique(maintain_order=True)}


def verdict(fit: pl.DataFrame, arm: str, decode_id: str | None = None) -> str:
    """Training moved the model 31 % [27, 35] of the way to the SSD target at forks and 4 % [1, 7] at locks; 60 % [...] of the
    movement is not towards it."""
    mine = fit.filter(
        pl.col("arm") == arm, pl.col("carriers") == words.BY_ALL, pl.col("position_kind") == words.EVERY_KIND
    )
    measured = mine.filter(pl.col("method") != words.TARGET_IS_BASE)
    if measured.is_empty():
        return "No decode of the study asks for another law than the base's own, so that there is no target to reach."
    asked = decode_id or measured["decode_id"][0]
    rows: dict[tuple[str, str], Row] = {
        (row["measure"], row["token_class"]): row
        for row in measured.filter(pl.col("decode_id") == asked).iter_rows(named=True)
    }
    ways = [
        f"{share(rows[words.FIT_RATIO, name])} at {plural}"
        for name, plural in ((words.FORK, "forks"), (words.LOCK, "locks"))
        if known(rows.get((words.FIT_RATIO, name)))
    ]
    if not ways:
        return f"Too few locks and forks were probed to say how far {arm} moved to the target of {asked}."
    moved = f"Training moved {arm} {' and '.join(ways)} of the way to the target of {asked}"
    return f"{moved}; {_elsewhere(rows)}{_beyond(rows)}"


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
    middle = f"{100 * row['estimate']:.0f} %"
    return middle if row["low"] is None else f"{middle} [{100 * row['low']:.0f}, {100 * row['high']:.0f}]"


def known(row: Row | None) -> bool:
    return row is not None and row["estimate"] is not None
