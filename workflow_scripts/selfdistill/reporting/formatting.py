"""Numbers as people read them: percent, points, intervals, p-values, durations. A missing value is a dash."""

import math
from typing import Any

from selfdistill.foundation.wording import MINUS, MISSING, THIN_SPACE, number, points
from selfdistill.foundation.wording import count as count
from selfdistill.foundation.wording import plural as plural


def significant(value: float | None, digits: int = 3) -> str:
    """A number of unknown size by its significant digits: 0.00123, 12.3, 4.56e−9."""
    if value is None or math.isnan(value):
        return MISSING
    if math.isinf(value):
        return "unbounded"
    if value != 0 and not 1e-4 <= abs(value) < 1e6:
        mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
        return f"{mantissa}e{int(exponent)}".replace("-", MINUS)
    whole_digits = (
        len(str(int(abs(value)))) if abs(value) >= 1 else math.floor(math.log10(abs(value))) + 1 if value else 1
    )
    return number(value, max(0, digits - whole_digits))


def percent(share: float | None, digits: int = 1) -> str:
    text = MISSING if share is None else number(100 * share, digits)
    return text if text == MISSING else f"{text}{THIN_SPACE}%"


def points_interval(low: float | None, high: float | None, digits: int = 1) -> str:
    return interval(low, high, digits, scale=100, signed=True)


def points_with_interval(row: dict[str, Any]) -> str:
    """`+2.1 [−0.4, +4.6]` from a row of the analysis tables."""
    return f"{points(row.get('estimate'))} {points_interval(row.get('low'), row.get('high'))}".strip()


def percent_interval(low: float | None, high: float | None, digits: int = 1) -> str:
    return interval(low, high, digits, scale=100)


def percent_with_interval(row: dict[str, Any]) -> str:
    """`61.6 % [58.0, 65.1]` from a row of the analysis tables."""
    return f"{percent(row.get('estimate'))} {percent_interval(row.get('low'), row.get('high'))}".strip()


def interval(low: float | None, high: float | None, digits: int = 2, scale: float = 1, signed: bool = False) -> str:
    if low is None and high is None:
        return ""
    ends = (number(None if end is None else end * scale, digits, signed) for end in (low, high))
    return "[{}, {}]".format(*ends)


def p_value(value: float | None) -> str:
    if value is None or math.isnan(value):
        return MISSING
    return "<" + THIN_SPACE + "0.001" if value < 0.001 else f"{value:.3f}" if value < 0.1 else f"{value:.2f}"


def duration(seconds: float | None) -> str:
    if seconds is None or math.isnan(seconds):
        return MISSING
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"
