"""Expressions as trees. Signs of both kinds (±) are a node too, from which two expressions are made."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import product


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

MOST_SIGNS = 3
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
    """Two where ∓ stands beside ±, for all turn together; else two for each ±."""
    marks = [part.of[1] == integer(1) for part in walk(node) if isinstance(part, Apply) and part.name == PLUS_MINUS]
    if len(marks) > MOST_SIGNS:
        raise ValueError("too many signs")
    choices = product((True, False), repeat=len(marks)) if all(marks) else [marks, [not mark for mark in marks]]
    return [_with_signs(node, iter(choice)) for choice in choices]


def _with_signs(node: Node, positive: Iterator[bool]) -> Node:
    if not isinstance(node, Apply):
        return node
    if node.name == PLUS_MINUS:
        sign = next(positive)
        inner = _with_signs(node.of[0], positive)
        return inner if sign else Apply("neg", (inner,))
    return Apply(node.name, tuple(_with_signs(part, positive) for part in node.of))
