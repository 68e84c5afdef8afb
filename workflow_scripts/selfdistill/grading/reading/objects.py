"""What an answer can be: an expression, a list, a pair, a region, a value with a name, a relation, words, a table."""

from dataclasses import dataclass

from selfdistill.grading.reading.nodes import Node
from selfdistill.grading.reading.regions import Reals, Region


@dataclass(frozen=True)
class Quantity:
    of: Node
    unit: str | None = None


@dataclass(frozen=True)
class Listed:
    """`ordered`: (1, 2); not ordered: {1, 2}, `1 or 2`, ±1. `bare`: without brackets, where the order may mean something."""

    items: "tuple[Object, ...]"
    ordered: bool
    bare: bool = False


@dataclass(frozen=True)
class Pair:
    """(a, b): a point, or the open interval."""

    low: Node
    high: Node


@dataclass(frozen=True)
class Range:
    """A region; `of` is the variable that lies in it, where it is told."""

    region: Region
    of: str | None = None


@dataclass(frozen=True)
class Named:
    """x = 5, f(x) = x², k_max = …; `name` is None where what stands left is text or is no name."""

    name: str | None
    value: "Object"
    argument: str | None = None  # x of f(x)


@dataclass(frozen=True)
class Relation:
    """An equation or inequality that defines no value: x² + y² = 4, a < b."""

    left: Node
    sign: str  # = < \le \ne
    right: Node


@dataclass(frozen=True)
class Family:
    """π/4 + kπ for all whole k; several nodes stand beside each other."""

    of: tuple[Node, ...]
    variable: str
    domain: str


@dataclass(frozen=True)
class Words:
    text: str


@dataclass(frozen=True)
class Rows:
    """A matrix, or the cases of a piecewise answer."""

    kind: str
    rows: "tuple[tuple[Object, ...], ...]"


Object = Quantity | Listed | Pair | Range | Named | Relation | Family | Words | Rows
EMPTY_SET = Listed((), ordered=False)
NAMED_SETS = ("R", "Z", "N", "Q", "C")
THE_SET = "the set"


def named_set(name: str) -> Object:
    return Range(Reals()) if name == "R" else Words(f"{THE_SET} {name}")
