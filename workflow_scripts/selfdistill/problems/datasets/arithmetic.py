"""The equation of a word problem, worked out: "( ( 16.0 - 11.0 ) + 12.0 )" is 16 - 11 = 5, and then 5 + 12 = 17.

Infix or prefix, of numbers and the four operations; numbers are exact. What is anything else has no reading. Nothing of
it is run as code.
"""

import re
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import NamedTuple

LONGEST = 300  # characters; it also bounds how deeply brackets can nest
TOKEN = re.compile(r"\s*(\d+(?:\.\d+)?|\.\d+|[-+*/()])")
OPERATIONS: dict[str, Callable[[Fraction, Fraction], Fraction]] = {
    "+": lambda one, other: one + other,
    "-": lambda one, other: one - other,
    "*": lambda one, other: one * other,
    "/": lambda one, other: one / other,
}
NUMBER = re.compile(r"[-+]?(?:\d+(?:\.\d*)?|\.\d+)")
FRACTION = re.compile(r"([-+]?\d+)\s*/\s*(\d+)")


class Worked(NamedTuple):
    value: Fraction
    steps: list[str]  # one operation each, such as 16 - 11 = 5


class _Unreadable(Exception):
    pass


def worked(expression: str) -> Worked | None:
    tokens = _tokens(expression)
    if not tokens:
        return None
    steps: list[str] = []
    try:
        value = _prefix(tokens, steps) if _is_prefix(tokens) else _sum(tokens, steps)
    except (_Unreadable, ZeroDivisionError):
        return None
    return None if tokens else Worked(value, steps)


def exact(number: str | int | float) -> Fraction | None:
    """12, 12.0, "1,200.50" and "5/8" as they are written; None for what is no such number."""
    text = str(number).strip().replace(",", "")
    if NUMBER.fullmatch(text):
        return Fraction(text)
    match = FRACTION.fullmatch(text)
    return Fraction(int(match[1]), int(match[2])) if match and int(match[2]) else None


def shown(value: Fraction) -> str:
    """12, 0.625, and 2/3 for what no decimal ends."""
    if value.denominator == 1:
        return str(value.numerator)
    rest, places = value.denominator, [0, 0]
    for place, prime in enumerate((2, 5)):
        while rest % prime == 0:
            rest //= prime
            places[place] += 1
    if rest > 1:
        return f"{value.numerator}/{value.denominator}"
    digits = max(places)
    whole = abs(value.numerator) * 10**digits // value.denominator
    return f"{'-' * (value < 0)}{whole // 10**digits}.{whole % 10**digits:0{digits}d}"


def _tokens(expression: str) -> list[str]:
    text = expression.strip()
    if len(text) > LONGEST:
        return []
    return list(_cut(text))[::-1] if TOKEN.sub("", text).strip() == "" else []


def _cut(text: str) -> Iterator[str]:
    return (match[1] for match in TOKEN.finditer(text))


def _is_prefix(tokens: list[str]) -> bool:
    """Tokens stand in reverse. "- 8 2" is prefix; "- 8 + 2" and "-(8)" begin with a sign."""
    numbers = [token for token in tokens if token not in "()" and token not in OPERATIONS]
    return (
        tokens[-1] in OPERATIONS and "(" not in tokens and len(tokens) == 2 * len(numbers) - 1 and tokens[0] in numbers
    )


def _prefix(tokens: list[str], steps: list[str]) -> Fraction:
    token = _next(tokens)
    if token not in OPERATIONS:
        return _number(token)
    one = _prefix(tokens, steps)
    return _step(one, token, _prefix(tokens, steps), steps)


def _sum(tokens: list[str], steps: list[str]) -> Fraction:
    value = _product(tokens, steps)
    while tokens and tokens[-1] in "+-":
        operation = tokens.pop()
        value = _step(value, operation, _product(tokens, steps), steps)
    return value


def _product(tokens: list[str], steps: list[str]) -> Fraction:
    value = _factor(tokens, steps)
    while tokens and tokens[-1] in "*/":
        operation = tokens.pop()
        value = _step(value, operation, _factor(tokens, steps), steps)
    return value


def _factor(tokens: list[str], steps: list[str]) -> Fraction:
    token = _next(tokens)
    if token == "-":
        return -_factor(tokens, steps)
    if token != "(":
        return _number(token)
    value = _sum(tokens, steps)
    if _next(tokens) != ")":
        raise _Unreadable
    return value


def _step(one: Fraction, operation: str, other: Fraction, steps: list[str]) -> Fraction:
    value = OPERATIONS[operation](one, other)
    first = f"({shown(one)})" if "/" in shown(one) else shown(one)
    second = f"({shown(other)})" if "/" in shown(other) or other < 0 else shown(other)
    steps.append(f"{first} {operation} {second} = {shown(value)}")
    return value


def _next(tokens: list[str]) -> str:
    if not tokens:
        raise _Unreadable
    return tokens.pop()


def _number(token: str) -> Fraction:
    if not NUMBER.fullmatch(token):
        raise _Unreadable
    return Fraction(token)
