"""Sets of real numbers of one variable, in whatever notation: intervals, inequalities, what is left without some points.

Two of them are the same when the same numbers lie in them. Only at their ends can they begin to differ, so the ends
themselves and one number between any two of them are looked at.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import mpmath

from selfdistill.grading.reading.nodes import Node
from selfdistill.grading.reading.same import is_number, same_expression
from selfdistill.grading.reading.tokens import Unread
from selfdistill.grading.reading.values import DIGITS, Reading, Undefined, value


@dataclass(frozen=True)
class Interval:
    low: Node
    high: Node
    with_low: bool
    with_high: bool


@dataclass(frozen=True)
class Points:
    of: tuple[Node, ...]


@dataclass(frozen=True)
class Reals:
    pass


@dataclass(frozen=True)
class Joined:
    """`how`: union, intersection or difference."""

    how: str
    parts: "tuple[Region, ...]"


Region = Interval | Points | Reals | Joined


def same_region(one: Region, other: Region) -> bool:
    ends = [*ends_of(one), *ends_of(other)]
    if not all(is_number(end) for end in ends):
        return _same_in_symbols(one, other)
    with mpmath.workdps(DIGITS):
        try:
            places = sorted(_distinct([number(end) for end in ends]))
        except Undefined as where:
            raise Unread(str(where)) from None
        between = [(low + high) / 2 for low, high in pairwise(places)]
        outside = [places[0] - 1, places[-1] + 1] if places else [mpmath.mpf(0)]
        return all(_lies_in(one, place) == _lies_in(other, place) for place in [*places, *between, *outside])


def is_empty(region: Region) -> bool:
    return same_region(region, Points(()))


def ends_of(region: Region) -> list[Node]:
    match region:
        case Interval(low, high):
            return [low, high]
        case Points(of):
            return list(of)
        case Joined(_, parts):
            return [end for part in parts for end in ends_of(part)]
        case Reals():
            return []


def number(node: Node) -> Any:
    found = value(node, {}, Reading())
    if isinstance(found, mpmath.mpc):
        raise Unread("an end that is not real")
    # Infinity as a number beyond all others, so that there is a number beyond the largest end and none beyond infinity.
    return found if not mpmath.isinf(found) else mpmath.sign(found) * mpmath.mpf(10) ** 40


def _distinct(numbers: list[Any]) -> list[Any]:
    found: list[Any] = []
    for one in numbers:
        if not any(_equal(one, other) for other in found):
            found.append(one)
    return found


def _equal(one: Any, other: Any) -> bool:
    return bool(mpmath.fabs(one - other) <= mpmath.mpf(10) ** -30 * max(1, mpmath.fabs(one)))


def _lies_in(region: Region, place: Any) -> bool:
    match region:
        case Reals():
            return True
        case Points(of):
            return any(_equal(number(point), place) for point in of)
        case Interval(low, high, with_low, with_high):
            return _beyond(place, number(low), with_low) and _beyond(-place, -number(high), with_high)
        case Joined(how, parts):
            inside = [_lies_in(part, place) for part in parts]
            if how == "union":
                return any(inside)
            return all(inside) if how == "intersection" else inside[0] and not any(inside[1:])


def _beyond(place: Any, end: Any, with_end: bool) -> bool:
    if end <= -(mpmath.mpf(10) ** 40):
        return True
    return with_end if _equal(place, end) else bool(place > end)


def _same_in_symbols(one: Region, other: Region) -> bool:
    """With ends of symbols: the same parts in the same order, or for unions in any."""
    match one, other:
        case Interval(), Interval():
            same = same_expression(one.low, other.low) and same_expression(one.high, other.high)
            infinite = [str(end) for end in (one.low, one.high)]
            closed = (one.with_low or "infty" in infinite[0], one.with_high or "infty" in infinite[1])
            others = (other.with_low or "infty" in infinite[0], other.with_high or "infty" in infinite[1])
            return same and closed == others
        case Points(), Points():
            return same_collection(one.of, other.of, same_expression)
        case Joined(), Joined() if one.how == other.how:
            return same_collection(one.parts, other.parts, same_region)
    return False


def same_collection(one: tuple[Any, ...], other: tuple[Any, ...], same: Callable[[Any, Any], bool]) -> bool:
    """Each thing of the one stands in the other too, however often and in whatever order."""
    return all(any(same(a, b) for b in other) for a in one) and all(any(same(a, b) for a in one) for b in other)
