r"""Numbers that can be read and compared exactly: integers, decimals, powers of integers, a/b and \frac{a}{b}.

They are most of all answers, so this saves most calls of the readers in other processes. It is also stricter than
math-verify, which rounds to six decimals and holds 1/2^{99} and 1/2^{98} for equal.
"""

import re
from fractions import Fraction
from typing import NamedTuple

ROUNDED_PLACES = 6  # a decimal of at least so many places may stand for a number that it rounds, as in math-verify
FLOAT_PLACES = 12  # what a program printed is not exact to its last places: 0.30000000000000004
ROUNDED_RELATIVE = Fraction(1, 10_000)
LONGEST = 400  # characters
LARGEST_EXPONENT = 999

INTEGER = r"\d{1,3}(?:,\d{3})+|\d+"
NUMBER = rf"(?:(?:{INTEGER})(?:\.\d*)?|\.\d+)"
POWER = rf"{NUMBER}(?:\s?\^\s?(?:\{{\s?-?\d{{1,3}}\s?\}}|\d{{1,3}}))?"
SIGN = r"[+-]?\s?"
ONE = re.compile(rf"({SIGN})({POWER})", re.ASCII)
SLASH = re.compile(rf"({SIGN}{POWER})\s?/\s?({SIGN}{POWER})", re.ASCII)
BRACES = re.compile(rf"({SIGN})\\frac\s?\{{\s?({SIGN}{POWER})\s?\}}\s?\{{\s?({SIGN}{POWER})\s?\}}", re.ASCII)
DIGITS = re.compile(rf"({SIGN})\\frac\s?(\d)\s?(\d)", re.ASCII)


class Rational(NamedTuple):
    value: Fraction
    places: int | None  # written decimals; None for a number that is no decimal


def read_rational(text: str) -> Rational | None:
    """The number, or None for anything that is not plainly one. `text` is an answer in its plain form."""
    if len(text) > LONGEST:
        return None
    if match := ONE.fullmatch(text):
        return _signed(match[1], _read_power(match[2]))
    if match := SLASH.fullmatch(text):
        return _divided(read_rational(match[1]), read_rational(match[2]))
    if match := BRACES.fullmatch(text) or DIGITS.fullmatch(text):
        return _signed(match[1], _divided(read_rational(match[2].strip()), read_rational(match[3].strip())))
    return None


def same_number(one: Rational, other: Rational) -> bool:
    """Equal, or one is a decimal of six places or more that is the other one rounded to its places."""
    if one.value == other.value:
        return True
    decimals = [number.places for number in (one, other) if number.places is not None]
    places = min(*decimals, FLOAT_PLACES) if decimals else 0
    difference = abs(one.value - other.value)
    return (
        places >= ROUNDED_PLACES
        and difference <= Fraction(1, 2 * 10**places)
        and difference <= ROUNDED_RELATIVE * max(abs(one.value), abs(other.value))
    )


def _read_power(text: str) -> Rational | None:
    base_text, _, exponent_text = text.replace(",", "").replace(" ", "").partition("^")
    _, _, decimals = base_text.partition(".")
    base = Fraction(f"{base_text}0" if base_text.endswith(".") else base_text)
    if not exponent_text:
        return Rational(base, len(decimals) if decimals else None)
    exponent = int(exponent_text.strip("{}"))
    if (base == 0 and exponent <= 0) or abs(exponent) > LARGEST_EXPONENT:
        return None
    return Rational(base**exponent, None)


def _signed(sign: str, number: Rational | None) -> Rational | None:
    return Rational(-number.value, number.places) if number and sign.strip() == "-" else number


def _divided(numerator: Rational | None, denominator: Rational | None) -> Rational | None:
    if not numerator or not denominator or denominator.value == 0:
        return None
    return Rational(numerator.value / denominator.value, None)
