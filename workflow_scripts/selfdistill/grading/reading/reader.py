r"""From a text to the one object that it writes: an expression, a list, a pair, a set, a region, an equation, words.

What is not one object is refused (`NotOneObject`): prose around a number, a chain of equalities that does not hold. What this
reader does not know (`Unread`) is left to math-verify.
"""

import re
from itertools import pairwise

from selfdistill.grading.reading.expressions import Expressions
from selfdistill.grading.reading.nodes import PLUS_MINUS, Apply, Node, Symbol, has, integer, readings_of_signs
from selfdistill.grading.reading.objects import (
    EMPTY_SET,
    NAMED_SETS,
    THE_SET,
    Family,
    Listed,
    Named,
    Object,
    Pair,
    Quantity,
    Range,
    Rows,
    Words,
    named_set,
)
from selfdistill.grading.reading.regions import Interval, Joined, Points, Reals, Region, number
from selfdistill.grading.reading.relations import equality, inequality, member, name_of, rounded
from selfdistill.grading.reading.same import is_number, same_expression
from selfdistill.grading.reading.splitting import (
    APPROX,
    at_depth_0,
    connected,
    end_of,
    is_and,
    relations,
    split,
    step,
    unwrapped,
    with_conditions,
    without_announcement,
)
from selfdistill.grading.reading.tokens import NotOneObject, Token, Unread, tokens_of
from selfdistill.grading.reading.units import SCALES, counts_something, unit_of
from selfdistill.grading.reading.writing import canonical

BRACKETS = ("(", ")", "[", "]")
EMPTY = {
    "no solution",
    "no solutions",
    "no real solution",
    "no real solutions",
    "empty set",
    "the empty set",
    "none",
    "dne",
    "does not exist",
}
ALL_REALS = {"all real numbers", "all reals", "any real number", "all real values"}
MATRICES = {"pmatrix", "bmatrix", "matrix", "vmatrix", "Bmatrix", "smallmatrix", "array"}
REPEATED_UNIT = re.compile(r"(?i)^(dollar|euro|pound)s? \1s?$")
CASES = {"cases", "dcases", "rcases"}
CURRENCIES = {
    "dollars": "dollars",
    "usd": "dollars",
    "us": "dollars",
    "euros": "euros",
    "eur": "euros",
    "pounds": "pounds",
    "yen": "yen",
    "rs": "rupees",
}


def read_object(text: str) -> Object:
    return whole(tokens_of(canonical(text)))


def whole(tokens: list[Token]) -> Object:
    if not tokens:
        raise Unread("nothing stands there")
    tokens = unwrapped(tokens)
    if all(token.kind == "text" or token.text in {".", ",", "-", "!", "?", "'"} for token in tokens):
        return _words(" ".join(token.text for token in tokens if token.kind == "text"))
    tokens = connected(with_conditions(without_announcement(tokens)))
    if tokens and is_and(tokens[-1]):
        raise NotOneObject("it ends in the middle")
    parts = split(tokens, {",", ";", "or", "and"})
    if len(parts) == 1:
        return _one(tokens)
    how = "or" if len(split(tokens, {"or"})) > 1 else "and" if len(split(tokens, {"and"})) > 1 else ""
    return _several([_one(part) for part in parts if part], how)


def _words(text: str) -> Object:
    plain = " ".join(text.lower().strip(" .,!").split())
    if plain in EMPTY:
        return EMPTY_SET
    if plain in ALL_REALS:
        return Range(Reals())
    if plain in ("infinity", "infinite", "infinitely many"):
        return Quantity(Symbol("infty"))
    return Words(plain)


def _several(items: list[Object], how: str) -> Object:
    """x = 1 or x = 2 is a list of values of x; x = 1, y = 2 is one of names; x < 1 or x > 2 is a region."""
    if len(items) == 1:
        return items[0]
    if not items:
        raise Unread("a comma alone")
    if len(items) == 2 and _says_little(items[0], items[1]):
        return items[0]
    if (found := _family(items[:-1], items[-1])) is not None:
        return found
    if how == "or" and all(isinstance(item, Quantity) for item in items) and _all_the_same(items):
        return items[0]  # 5/2 or 2.5
    if how == "or" and any(isinstance(item, Range) and item.of for item in items):
        items = [_as_range(item) for item in items]
    if how and all(isinstance(item, Range) for item in items):
        ranges = [item for item in items if isinstance(item, Range)]
        both = how == "and" and all(item.of is not None for item in ranges)
        regions = tuple(item.region for item in ranges)
        return Range(Joined("intersection" if both else "union", regions), ranges[0].of)
    names = {item.name for item in items if isinstance(item, Named)}
    if len(names) == 1 and isinstance(items[0], Named):
        values = tuple(item.value if isinstance(item, Named) else item for item in items)
        return Named(items[0].name, _flat(values))
    return _flat(tuple(items))


def _says_little(item: Object, condition: Object) -> bool:
    """f(x) = x, x ∈ ℝ; n ≥ 4, n ∈ ℕ."""
    if isinstance(condition, Range) and isinstance(condition.region, Reals):
        return True
    of_a_set = (
        isinstance(condition, Named) and isinstance(condition.value, Words) and condition.value.text.startswith(THE_SET)
    )
    return of_a_set and isinstance(item, Range) and item.of == condition.name  # type: ignore[union-attr]


def _all_the_same(items: list[Object]) -> bool:
    nodes = [item.of for item in items if isinstance(item, Quantity)]
    return all(is_number(node) and same_expression(node, nodes[0]) for node in nodes)


def _as_range(item: Object) -> Object:
    """x = 1 among x = 1 or x > 2."""
    if isinstance(item, Named) and isinstance(item.value, Quantity) and is_number(item.value.of):
        return Range(Points((item.value.of,)), item.name)
    return item


def _family(items: list[Object], condition: Object) -> Object | None:
    """π/4 + kπ, k ∈ ℤ."""
    if not isinstance(condition, Named) or condition.name is None or not isinstance(condition.value, Words):
        return None
    if not condition.value.text.startswith(THE_SET):
        return None
    values = [item.value if isinstance(item, Named) else item for item in items]
    if not all(isinstance(value, Quantity) for value in values):
        raise Unread("a family of other things than numbers")
    nodes = tuple(value.of for value in values if isinstance(value, Quantity))
    return Family(nodes, condition.name, condition.value.text)


def _flat(items: tuple[Object, ...]) -> Listed:
    found: list[Object] = []
    for item in items:
        found.extend(item.items if isinstance(item, Listed) and item.bare else [item])
    return Listed(tuple(found), ordered=False, bare=True)


def _one(tokens: list[Token]) -> Object:
    if not tokens:
        raise Unread("nothing between two commas")
    pieces, signs = relations(tokens)
    if not signs:
        return _term(tokens)
    if APPROX in signs:
        return rounded(tokens, whole)
    if signs == [r"\in"]:
        return member(pieces, _term)
    if any(sign == r"\in" for sign in signs):
        raise Unread("a membership among other relations")
    return equality(pieces, whole) if set(signs) == {"="} else inequality(pieces, signs)


def _term(tokens: list[Token]) -> Object:
    tokens = unwrapped(tokens)
    if not tokens:
        raise Unread("nothing stands there")
    if places := at_depth_0(tokens, {"cup", "cap", "setminus"}):
        return _combined(tokens, places)
    if (found := _bracketed(tokens)) is not None:
        return found
    parts = split(tokens, {":"})
    return _quantity(tokens) if len(parts) == 1 else _ratio(parts)


def _ratio(parts: list[list[Token]]) -> Object:
    """7:32 is a quotient; 1:2:3 are quotients by the first."""
    nodes = [Expressions(list(part)).whole() for part in parts]
    if len(nodes) == 2:
        return Quantity(Apply("quotient", (nodes[0], nodes[1])))
    return Listed(tuple(Quantity(Apply("quotient", (node, nodes[0]))) for node in nodes[1:]), ordered=True)


def _combined(tokens: list[Token], places: list[int]) -> Object:
    hows = [tokens[place].text for place in places]
    bounds = [-1, *places, len(tokens)]
    parts = tuple(_region(_term(tokens[start + 1 : end])) for start, end in pairwise(bounds))
    found = parts[0]
    for how, part in zip(hows, parts[1:], strict=True):
        found = Joined({"cup": "union", "cap": "intersection", "setminus": "difference"}[how], (found, part))
    return Range(found)


def _region(found: Object) -> Region:
    match found:
        case Range(region):
            return region
        case Pair(low, high):
            return Interval(low, high, False, False)
        case Listed(items) if all(isinstance(item, Quantity) for item in items):
            return Points(tuple(item.of for item in items if isinstance(item, Quantity)))
    raise Unread("a set of other things than numbers")


def _bracketed(tokens: list[Token]) -> Object | None:
    """(1, 2), [1, 2), {1, 2}, <1, 2>, a matrix, cases, a named set; None where it is none of these."""
    first, last, inside = tokens[0], tokens[-1], tokens[1:-1]
    if first.text == "emptyset" and len(tokens) == 1:
        return EMPTY_SET
    if first.text == "mathbb" and len(tokens) >= 4 and tokens[2].text in NAMED_SETS:
        return _named_set(tokens[2].text, "".join(token.text for token in tokens[4:] if token.text not in ("{", "}")))
    if first.text == "langle" and last.text == "rangle":
        return _tuple([whole(part) for part in split(inside, {","})])
    if not (first.kind == last.kind == "sign") or len(tokens) < 2:
        return None
    if first.text.startswith("begin ") and end_of(tokens, 0) == len(tokens) - 1:
        return _table(first.text.partition(" ")[2], inside)
    if (
        first.text in ("[", "(")
        and inside
        and inside[0].text.startswith("begin ")
        and end_of(inside, 0) == len(inside) - 1
    ):
        return _table(inside[0].text.partition(" ")[2], inside[1:-1])
    if first.text == r"\{" and last.text == r"\}" and end_of(tokens, 0) == len(tokens) - 1:
        return _set(inside)
    if first.text in BRACKETS and last.text in BRACKETS and _spans(tokens):
        return _pair_or_tuple(first.text + last.text, split(inside, {",", ";"}))
    return None


def _named_set(name: str, marks: str) -> Object:
    """ℝ, ℤ, and ℝ with a plus."""
    if not marks:
        return named_set(name)
    if name != "R":
        return Words(f"{THE_SET} {name} {marks}")
    nothing, infinity = integer(0), Symbol("infty")
    positive, with_nothing = marks in ("^+", "_+", "_>0", "_ge0"), marks.endswith("e0")
    if positive:
        return Range(Interval(nothing, infinity, with_nothing, False))
    if marks in ("^-", "_-", "_<0", "_le0"):
        return Range(Interval(Apply("neg", (infinity,)), nothing, False, with_nothing))
    raise Unread("a set with marks")


def _pair_or_tuple(brackets: str, parts: list[list[Token]]) -> Object | None:
    if len(parts) == 1:
        return None
    items = [whole(part) for part in parts]
    if len(items) == 2 and brackets != "()" and all(isinstance(item, Quantity) for item in items):
        low, high = (item.of for item in items if isinstance(item, Quantity))
        if brackets != "[]" or _ascends(low, high):
            return Range(Interval(low, high, brackets[0] == "[", brackets[1] == "]"))
    return _tuple(items)


def _ascends(low: Node, high: Node) -> bool:
    if not (is_number(low) and is_number(high)):
        return True
    return bool(number(low) < number(high))


def _spans(tokens: list[Token]) -> bool:
    """The first bracket closes with the last one. In [1, 2) and ]1, 2[ they are of other kinds."""
    if tokens[0].text == "]" or tokens[-1].text == "[":
        return all(step(token) == 0 for token in tokens[1:-1])
    return end_of(tokens, 0) == len(tokens) - 1


def _tuple(items: list[Object]) -> Object:
    if len(items) == 2 and all(isinstance(item, Quantity) and item.unit is None for item in items):
        low, high = (item.of for item in items if isinstance(item, Quantity))
        if not (has(low, PLUS_MINUS) or has(high, PLUS_MINUS)):
            return Pair(low, high)
    return Listed(tuple(items), ordered=True)


def _set(tokens: list[Token]) -> Object:
    if not tokens:
        return EMPTY_SET
    bars = [
        place
        for place, token in enumerate(tokens)
        if token.text in ("mid", ":", "|") and token.kind in ("sign", "command")
    ]
    if bars and (len(bars) == 1 or tokens[bars[0]].text != "|"):
        return _builder(tokens[: bars[0]], tokens[bars[0] + 1 :])
    found = whole(tokens)
    if isinstance(found, Listed) and found.bare:
        return Listed(found.items, ordered=False)
    return Listed((found,), ordered=False)


def _builder(what: list[Token], condition: list[Token]) -> Object:
    """{x : x < 2}, {x ∈ ℝ | x < 2}."""
    found = whole(condition)
    pieces, signs = relations(what)
    if not signs and (family := _family([whole(what)], found)) is not None:
        return family
    name = name_of(pieces[0])
    within = _term(pieces[1]) if signs == [r"\in"] else Range(Reals())
    if name is None or not isinstance(within, Range) or not isinstance(found, Range) or found.of not in (name, None):
        raise Unread("a set by a condition")
    if isinstance(within.region, Reals):
        return Range(found.region)
    return Range(Joined("intersection", (within.region, found.region)))


def _table(kind: str, tokens: list[Token]) -> Object:
    if kind == "array" and tokens and tokens[0].text == "{":
        end = end_of(tokens, 0)
        tokens = tokens[(end or 0) + 1 :]
    if kind not in MATRICES | CASES:
        raise Unread(f"an environment {kind}")
    rows = [row for row in split(tokens, {"\\\\"}) if row]
    cells = tuple(tuple(_cell(cell) for cell in split(row, {"&"}) if cell) for row in rows)
    return Rows("cases" if kind in CASES else "matrix" if kind != "vmatrix" else "determinant", cells)


def _cell(tokens: list[Token]) -> Object:
    tokens = [
        token
        for token in tokens
        if not (token.kind == "text" and token.text.strip(" ,").lower() in ("if", "for", "when", "where"))
    ]
    while tokens and tokens[-1].text in (",", ".", ";"):
        tokens = tokens[:-1]
    while tokens and tokens[0].text in (",",):
        tokens = tokens[1:]
    if not tokens:
        raise Unread("an empty cell")
    try:
        return whole(tokens)
    except (Unread, NotOneObject):  # `n even` and other conditions in words
        said = " ".join(token.text.casefold() for token in tokens).split()
        return Words(" ".join(word for word in said if word not in ("is", "are", "if", "when")))


def _quantity(tokens: list[Token]) -> Object:
    currency = _currency(tokens[0])
    if tokens[0].kind == "text" and currency is None:
        raise NotOneObject("prose")
    tokens = tokens[1:] if currency else tokens
    if not tokens:
        raise NotOneObject("a currency alone")
    reader = Expressions(list(_without_scale(tokens)[0]))
    scale = _without_scale(tokens)[1]
    node = reader.sum()
    rest = reader.tokens[reader.position :]
    if scale:
        node = Apply("product", (node, Apply("power", (integer(10), integer(scale)))))
    if rest and rest[0].text in ("pmod", "bmod") and rest[0].kind == "command":
        return Quantity(node, "modulo " + "".join(token.text for token in rest[1:] if token.text not in ("{", "}")))
    unit = _unit([Token("text", currency), *rest] if currency else rest) if rest or currency else None
    if isinstance(node, Apply) and node.name == "percent":
        node, unit = node.of[0], "%"
    elif isinstance(node, Apply) and node.name == "degree" and unit is None:
        return Quantity(node, "degree")
    if has(node, PLUS_MINUS):
        return Listed(tuple(Quantity(each, unit) for each in _signed(node)), ordered=False, bare=True)
    return Quantity(node, unit)


def _signed(node: Node) -> list[Node]:
    try:
        return readings_of_signs(node)
    except ValueError:
        raise Unread("too many signs") from None


def _currency(token: Token) -> str | None:
    name = token.text.lower().rstrip(".")
    return CURRENCIES.get(name) if token.kind == "text" else None


def _without_scale(tokens: list[Token]) -> tuple[list[Token], int]:
    """5 million."""
    for place, token in enumerate(tokens):
        if (
            place
            and token.kind == "text"
            and (power := SCALES.get(token.text.split()[0].lower() if token.text.split() else ""))
        ):
            rest = token.text.split()[1:]
            return [
                *tokens[:place],
                *([Token("text", " ".join(rest), True)] if rest else []),
                *tokens[place + 1 :],
            ], power
    return tokens, 0


def _unit(rest: list[Token]) -> str:
    """What stands behind a number: a unit of the list, or the things that were counted."""
    if rest[0].text in ("'", "\\\\"):
        raise NotOneObject("something follows")
    if rest[0].kind != "text":
        raise Unread(f"{rest[0].text} was not expected")
    text = "".join(
        f" {token.text}" if token.kind == "text" else token.text for token in rest if token.text not in ("{", "}")
    )
    text = REPEATED_UNIT.sub(r"\1", text.strip())
    if (unit := unit_of(text)) is not None:
        return "degree" if unit == "degree" else unit
    words = " ".join(token.text for token in rest if token.kind == "text")
    if words.lower().strip(" .") in ("percent", "per cent", "pct"):
        return "%"
    if all(token.kind == "text" or token.text in (".", ",", "(", ")") for token in rest) and counts_something(words):
        return ""
    raise NotOneObject("words behind a number")
