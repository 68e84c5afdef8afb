"""When are two expressions the same? When they have the same value, or the same values at enough points.

Two different formulas that agree at all of these points do not come by chance: the points are taken to 60 digits.
"""

import random
from collections.abc import Iterator
from typing import Any

import mpmath

from selfdistill.grading.rationals import FLOAT_PLACES, ROUNDED_PLACES, Rational, same_number
from selfdistill.grading.rationals import ROUNDED_RELATIVE as ROUNDED_SHARE
from selfdistill.grading.reading.nodes import PLUS_MINUS, Apply, Node, Number, has, symbols
from selfdistill.grading.reading.tokens import Unread
from selfdistill.grading.reading.values import DIGITS, Reading, Undefined, exact, value

CONSTANTS = frozenset({"pi", "e", "infty"})
ENOUGH = 3  # points at which both have a value
RELATIVE = 30  # digits that must agree
ROUNDED_RELATIVE = float(ROUNDED_SHARE)
LARGEST = 2000  # digits of a number that is compared to the last one


def same_expression(one: Node, other: Node) -> bool:
    """Raises Unread where it cannot be told."""
    if one == other:
        return True
    if _same_tower(one, other):
        return True
    if has(one, PLUS_MINUS) or has(other, PLUS_MINUS):
        raise Unread("signs of both kinds")
    names = (symbols(one) | symbols(other)) - CONSTANTS
    is_complex = "i" in names
    if names - {"i"}:
        return any(_same_at_points(one, other, names, reading) for reading in _readings(one, other, is_complex))
    return _same_numbers(one, other, is_complex)


def _same_tower(one: Node, other: Node) -> bool:
    """3^{3^{27}} and 3^{3^{3^3}}, too large to work out."""
    match one, other:
        case Apply("power", (base, exponent)), Apply("power", (another, its)) if base == another:
            try:
                return same_expression(exponent, its)
            except Unread:
                return False
    return False


def _readings(one: Node, other: Node, is_complex: bool) -> Iterator[Reading]:
    """A bare log is natural or of base ten, and a degree is one or a 180th of π, in both expressions alike."""
    for natural in (True, False) if has(one, "log") or has(other, "log") else (True,):
        for radians in (False, True) if has(one, "degree") or has(other, "degree") else (False,):
            yield Reading(radians, natural, is_complex)


def _same_numbers(one: Node, other: Node, is_complex: bool) -> bool:
    try:
        exactly = exact(one), exact(other)
        if exactly[0] is not None and exactly[1] is not None:
            return exactly[0] == exactly[1] or same_number(_rational(one), _rational(other))
        return any(_close(one, other, reading) for reading in _readings(one, other, is_complex))
    except Undefined as where:
        raise Unread(str(where)) from None


def _rational(node: Node) -> Rational:
    found = exact(node)
    assert found is not None
    number = node.of[0] if isinstance(node, Apply) and node.name == "neg" else node
    return Rational(found, number.places if isinstance(number, Number) else None)


def _close(one: Node, other: Node, reading: Reading) -> bool:
    with mpmath.workdps(DIGITS):
        first, second = value(one, {}, reading), value(other, {}, reading)
        if not _agree(first, second):
            return _rounds(one, first, second) or _rounds(other, second, first)
        size = mpmath.fabs(first)
        if size < mpmath.mpf(10) ** (RELATIVE - 5) or mpmath.isinf(size):
            return True
        digits = int(mpmath.log10(size)) if mpmath.log10(size) < LARGEST else None
    if digits is None:
        raise Unread("numbers too large to tell apart")
    with mpmath.workdps(DIGITS + digits):
        first, second = value(one, {}, reading), value(other, {}, reading)
        return bool(mpmath.fabs(first - second) < mpmath.mpf(10) ** -RELATIVE)


def _rounds(written: Node, given: object, meant: object) -> bool:
    """A decimal of at least six places that stands for the number that it rounds."""
    places = _rational(written).places if exact(written) is not None else None
    if places is None or places < ROUNDED_PLACES or isinstance(meant, mpmath.mpc):
        return False
    places = min(places, FLOAT_PLACES)
    difference = mpmath.fabs(given - meant)  # type: ignore[operator]
    return bool(difference <= mpmath.mpf(10) ** -places / 2 and difference <= ROUNDED_RELATIVE * mpmath.fabs(meant))


def _agree(first: object, second: object) -> bool:
    if mpmath.isinf(first) or mpmath.isinf(second):
        return bool(first == second)
    sizes = mpmath.fabs(first), mpmath.fabs(second)
    difference = mpmath.fabs(first - second)  # type: ignore[operator]
    if min(sizes) == 0:  # nothing, where it was reached by a difference, is nothing but for the last digits
        return bool(difference < mpmath.mpf(10) ** -(DIGITS - 8))
    return bool(difference <= mpmath.mpf(10) ** -RELATIVE * max(sizes))


def _same_at_points(one: Node, other: Node, names: set[str], reading: Reading) -> bool:
    met = 0
    with mpmath.workdps(DIGITS):
        for point in _points(sorted(names - ({"i"} if reading.is_complex else set()))):
            try:
                first, second = value(one, point, reading), value(other, point, reading)
            except (Undefined, ZeroDivisionError, OverflowError):
                continue
            if mpmath.isnan(first) or mpmath.isnan(second):
                continue
            if not _agree(first, second):
                return False
            met += 1
    if met < ENOUGH:
        raise Unread("too few points have a value")
    return True


def _points(names: list[str]) -> Iterator[dict[str, object]]:
    """Whole ones, positive ones and ones of both signs. The same for every pair, so that a verdict can be had again."""
    chance = random.Random(20_031)
    for _ in range(4):
        yield {name: mpmath.mpf(chance.randint(2, 15)) for name in names}
    for _ in range(4):
        yield {name: mpmath.mpf(chance.randint(1, 10**9)) / 10**9 * 3 + 0.1 for name in names}
    for _ in range(6):
        yield {name: mpmath.mpf(chance.randint(-(10**9), 10**9)) / 10**9 * 4 for name in names}
    for _ in range(4):
        yield {name: mpmath.mpf(chance.randint(1, 10**9)) / 10**9 for name in names}


def is_number(node: Node) -> bool:
    return not (symbols(node) - CONSTANTS - {"i"})


def constant_ratio(one: Node, other: Node) -> Any:
    """What the one is divided by the other, where it is the same at all points; None where it is not."""
    if has(one, PLUS_MINUS) or has(other, PLUS_MINUS):
        raise Unread("signs of both kinds")
    names = (symbols(one) | symbols(other)) - CONSTANTS
    ratios = []
    with mpmath.workdps(DIGITS):
        for point in _points(sorted(names)):
            try:
                first, second = value(one, point, Reading()), value(other, point, Reading())
            except (Undefined, ZeroDivisionError, OverflowError):
                continue
            if second == 0 or mpmath.isinf(second):
                continue
            ratios.append(first / second)
        if len(ratios) < ENOUGH:
            raise Unread("too few points have a value")
        return ratios[0] if all(_agree(ratios[0], ratio) for ratio in ratios) else None


def same_progression(*of: Node) -> bool:
    """Three members of the one and three of the other, of numbers with equal steps: the same numbers in all."""
    if not all(is_number(node) for node in of):
        return False
    with mpmath.workdps(DIGITS):
        a0, a1, a2, b0, b1, b2 = (value(node, {}, Reading()) for node in of)
        step, other = a1 - a0, b1 - b0
        if step == 0 or not _agree(a2 - a1, step) or not _agree(b2 - b1, other):
            return False
        apart = (b0 - a0) / step
        return _agree(mpmath.fabs(step), mpmath.fabs(other)) and bool(mpmath.fabs(apart - mpmath.nint(apart)) < 1e-30)
