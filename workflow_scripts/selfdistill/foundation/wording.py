"""Words and numbers that the analysis writes into its tables and the report onto its page, said the same in both.

Thousands stand apart by a thin space wherever a page is read; only what goes to a terminal has commas.
"""

import math
from collections.abc import Mapping
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


def count(value: float | None) -> str:
    return number(value, 0)


def points(difference: float | None, digits: int = 1, signed: bool = True) -> str:
    """A difference of two shares in percentage points."""
    return MISSING if difference is None else number(100 * difference, digits, signed)


def plural(n: int, one: str, many: str | None = None) -> str:
    return f"{count(n)} {one if n == 1 else many or several(one)}"


def several(unit: str) -> str:
    """The plural of what an `n` counts: `problem finished by both` → `problems finished by both`."""
    first, *rest = unit.split(" ", 1) if unit.startswith(("problem ", "family ")) else [unit]
    return " ".join([f"{first[:-1]}ies" if first.endswith("y") else f"{first}s", *rest])


def decode_in_words(decode: Mapping[str, Any], temperature: str = "T", cap: str | None = "at most") -> str:
    """What a decode does: `T 1.1, top-k 20, top-p 0.95, at most 512 tokens`; without a word for the cap, without it."""
    parts = [f"{temperature} {decode.get('temperature', '?'):g}"]
    parts += [f"top-k {decode['top_k']}"] if decode.get("top_k") else []
    parts += [f"top-p {decode['top_p']:g}"] if decode.get("top_p", 1.0) < 1 else []
    parts += [f"min-p {decode['min_p']:g}"] if decode.get("min_p") else []
    parts += [f"presence penalty {decode['presence_penalty']:g}"] if decode.get("presence_penalty") else []
    parts += [f"{cap} {count(decode['max_tokens'])} tokens"] if cap and decode.get("max_tokens") else []
    return ", ".join(parts)
