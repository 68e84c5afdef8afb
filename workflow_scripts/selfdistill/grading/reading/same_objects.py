"""When are two objects the same answer? Mostly when they are of one kind and their parts are the same."""

import re
from fractions import Fraction
from itertools import permutations

from selfdistill.grading.reading.nodes import Apply, Node, Number, Symbol, has, substituted, symbols
from selfdistill.grading.reading.objects import (
    Family,
    Listed,
    Named,
    Object,
    Pair,
    Quantity,
    Range,
    Relation,
    Rows,
    Words,
)
from selfdistill.grading.reading.regions import Interval, Joined, Points, Region, is_empty, same_collection, same_region
from selfdistill.grading.reading.same import CONSTANTS, constant_ratio, is_number, same_expression, same_progression
from selfdistill.grading.reading.units import IN_OTHERS
from selfdistill.grading.reading.values import IN_RADIANS, exact

OPTION = re.compile(r"^(?:option|choice|answer)\s+(?=\(?[a-z]\)?$)")
MOST_ITEMS = 60  # of a list that is compared without regard to its order


def same(gold: Object, answer: Object) -> bool:
    assigned = [_by_names(found) for found in (gold, answer)]
    if any(assigned) and not all(
        isinstance(found, Named) and not _is_tuple_of_names(found) for found in (gold, answer)
    ):
        return _same_assignments(gold, answer, *assigned)
    match gold, answer:
        case Named(), Named() if _same_name(gold, answer):
            return same(gold.value, _of_argument(answer.value, answer.argument, gold.argument))
        case Named(), Named():  # a = b is b = a
            return _same_relation(_as_relation(gold), _as_relation(answer))
        case Named(), Relation():
            return _same_relation(_as_relation(gold), answer)
        case Named(), _:
            return same(gold.value, answer)
        case Relation(), Named():
            return _same_relation(gold, _as_relation(answer))
        case Relation(), Relation():
            return _same_relation(gold, answer)
        case _, Named():
            return same(gold, answer.value)
        case Relation(), Quantity():  # the length of AB over that of CD, and no curve
            return gold.sign == "=" and _names_a_size(gold.left) and same(Quantity(gold.right), answer)
        case Quantity(), Relation():  # m + n = 113 answers 113, and x² = 25 does not answer 25
            asked_for = is_number(gold.of) and _may_be_asked_for(answer.left)
            return answer.sign == "=" and asked_for and same(gold, Quantity(answer.right))
        case Quantity(), Quantity():
            return _same_quantity(gold, answer)
        case Pair(), Pair():
            return same_expression(gold.low, answer.low) and same_expression(gold.high, answer.high)
        case (Pair(), Range()) | (Range(), Pair()):
            return same_region(_as_region(gold), _as_region(answer))
        case Range(), Range():
            return (gold.of is None or answer.of is None or gold.of == answer.of) and same_region(
                gold.region, answer.region
            )
        case Family(), Family():
            return gold.domain == answer.domain and same_families(gold, answer)
        case Family(), Quantity() if len(names := symbols(answer.of) - CONSTANTS) == 1:
            return same_families(gold, Family((answer.of,), names.pop(), gold.domain))
        case Quantity(), Family() if len(answer.of) == 1:
            return same_expression(gold.of, answer.of[0])
        case Words(), Words():
            return _same_words(gold.text, answer.text)
        case Rows(), Rows():
            return gold.kind == answer.kind and _same_rows(gold, answer)
        case (Rows(), Pair() | Listed()) | (Pair() | Listed(), Rows()):
            return _same_vector(gold, answer)
        case (Listed() | Pair() | Quantity() | Range(), Listed() | Pair() | Quantity() | Range()):
            return _same_lists(gold, answer)
    return _same_words(_letter(gold), _letter(answer))


def same_families(one: Family, other: Family) -> bool:
    def same_member(node: Node, found: Node) -> bool:
        in_one = (substituted(node, one.variable, Number(Fraction(place))) for place in (0, 1, 2))
        in_other = (substituted(found, other.variable, Number(Fraction(place))) for place in (0, 1, 2))
        return same_progression(*in_one, *in_other) or same_expression(
            node, substituted(found, other.variable, Symbol(one.variable))
        )

    return same_collection(one.of, other.of, same_member)


def _same_quantity(gold: Quantity, answer: Quantity) -> bool:
    one, other = gold.of, answer.of
    units = {gold.unit, answer.unit} - {None, ""}
    if any(unit.startswith("modulo") for unit in units if unit) and gold.unit != answer.unit:
        return False
    if len(units) == 2:
        return _same_in_other_units(gold, answer)
    if units == {"%"} and gold.unit != answer.unit:
        return _same_per_cent(gold, answer)
    if _in_base_lost(one, other):
        return True
    if units == {"degree"} and not (has(one, "degree") or has(other, "degree")):
        return same_expression(one, other)
    if units == {"degree"}:
        one, other = (
            _degrees(node) if unit == "degree" else node for node, unit in ((one, gold.unit), (other, answer.unit))
        )
    return same_expression(one, other)


def _same_in_other_units(gold: Quantity, answer: Quantity) -> bool:
    scaled = []
    for found in (gold, answer):
        unit, factor = IN_OTHERS.get(found.unit or "", (found.unit, "1"))
        scaled.append((unit, Apply("product", (found.of, Number(Fraction(factor))))))
    return scaled[0][0] == scaled[1][0] and same_expression(scaled[0][1], scaled[1][1])


def _same_per_cent(gold: Quantity, answer: Quantity) -> bool:
    """50 % is a half, and 50 where per cent were asked for; but a gold answer of up to 1 is a share."""
    if gold.unit == "%":
        return same_expression(gold.of, answer.of) or same_expression(Apply("percent", (gold.of,)), answer.of)
    if same_expression(gold.of, Apply("percent", (answer.of,))):
        return True
    share = exact(gold.of)
    return (share is None or abs(share) > 1) and same_expression(gold.of, answer.of)


def _degrees(node: Node) -> Node:
    return node if has(node, "degree") else Apply("degree", (node,))


def _in_base_lost(gold: Node, answer: Node) -> bool:
    """2516_8 answered as 2516: the question names the base."""
    if not (isinstance(gold, Number) and isinstance(answer, Number)) or gold.base in (0, 10) or answer.base:
        return False
    try:
        return answer.value.denominator == 1 and int(str(answer.value), gold.base) == gold.value
    except ValueError:
        return False


def _same_name(gold: Named, answer: Named) -> bool:
    return gold.name is None or answer.name is None or gold.name == answer.name


def _of_argument(found: Object, argument: str | None, other: str | None) -> Object:
    """f(t) = 2t as f(x) = 2x."""
    if argument is None or other is None or not isinstance(found, Quantity):
        return found
    if argument == other:
        return found
    apart = substituted(found.of, other, Symbol(f"another {other}"))
    return Quantity(substituted(apart, argument, Symbol(other)), found.unit)


def _is_tuple_of_names(found: Object) -> bool:
    return isinstance(found, Named) and (found.name or "").startswith("(")


def _by_names(found: Object) -> dict[str, Object]:
    """(y, x) = (2, 3) and x = 3, y = 2 as what each name stands for, in the order of the names."""
    if isinstance(found, Named) and _is_tuple_of_names(found):
        names, items = (found.name or "").strip("()").split(","), _items(found.value)
        if isinstance(found.value, Pair | Listed) and _is_tuple(found.value) and len(items) == len(names):
            return dict(sorted(zip(names, items, strict=True)))
    if isinstance(found, Listed) and found.bare and all(isinstance(item, Named) and item.name for item in found.items):
        named = {item.name or "": item.value for item in found.items if isinstance(item, Named)}
        return dict(sorted(named.items())) if len(named) == len(found.items) > 1 else {}
    return {}


def _same_assignments(gold: Object, answer: Object, meant: dict[str, Object], given: dict[str, Object]) -> bool:
    """By their names where both have them, and in the order of the names where one is bare."""
    if meant and given:
        return meant.keys() == given.keys() and all(same(meant[name], given[name]) for name in meant)
    bare = answer if meant else gold
    if (isinstance(bare, Named) and _is_tuple_of_names(bare)) or (
        isinstance(gold if meant else answer, Listed) and isinstance(bare, Named)
    ):
        return False
    items, values = _items(bare), list((meant or given).values())
    if _is_bare(bare) and len(items) == len(values):
        return _matched(list(items), values)
    if _is_set(bare) or len(items) != len(values) or not isinstance(bare, Pair | Listed):
        return False
    return all(same(one, other) for one, other in zip(values, items, strict=True))


def _may_be_asked_for(left: Node) -> bool:
    """m + n, x² + y², sin x; but x² = 25, 2x = 5 and 3x + 2y = 5 are equations to be solved."""
    names = symbols(left) - CONSTANTS
    return not _has_factors(left) and (len(names) > 1 or (isinstance(left, Apply) and left.name in IN_RADIANS))


def _has_factors(node: Node) -> bool:
    """A number that is no exponent."""
    if isinstance(node, Number):
        return True
    if not isinstance(node, Apply):
        return False
    return any(_has_factors(part) for part in (node.of[:1] if node.name == "power" else node.of))


def _names_a_size(left: Node) -> bool:
    return bool(symbols(left)) and all(
        name[0].isupper() or name.startswith(("angle", "triangle")) for name in symbols(left)
    )


def _as_relation(answer: Named) -> Relation | None:
    if answer.name is None or not isinstance(answer.value, Quantity):
        return None
    return Relation(Symbol(answer.name), "=", answer.value.of)


def _same_relation(gold: Relation | None, answer: Relation | None) -> bool:
    """What stands left without what stands right, of the one and of the other: one is a multiple of the other."""
    if gold is None or answer is None or gold.sign != answer.sign:
        return False
    one, other = (Apply("sum", (side.left, Apply("neg", (side.right,)))) for side in (gold, answer))
    return multiple(one, other, positive=gold.sign in ("<", r"\le"))


def multiple(one: Node, other: Node, positive: bool) -> bool:
    ratio = constant_ratio(one, other)
    return ratio is not None and ratio != 0 and (ratio > 0 or not positive)


def _as_region(found: Object) -> Region:
    if isinstance(found, Pair):
        return Interval(found.low, found.high, False, False)
    assert isinstance(found, Range)
    return found.region


def _same_lists(gold: Object, answer: Object) -> bool:
    if not (_lists_sets(gold) and _lists_sets(answer)):
        gold, answer = _united(gold), _united(answer)
    if (isinstance(gold, Range) and isinstance(answer, Pair | Range)) or (
        isinstance(answer, Range) and isinstance(gold, Pair)
    ):
        return same_region(_as_region(gold), _as_region(answer))
    if isinstance(gold, Range) or isinstance(answer, Range):
        return _same_points(gold, answer)
    if _is_bare(gold) and _is_tuple(answer):
        return False
    one, other = _items(gold), _items(answer)
    if len(one) == 1 and isinstance(gold, Listed) and not isinstance(one[0], Listed):
        return same(one[0], answer) if not _is_set(answer) or len(other) == 1 else False
    if len(other) == 1 and isinstance(answer, Listed) and not isinstance(other[0], Listed):
        return same(gold, other[0])
    if len(one) == len(other) and all(same(a, b) for a, b in zip(one, other, strict=True)):
        # Brackets of another kind around the same things in the same order; a set is no pair, though.
        return not ((_is_set(gold) and _is_tuple(answer)) or (_is_tuple(gold) and _is_set(answer))) or len(one) == 1
    if _is_tuple(gold) or _is_tuple(answer) or max(len(one), len(other)) > MOST_ITEMS:
        return False
    if _is_set(gold) or _is_set(answer):
        return same_collection(one, other, same)
    return _matched(list(one), list(other))


def _lists_sets(found: Object) -> bool:
    """Sets one after the other, each of which is meant; inequalities make one set."""
    return isinstance(found, Listed) and all(isinstance(item, Range) and item.of is None for item in found.items)


def _united(found: Object) -> Object:
    """x < 1, x ≠ 0 is where both hold; x < 1, x > 2, which cannot both, is where one does."""
    if not isinstance(found, Listed) or not found.items or not all(isinstance(item, Range) for item in found.items):
        return found
    ranges = [item for item in found.items if isinstance(item, Range)]
    regions = tuple(item.region for item in ranges)
    both = Joined("intersection", regions)
    hold = all(item.of is not None for item in ranges) and not is_empty(both)
    return Range(both if hold else Joined("union", regions))


def _matched(one: list[Object], other: list[Object]) -> bool:
    """Each thing of the one stands in the other as often: 1, 1, 2 are not 1, 2, 2."""
    for item in one:
        place = next((place for place, found in enumerate(other) if same(item, found)), None)
        if place is None:
            return False
        del other[place]
    return not other


def _items(found: Object) -> tuple[Object, ...]:
    if isinstance(found, Pair):
        return Quantity(found.low), Quantity(found.high)
    return found.items if isinstance(found, Listed) else (found,)


def _is_tuple(found: Object) -> bool:
    return isinstance(found, Pair) or (isinstance(found, Listed) and found.ordered)


def _is_bare(found: Object) -> bool:
    return isinstance(found, Listed) and found.bare


def _is_set(found: Object) -> bool:
    return isinstance(found, Listed) and not found.ordered and not found.bare


def _same_points(gold: Object, answer: Object) -> bool:
    """A region that is a few points, against a list of them."""
    regions = []
    for found in (gold, answer):
        if isinstance(found, Range):
            regions.append(found.region)
        elif _is_tuple(found):
            return False
        else:
            items = _items(found)
            if not all(isinstance(item, Quantity) for item in items):
                return False
            if isinstance(found, Quantity):
                return False
            regions.append(Points(tuple(item.of for item in items if isinstance(item, Quantity))))
    return same_region(*regions)


def _same_rows(gold: Rows, answer: Rows) -> bool:
    if [len(row) for row in gold.rows] != [len(row) for row in answer.rows]:
        return False
    pairs = [list(zip(one, other, strict=True)) for one, other in zip(gold.rows, answer.rows, strict=True)]
    if all(same(a, b) for row in pairs for a, b in row):
        return True
    if gold.kind != "cases" or len(gold.rows) > 6:
        return False
    return any(
        all(same(a, b) for one, other in zip(gold.rows, order, strict=True) for a, b in zip(one, other, strict=True))
        for order in permutations(answer.rows)
    )


def _same_vector(gold: Object, answer: Object) -> bool:
    """A column or a row against (a, b)."""
    rows, listed = (gold, answer) if isinstance(gold, Rows) else (answer, gold)
    assert isinstance(rows, Rows)
    if rows.kind != "matrix" or not _is_tuple(listed):
        return False
    cells = rows.rows[0] if len(rows.rows) == 1 else tuple(row[0] for row in rows.rows if len(row) == 1)
    items = _items(listed)
    whole = sum(len(row) for row in rows.rows) == len(cells)
    return whole and len(cells) == len(items) and all(same(a, b) for a, b in zip(cells, items, strict=True))


def _same_words(one: str | None, other: str | None) -> bool:
    if one is None or other is None:
        return False
    plain = [OPTION.sub("", text.casefold()).strip("() ") for text in (one, other)]
    return plain[0] == plain[1]


def _letter(found: Object) -> str | None:
    """A letter of a choice, however it is set."""
    if isinstance(found, Quantity) and isinstance(found.of, Symbol):
        return found.of.name
    return found.text if isinstance(found, Words) else None
