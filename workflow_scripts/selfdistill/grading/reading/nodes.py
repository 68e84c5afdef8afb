"""Expressions as trees. Signs of both kinds (±) are a node too, from which two expressions are made."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True)
class Number:
    value: Fraction
    places: int | None = None  # decimals as written
    base: int = 10


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


def with_sign(node: Node, above: bool) -> Node:
    """The upper or the lower reading of all ± and ∓ in it."""
    if not isinstance(node, Apply):
        return node
    parts = tuple(with_sign(part, above) for part in node.of)
    if node.name != PLUS_MINUS:
        return Apply(node.name, parts)
    positive = (node.of[1] == integer(1)) == above
    return parts[0] if positive else Apply("neg", (parts[0],))
