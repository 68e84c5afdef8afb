"""What an expression is worth: exactly where it is rational, else to many digits, and at chosen points where it has symbols.

Over the reals a root of a negative number is nothing, so that x and the root of x² differ and a product of roots is the root
of the product. Where i stands in one of two expressions both are complex.
"""

from collections.abc import Callable, Mapping
from fractions import Fraction
from math import comb, gcd, lcm
from typing import Any

import mpmath

from selfdistill.grading.reading.nodes import Apply, Node, Number, Symbol
from selfdistill.grading.reading.tokens import Unread
from selfdistill.grading.reading.units import words

DIGITS = 60
LARGEST_BITS = 200_000  # of a number that is worked out exactly
LARGEST_EXPONENT = 2**64
LARGEST_FACTORIAL = 3000


class Undefined(Exception):
    """At this point the expression has no value."""


class Reading:
    """How the signs that mean more than one thing are taken, the same for both of two expressions."""

    def __init__(self, radians: bool = False, natural: bool = True, is_complex: bool = False) -> None:
        self.radians, self.natural, self.is_complex = radians, natural, is_complex


def exact(node: Node) -> Fraction | None:
    """The value of what is made of whole numbers by rational operations; None of anything else."""
    if isinstance(node, Number):
        return node.value
    if isinstance(node, Symbol):
        return None
    parts = [exact(part) for part in node.of]
    if any(part is None for part in parts):
        return None
    try:
        return _exact(node.name, [part for part in parts if part is not None])
    except (ZeroDivisionError, ValueError):
        raise Undefined(node.name) from None


def _exact(name: str, of: list[Fraction]) -> Fraction | None:
    whole = [part.numerator for part in of if part.denominator == 1]
    all_whole = len(whole) == len(of)
    match name:
        case "sum":
            return sum(of, Fraction())
        case "neg":
            return -of[0]
        case "product":
            return of[0] * of[1]
        case "quotient":
            return of[0] / of[1]
        case "percent":
            return of[0] / 100
        case "abs":
            return abs(of[0])
        case "power":
            return _power(of[0], of[1])
        case "floor":
            return Fraction(of[0].__floor__())
        case "ceil":
            return Fraction(of[0].__ceil__())
        case "max" | "min":
            return max(of) if name == "max" else min(of)
        case "factorial" if all_whole and 0 <= whole[0] <= LARGEST_FACTORIAL:
            return Fraction(_product(range(2, whole[0] + 1)))
        case "double factorial" if all_whole and 0 <= whole[0] <= LARGEST_FACTORIAL:
            return Fraction(_product(range(whole[0], 1, -2)))
        case "binom" if all_whole and 0 <= whole[0] <= LARGEST_FACTORIAL and whole[1] >= 0:
            return Fraction(comb(*whole))
        case "gcd" if all_whole:
            return Fraction(gcd(*whole))
        case "lcm" if all_whole:
            return Fraction(lcm(*whole))
    return None


def _product(factors: range) -> int:
    found = 1
    for factor in factors:
        found *= factor
    return found


def _power(base: Fraction, exponent: Fraction) -> Fraction | None:
    if exponent.denominator != 1:
        return None
    bits = max(base.numerator.bit_length(), base.denominator.bit_length()) * abs(exponent.numerator)
    if base == 0 and exponent == 0:
        raise Undefined("0^0")
    return base**exponent.numerator if bits <= LARGEST_BITS else None  # type: ignore[no-any-return]


def value(node: Node, at: Mapping[str, Any], reading: Reading) -> Any:
    """To DIGITS digits. The caller sets mpmath's precision."""
    if isinstance(node, Number):
        return mpmath.mpf(node.value.numerator) / node.value.denominator
    if isinstance(node, Symbol):
        return _symbol(node.name, at, reading)
    if node.name in IN_RADIANS:
        inner = Reading(True, reading.natural, reading.is_complex)
        return FUNCTIONS[node.name](*(value(part, at, inner) for part in node.of))
    of = [value(part, at, reading) for part in node.of]
    if node.name == "degree":
        return of[0] * mpmath.pi / 180 if reading.radians else of[0]
    if node.name == "log":
        return _log(of[0], reading) if reading.natural else _log(of[0], reading) / mpmath.log(10)
    if node.name in ("ln", "lg", "log to"):
        base = {"ln": mpmath.e, "lg": mpmath.mpf(10)}.get(node.name) or of[1]
        under = _log(base, reading)
        if under == 0:
            raise Undefined("log to the base one")
        return _log(of[0], reading) / under
    if node.name in ("power", "root"):
        return _to_the(of, node, reading)
    try:
        found = FUNCTIONS[node.name](*of)
    except KeyError:
        raise Unread(node.name) from None
    except (ZeroDivisionError, ValueError, TypeError, OverflowError):
        raise Undefined(node.name) from None
    if not reading.is_complex and isinstance(found, mpmath.mpc):
        raise Undefined(node.name)
    return found


def _symbol(name: str, at: Mapping[str, Any], reading: Reading) -> Any:
    if name in at:
        return at[name]
    if name == "pi":
        return +mpmath.pi
    if name == "e":
        return +mpmath.e
    if name == "infty":
        return mpmath.inf
    if name == "i" and reading.is_complex:
        return mpmath.mpc(0, 1)
    raise Unread(f"{name} has no value")


def _log(of: Any, reading: Reading) -> Any:
    if of == 0 or (not reading.is_complex and not of > 0):
        raise Undefined("log")
    return mpmath.log(of)


def _to_the(of: list[Any], node: Apply, reading: Reading) -> Any:
    base, exponent = of
    fraction = _safe_exact(node.of[1])
    if node.name == "root":
        if exponent == 0:
            raise Undefined("root")
        exponent, fraction = 1 / mpmath.mpf(exponent), 1 / fraction if fraction else None
    if base == 0 and not exponent > 0:
        raise Undefined("power of nothing")
    if not reading.is_complex and base < 0 and not mpmath.isint(exponent):
        if fraction is None or fraction.denominator % 2 == 0:
            raise Undefined("root of a negative number")
        root = -mpmath.power(-base, exponent)
        return root if fraction.numerator % 2 else -root
    if LARGEST_EXPONENT < mpmath.fabs(exponent) < mpmath.inf and mpmath.fabs(base) != 1:
        raise Unread("a number too large")
    return mpmath.power(base, exponent)


def _safe_exact(node: Node) -> Fraction | None:
    try:
        return exact(node)
    except Undefined:
        return None


def _sum(*of: Any) -> Any:
    found = of[0]
    for part in of[1:]:
        if mpmath.isinf(found) and mpmath.isinf(part) and found != part:
            raise Undefined("infinity minus infinity")
        found = found + part
    return found


def _whole(number: Any) -> int:
    if not mpmath.isint(number):
        raise Undefined("not whole")
    return int(number)


def _floor(number: Any) -> Any:
    """What is whole but for the last digits is whole."""
    nearest = mpmath.nint(number)
    return nearest if mpmath.fabs(number - nearest) < mpmath.mpf(10) ** -(DIGITS // 2) else mpmath.floor(number)


def _arc(function: Callable[..., Any]) -> Callable[..., Any]:
    def found(of: Any) -> Any:
        reached = function(of)
        if isinstance(reached, mpmath.mpc) and isinstance(of, mpmath.mpf):
            raise Undefined("outside of the function's range")
        return reached

    return found


def _factorial(of: Any) -> Any:
    if of < 0 or of > 10**5:
        raise Undefined("factorial")
    return mpmath.factorial(of)


def _tangent_like(over: Callable[..., Any], under: Callable[..., Any]) -> Callable[..., Any]:
    def found(of: Any) -> Any:
        below = under(of)
        if mpmath.fabs(below) < mpmath.mpf(10) ** -(DIGITS // 2):
            raise Undefined("a pole")
        return over(of) / below

    return found


def _one(_: Any) -> Any:
    return mpmath.mpf(1)


IN_RADIANS = words("""
sin cos tan cot sec csc
""")
FUNCTIONS: dict[str, Callable[..., Any]] = {
    "sum": _sum, "neg": lambda of: -of, "product": lambda one, other: one * other, "quotient": lambda over, under: over / under,
    "percent": lambda of: of / 100, "abs": mpmath.fabs, "exp": mpmath.exp,
    "sin": mpmath.sin, "cos": mpmath.cos, "tan": _tangent_like(mpmath.sin, mpmath.cos),
    "cot": _tangent_like(mpmath.cos, mpmath.sin), "sec": _tangent_like(_one, mpmath.cos), "csc": _tangent_like(_one, mpmath.sin),
    "sinh": mpmath.sinh, "cosh": mpmath.cosh, "tanh": mpmath.tanh, "coth": mpmath.coth,
    "arcsin": _arc(mpmath.asin), "arccos": _arc(mpmath.acos), "arctan": mpmath.atan, "arccot": lambda of: mpmath.pi / 2 - mpmath.atan(of),
    "arcsec": _arc(mpmath.asec), "arccsc": _arc(mpmath.acsc),
    "floor": _floor, "ceil": lambda of: -_floor(-of), "max": max, "min": min,
    "gcd": lambda *of: mpmath.mpf(gcd(*map(_whole, of))), "lcm": lambda *of: mpmath.mpf(lcm(*map(_whole, of))),
    "factorial": _factorial, "double factorial": mpmath.fac2, "binom": mpmath.binomial,
}  # fmt: skip
