"""Equalities, inequalities and memberships: a value with its name, a region of one variable, or a relation."""

import re
from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise

import mpmath

from selfdistill.grading.reading.expressions import Expressions
from selfdistill.grading.reading.nodes import PLUS_MINUS, Apply, Node, Number, Symbol, has, substituted, symbols
from selfdistill.grading.reading.objects import NAMED_SETS, Named, Object, Pair, Quantity, Range, Relation, named_set
from selfdistill.grading.reading.regions import Interval, Joined, Points, Reals, Region
from selfdistill.grading.reading.same import CONSTANTS, is_number, same_expression
from selfdistill.grading.reading.splitting import end_of
from selfdistill.grading.reading.tokens import NotOneObject, Token, Unread
from selfdistill.grading.reading.units import unit_of
from selfdistill.grading.reading.values import DIGITS, Reading, exact, value
from selfdistill.tables.endings import WRONG

DENIALS = {"not", "no", "isn't", "never", "incorrect", "false", "cannot", "unless", "if", WRONG}
Tokens = list[Token]
TURNED = {"<": ">", ">": "<", r"\le": r"\ge", r"\ge": r"\le"}
FLIPPED = {">": "<", r"\ge": r"\le"}


def member(pieces: list[Tokens], read: Callable[[Tokens], Object]) -> Object:
    if not all(pieces):
        raise NotOneObject("a membership of one side")
    name = name_of(pieces[0])
    if name is None:
        raise NotOneObject("a membership of something else")
    inside = read(pieces[1])
    if isinstance(inside, Quantity) and isinstance(inside.of, Symbol) and inside.of.name in NAMED_SETS:
        inside = named_set(inside.of.name)
    if isinstance(inside, Pair):
        inside = Range(Interval(inside.low, inside.high, False, False))
    if isinstance(inside, Range):
        return Range(inside.region, name)
    return Named(name, inside)


def equality(pieces: list[Tokens], read: Callable[[Tokens], Object]) -> Object:
    """A chain of equalities must hold as far as it can be worked out, and is worth what stands at its end."""
    if not pieces[-1] or not any(pieces[:-1]):
        raise NotOneObject("an equality of one side")
    last = read(pieces[-1])
    numbers = [node for node in map(_number, pieces) if node is not None]
    formulas = [node for node in map(_expression, pieces[1:]) if node is not None and not is_number(node)]
    for one, other in (*pairwise(numbers), *pairwise(formulas)):
        if (symbols(one) == symbols(other) or one in numbers) and not _hold_together(one, other):
            raise NotOneObject("an equality that does not hold")
    if len(numbers) == len(pieces):
        return last
    name = name_of(pieces[0])
    if name is None and _number(pieces[0]) is not None and len(pieces) == 2 and name_of(pieces[1]):  # 5 = x
        return Named(name_of(pieces[1]), read(pieces[0]))
    if name is None and any(token.kind == "text" for token in pieces[0]) and not _is_label(pieces[0]):
        raise NotOneObject("prose")
    if name is None and len(pieces) == 2 and isinstance(last, Quantity):
        left = _expression(pieces[0])
        if left is not None:
            return Relation(left, "=", last.of)
    return Named(name, last, _argument(pieces[0]))


def _argument(tokens: Tokens) -> str | None:
    is_call = [token.text for token in tokens[1:2] + tokens[3:]] == ["(", ")"] and len(tokens) == 4
    return tokens[2].text if is_call and tokens[0].kind == tokens[2].kind == "letter" else None


def _hold_together(one: Node, other: Node) -> bool:
    try:
        return same_expression(one, other)
    except Unread:
        return True


def rounded(tokens: Tokens, read: Callable[[Tokens], Object]) -> Object:
    """An exact number and what it is about: the number, where it is rounded rightly."""
    place = next(place for place, token in enumerate(tokens) if token.text in ("approx", "simeq"))
    if place == 0:
        raise NotOneObject("an approximation")
    exactly, about = read(tokens[:place]), _number(_without_unit(tokens[place + 1 :]))
    meant = exactly.value if isinstance(exactly, Named) else exactly
    if not isinstance(meant, Quantity) or not is_number(meant.of) or not isinstance(about, Number):
        raise NotOneObject("an approximation")
    with mpmath.workdps(DIGITS):
        off = mpmath.fabs(value(meant.of, {}, Reading()) - value(about, {}, Reading()))
        if off > mpmath.mpf(10) ** -(about.places or 0):
            raise NotOneObject("an approximation that is wrong")
    return exactly


def _number(tokens: Tokens) -> Node | None:
    found = _expression(tokens)
    return (
        found
        if found is not None
        and found != Symbol("i")  # i = 5 names something
        and is_number(found)
        and not has(found, PLUS_MINUS)
        and symbols(found) <= {"pi", "e", "infty", "i"}
        else None
    )


def _expression(tokens: Tokens) -> Node | None:
    try:
        return Expressions(list(tokens)).whole()
    except Unread:
        return None


def _is_label(tokens: Tokens) -> bool:
    """Words and points before an equals sign, `Area of ABC`, of which none denies it."""
    words = {word.lower() for token in tokens if token.kind == "text" for word in token.text.split()}
    return not words & DENIALS and all(token.kind == "text" or token.text.isupper() for token in tokens)


def name_of(tokens: Tokens) -> str | None:
    """The name of what stands left of an equality, where it is one: x, k_max, f(x), P(A), |AB|, a word, (x, y)."""
    if not tokens:
        return None
    if all(token.kind == "text" for token in tokens):
        return None
    if all((token.kind == "letter" and token.text.isupper()) or token.text in ("|", "{", "}") for token in tokens):
        return "".join(token.text for token in tokens if token.kind == "letter")  # AB, |AB|
    if tokens[0].text == "(" and all(token.kind == "letter" for token in tokens[1:-1:2]) and len(tokens) > 3:
        between = {token.text for token in tokens[2:-1:2]}
        names = ",".join(token.text for token in tokens[1:-1:2])
        return f"({names})" if between == {","} and tokens[-1].text == ")" else None
    kinds = {token.kind for token in tokens}
    signs = {token.text for token in tokens if token.kind == "sign"}
    if "number" in kinds and not signs & {"_", "("}:
        return None
    if signs & {"+", "-", "*", "/", "^", "!", "%"} and not signs & {"_", "("}:
        return None
    try:
        reader = Expressions(list(tokens))
        head = reader.atom()
    except Unread:
        return None
    if not isinstance(head, Symbol) or head.name in CONSTANTS:
        return None
    rest = tokens[reader.position :]
    if not rest:
        return re.sub(r"^([A-Za-z])_\d(?:,\d)+$", r"\1", head.name)  # x_{1,2} is x
    if rest[0].text == "(" and end_of(rest, 0) == len(rest) - 1 and not _is_changed(rest):
        return head.name
    return None


def _called(tokens: Tokens) -> Node | None:
    """f(x), of which something is said as of a number."""
    name = name_of(tokens) if any(token.text == "(" for token in tokens) else None
    return Symbol(f"{name}()") if name and not name.startswith("(") else None


def _is_changed(argument: Tokens) -> bool:
    """f(-x) and f(2x) are not f; f(2) and P(X = 1) have names."""
    signs = {token.text for token in argument}
    letters = any(token.kind == "letter" for token in argument)
    numbers = any(token.kind == "number" for token in argument)
    return letters and not signs & {"=", "<", ">"} and (numbers or bool(signs & {"+", "-", "*", "/", "^"}))


def inequality(pieces: list[Tokens], signs: list[str]) -> Object:
    """Of one variable it is a region; of more it is a relation."""
    if "=" in signs and any(sign != "=" for sign in signs):
        raise Unread("equalities and inequalities together")
    if not pieces[0] and len(pieces) == 2:  # \ge 5
        pieces = [[Token("letter", "x")], pieces[1]]
        found = inequality(pieces, signs)
        return Range(found.region) if isinstance(found, Range) else found
    nodes = [_called(piece) or _expression(_without_unit(piece)) for piece in pieces]
    if any(node is None for node in nodes):
        raise Unread("a side that is no expression")
    sides = [node for node in nodes if node is not None]
    names = set().union(*(symbols(node) for node in sides)) - CONSTANTS
    if len(names) == 1:
        variable = Symbol(*names)
        regions = [
            _half(left, sign, right, variable) for (left, right), sign in zip(pairwise(sides), signs, strict=True)
        ]
        return Range(regions[0] if len(regions) == 1 else Joined("intersection", tuple(regions)), variable.name)
    if len(sides) == 3 and isinstance(sides[1], Symbol):  # a < x < b
        if all(sign in ("<", r"\le") for sign in signs):
            return Range(Interval(sides[0], sides[2], signs[0] == r"\le", signs[1] == r"\le"), sides[1].name)
        if all(sign in (">", r"\ge") for sign in signs):
            return Range(Interval(sides[2], sides[0], signs[1] == r"\ge", signs[0] == r"\ge"), sides[1].name)
    if len(sides) == 2:
        sign = signs[0]
        left, right = (sides[1], sides[0]) if sign in FLIPPED else (sides[0], sides[1])
        return Relation(left, FLIPPED.get(sign, sign), right)
    raise Unread("a chain of inequalities")


def _half(left: Node, sign: str, right: Node, variable: Symbol) -> Region:
    if isinstance(right, Apply) and right.name == "abs" and is_number(left) and sign in TURNED:
        left, sign, right = right, TURNED[sign], left
    if isinstance(left, Apply) and left.name == "abs" and is_number(right) and sign in TURNED:
        # |x| < 2 is -2 < x < 2, and |x| > 2 is what lies outside
        sides = (
            _half(left.of[0], sign, right, variable),
            _half(left.of[0], TURNED[sign], Apply("neg", (right,)), variable),
        )
        return Joined("intersection" if sign in ("<", r"\le") else "union", sides)
    end, slope = _solved(left, right, variable)
    if slope < 0:
        sign = TURNED.get(sign, sign)
    right = end
    infinity = Symbol("infty")
    if sign == r"\ne":
        return Joined("difference", (Reals(), Points((right,))))
    if sign in ("<", r"\le"):
        return Interval(Apply("neg", (infinity,)), right, False, sign == r"\le")
    return Interval(right, infinity, sign == r"\ge", False)


def _solved(left: Node, right: Node, variable: Symbol) -> tuple[Node, int]:
    """Where the two sides of a linear inequality meet, and whether the left one rises faster."""
    if left == variable and is_number(right):
        return right, 1
    if right == variable and is_number(left):
        return left, -1
    difference = Apply("sum", (left, Apply("neg", (right,))))
    at_0, at_1, at_2, at_7 = (
        exact(substituted(difference, variable.name, Number(Fraction(place)))) for place in (0, 1, 2, 7)
    )
    if at_0 is None or at_1 is None or at_2 is None or at_7 is None:
        raise Unread("an inequality that is not solved")
    slope = at_1 - at_0
    if slope == 0 or at_2 != at_0 + 2 * slope or at_7 != at_0 + 7 * slope:
        raise Unread("an inequality that is not linear")
    return Number(-at_0 / slope), 1 if slope > 0 else -1


def _without_unit(tokens: Tokens) -> Tokens:
    while tokens and tokens[-1].kind == "text" and unit_of(tokens[-1].text) is not None:
        tokens = tokens[:-1]
    return tokens
