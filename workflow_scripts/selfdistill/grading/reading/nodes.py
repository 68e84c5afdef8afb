"""Expressions as trees. Signs of both kinds (±) are a node too, from which two expressions are made."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True)
class Number:
    value: Fraction
    places: int | None = None  # decimals as written
    base: int = 0  # where it is told


@dataclass(frozen=True)
class Symbol:
    name: str


@dataclass(frozen=True)
class Apply:
    """An operation or a function. `a - b` is the sum of a and minus b."""

    name: str
    of: "tuple[Node, ...]"


Node = Number | Symbol | Apply

PLUS_MINUS = "plus-minus"  # of a node and the sign that it has above


def integer(value: int) -> Number:
    return Number(Fraction(value))


def walk(node: Node) -> Iterator[Node]:
    yield node
    if isinstance(node, Apply):
        for part in node.of:
            yield from walk(part)


def symbols(node: Node) -> set[str]:
    return {part.name for part in walk(node) if isinstance(part, Symbol)}


def has(node: Node, name: str) -> bool:
    return any(isinstance(part, Apply) and part.name == name for part in walk(node))


def substituted(node: Node, name: str, by: Node) -> Node:
    if isinstance(node, Symbol):
        return by if node.name == name else node
    return Apply(node.name, tuple(substituted(part, name, by) for part in node.of)) if isinstance(node, Apply) else node


def readings_of_signs(node: Node) -> list[Node]:
    """Two where ∓ stands beside ±, for both turn together; else two for each ±."""
    marks = [part for part in walk(node) if isinstance(part, Apply) and part.name == PLUS_MINUS]
    if len(marks) == 1 or any(part.of[1] != integer(1) for part in marks):
        return [with_sign(node, True), with_sign(node, False)]
    if len(marks) > 3:
        raise ValueError("too many signs")
    return [
        _with_signs(node, iter([bool(choice >> place & 1) for place in range(len(marks))]))
        for choice in reversed(range(2 ** len(marks)))
    ]


def _with_signs(node: Node, above: Iterator[bool]) -> Node:
    if not isinstance(node, Apply):
        return node
    if node.name == PLUS_MINUS:
        sign = next(above)
        inner = _with_signs(node.of[0], above)
        return inner if sign else Apply("neg", (inner,))
    return Apply(node.name, tuple(_with_signs(part, above) for part in node.of))


def with_sign(node: Node, above: bool) -> Node:
    """The upper or the lower reading of all ± and ∓ in it."""
    if not isinstance(node, Apply):
        return node
    parts = tuple(with_sign(part, above) for part in node.of)
    if node.name != PLUS_MINUS:
        return Apply(node.name, parts)
    positive = (node.of[1] == integer(1)) == above
    return parts[0] if positive else Apply("neg", (parts[0],))
