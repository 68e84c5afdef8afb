"""Numbers as people read them: percent, points, intervals, p-values, durations. A missing value is a dash."""

import math
from typing import Any

MISSING = "–"
MINUS = "\u2212"
THIN_SPACE = "\u2009"


def number(value: float | None, digits: int = 2, signed: bool = False) -> str:
    """A fixed number of digits, a real minus sign, thin spaces between thousands."""
    if value is None or math.isnan(value):
        return MISSING
    if math.isinf(value):
        return "unbounded"
    rounded = round(float(value), digits)
    text = f"{abs(rounded):,.{digits}f}".replace(",", THIN_SPACE)
    sign = MINUS if rounded < 0 else ("+" if signed and rounded > 0 else "")
    return sign + text


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


def count(value: float | None) -> str:
    return number(value, 0)


def percent(share: float | None, digits: int = 1) -> str:
    text = MISSING if share is None else number(100 * share, digits)
    return text if text == MISSING else f"{text}{THIN_SPACE}%"


def points(difference: float | None, digits: int = 1) -> str:
    """A difference of two shares in percentage points, always signed."""
    return MISSING if difference is None else number(100 * difference, digits, signed=True)


def points_interval(low: float | None, high: float | None, digits: int = 1) -> str:
    return interval(low, high, digits, scale=100, signed=True)


def points_with_interval(row: dict[str, Any]) -> str:
    """`+2.1 [−0.4, +4.6]` from a row of the analysis tables."""
    return f"{points(row.get('estimate'))} {points_interval(row.get('low'), row.get('high'))}".strip()


def percent_interval(low: float | None, high: float | None, digits: int = 1) -> str:
    return interval(low, high, digits, scale=100)


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


def decode_in_words(decode: dict[str, Any]) -> str:
    """What a named decode does: `T 1.1, top-k 20, top-p 0.95, at most 512 tokens`."""
    parts = [f"T {decode.get('temperature', '?'):g}"]
    parts += [f"top-k {decode['top_k']}"] if decode.get("top_k") else []
    parts += [f"top-p {decode['top_p']:g}"] if decode.get("top_p", 1.0) < 1 else []
    parts += [f"min-p {decode['min_p']:g}"] if decode.get("min_p") else []
    parts += [f"presence penalty {decode['presence_penalty']:g}"] if decode.get("presence_penalty") else []
    parts += [f"at most {count(decode['max_tokens'])} tokens"] if decode.get("max_tokens") else []
    return ", ".join(parts)


def plural(n: int, one: str, many: str | None = None) -> str:
    return f"{count(n)} {one if n == 1 else many or one + 's'}"
