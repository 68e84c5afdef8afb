"""What the page says in words of truncation: for each arm at the lead decode, where its difference from the base comes from."""

from typing import Any

import polars as pl

from selfdistill.reporting import formatting as fmt
from selfdistill.reporting.inputs import ReportInputs, arm_names, is_resampled_base
from selfdistill.reporting.select import final_differences, lead_decode, one_per_arm, there
from selfdistill.tables import words
from selfdistill.tables.analysis import TOKEN_BUDGETS, TRUNCATION

PARTS = (words.BY_FINISHING, words.WHEN_IT_FINISHED)


def truncation_decode(inputs: ReportInputs) -> str | None:
    """The decode that the section speaks of where there is room for one."""
    compared = there(inputs.truncation, TRUNCATION).drop_nulls("against")
    return None if compared.is_empty() else lead_decode(inputs.study, compared["decode_id"].unique().to_list())


def truncation_row(
    inputs: ReportInputs, estimand: str, arm: str, decode: str, base_answer: str | None = None
) -> dict[str, Any]:
    """The row of one arm, or nothing."""
    rows = there(inputs.truncation, TRUNCATION).filter(
        pl.col("estimand") == estimand,
        pl.col("arm") == arm,
        pl.col("decode_id") == decode,
        pl.col("base_answer").eq_missing(pl.lit(base_answer)),
    )
    return rows.row(0, named=True) if rows.height else {}


def compared_row(inputs: ReportInputs, estimand: str, arm: str, decode: str) -> dict[str, Any]:
    """The leading row of a difference from the base, over all training seeds where there are several, or nothing."""
    rows = final_differences(inputs, estimand, words.MATCHED).filter(
        pl.col("claim") == words.CHECKPOINTS, pl.col("arm") == arm, pl.col("decode_id") == decode
    )
    return next(iter(one_per_arm(rows)), {})


def budget_curve(inputs: ReportInputs, estimand: str, arm: str, decode: str, against: str | None) -> pl.DataFrame:
    return there(inputs.token_budgets, TOKEN_BUDGETS).filter(
        pl.col("estimand") == estimand,
        pl.col("arm") == arm,
        pl.col("decode_id") == decode,
        pl.col("against").eq_missing(pl.lit(against)),
    ).sort("cap")  # fmt: skip


def cut_share(inputs: ReportInputs, arm: str, decode: str) -> float | None:
    """At the decode's own cap."""
    curve = budget_curve(inputs, words.CUT_RATE, arm, decode, None)
    return None if curve.is_empty() else curve["estimate"][-1]


def truncation_sentences(inputs: ReportInputs) -> list[dict[str, str]]:
    """One for each arm at the lead decode: its name, and where its difference from the base comes from."""
    decode = truncation_decode(inputs)
    if decode is None:
        return []
    gains = {arm: truncation_row(inputs, words.ACCURACY, arm, decode) for arm in arm_names(inputs.study)}
    return [
        {"arm": _label(inputs, arm), "sentence": _sentence(inputs, arm, decode, gain)}
        for arm, gain in gains.items()
        if gain
    ]


def _label(inputs: ReportInputs, arm: str) -> str:
    return f"{arm} (A/A control)" if is_resampled_base(inputs.study, arm) else arm


def _sentence(inputs: ReportInputs, arm: str, decode: str, gain: dict[str, Any]) -> str:
    whole = f"the {_called(gain)} of {_points(gain)}"
    cut, base_cut = (cut_share(inputs, name, decode) for name in (arm, "base"))
    if cut == base_cut == 0:
        return f"No answer was cut, of the base or of {arm}: none of {whole} can come from the token cap."
    parts = [truncation_row(inputs, part, arm, decode) for part in PARTS]
    if not all(parts):
        return f"One side never finished an answer, so {whole} cannot be parted."
    how_often = [_more_or_less(part["estimate"]) for part in parts]
    return (
        f"Of {whole}, {_amount(parts[0])} came from finishing {how_often[0]} often and {_amount(parts[1])} from being right "
        f"{how_often[1]} often when finished. {_reading(parts)} The base was cut in {fmt.percent(base_cut)} of its answers, "
        f"{arm} in {fmt.percent(cut)}. {_bounds(inputs, arm, decode)}"
    ).strip()


def _called(gain: dict[str, Any]) -> str:
    """A gain or a loss where the interval is clear of zero, a difference elsewhere."""
    return ("gain" if gain["estimate"] > 0 else "loss") if _is_clear(gain) else "difference"


def _is_clear(row: dict[str, Any]) -> bool:
    return row["low"] is not None and not row["low"] <= 0 <= row["high"]


def _more_or_less(part: float) -> str:
    return "more or less" if round(part, 3) == 0 else "more" if part > 0 else "less"


def _points(row: dict[str, Any]) -> str:
    ends = fmt.points_interval(row["low"], row["high"])
    return f"{fmt.points(row['estimate'])} points {ends}".strip()


def _amount(row: dict[str, Any]) -> str:
    return fmt.points_with_interval(row)


def _reading(parts: list[dict[str, Any]]) -> str:
    clear = [_is_clear(part) for part in parts]
    first, second = (_more_or_less(part["estimate"]) for part in parts)
    if all(clear):
        return "Both parts are clear of zero."
    if clear[0]:
        return f"Only the first is clear of zero: what is shown is that it finishes {first} often."
    if clear[1]:
        return f"Only the second is clear of zero: what is shown is that it is right {second} often when finished."
    return "Neither is clear of zero."


def outer_bounds(inputs: ReportInputs, arm: str, decode: str) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """The difference if all that was cut had counted for the base, and if it had for the arm."""
    worst, best = (truncation_row(inputs, words.cut_counted_for(whom), arm, decode) for whom in ("base", words.THE_ARM))
    return (worst, best) if worst and best else None


def bounds_in_words(worst: dict[str, Any], best: dict[str, Any]) -> str:
    """`−1.2 to +3.4 [−4.5, +6.7]`: the ends, and from the lower end of the first interval to the upper of the second."""
    ends = f"{fmt.points(worst['estimate'])} to {fmt.points(best['estimate'])}"
    return f"{ends} {fmt.points_interval(worst['low'], best['high'])}".strip()


def _bounds(inputs: ReportInputs, arm: str, decode: str) -> str:
    bounds = outer_bounds(inputs, arm, decode)
    if bounds is None:
        return ""
    return f"Whatever the cut answers would have been, the difference lies within {bounds_in_words(*bounds)}."
