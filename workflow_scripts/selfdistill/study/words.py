"""The types of a study file in words, for complaints and for the reference: what stands at a key, and what it may hold.

`standing_at(Study, ("arms", "ssd", "seeds"))` is the type of that key, and `in_words` says "a list of whole numbers" of it.
"""

from collections.abc import Sequence
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic.fields import FieldInfo

from selfdistill.study.section import TEXTS, BuiltIn, Section, Text

FEW = 6  # names that are listed
KEY = "[key]"  # how pydantic marks a mistake in a key itself
WORDS = {
    int: ("a whole number", "whole numbers"),
    float: ("a number", "numbers"),
    str: ("text", "texts"),
    bool: ("true or false", "true or false"),
}
BOUNDS = {Gt: "above {0.gt:g}", Ge: "of at least {0.ge:g}", Lt: "below {0.lt:g}", Le: "of at most {0.le:g}"}


class Standing(NamedTuple):
    """The type of what stands at a path, its limits, and how much of the path leads there: what pydantic says of the
    members of a union follows after that. `beside` are the keys that may stand beside it."""

    path: tuple[str | int, ...]
    annotation: Any
    limits: tuple[Any, ...]
    beside: list[str]
    is_key: bool = False


def standing_at(root: type[Section], path: Sequence[str | int]) -> Standing:
    annotation, limits = _bare(root)
    beside: list[str] = []
    keys: Any = None
    walked: tuple[str | int, ...] = ()
    for place, part in enumerate(path):
        if part == KEY:
            return Standing(walked, *_bare(keys), beside, is_key=True)
        if place + 1 < len(path) and (member := section_of_union(annotation, str(part))):
            annotation = member
            continue
        found: Any = None
        if _is_section(annotation):
            field = annotation.model_fields.get(str(part))
            found = field and Annotated[field.annotation, field]
        elif get_origin(annotation) is dict:
            keys, found = get_args(annotation)
        elif get_origin(annotation) is list:
            (found,) = get_args(annotation)
        else:
            return Standing(walked, annotation, limits, beside)
        beside = names_of(annotation)
        walked = (*walked, part)
        annotation, limits = _bare(found)
    return Standing(walked, annotation, limits, beside)


def names_of(annotation: Any) -> list[str]:
    """The keys or the values that a type knows by name."""
    if _is_section(annotation):
        return list(annotation.model_fields)
    if get_origin(annotation) is dict:
        return names_of(get_args(annotation)[0])
    return [str(name) for name in get_args(annotation)] if get_origin(annotation) is Literal else []


def in_words(annotation: Any, limits: Sequence[Any] = (), many: bool = False) -> str:
    annotation, more = _bare(annotation)
    limits = (*limits, *more)
    origin, members = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return _either(names_of(annotation))
    if is_union(annotation):
        return _either([in_words(member, many=many) for member in members])
    if origin is list:
        return f"a list of {in_words(members[0], many=True)}"
    if origin is dict:
        keys = _either(names_of(annotation), "and") if names_of(annotation) else "names"
        return f"{keys}, each with {in_words(members[1])}" if members[1] is not Any else "keys"
    if _is_section(annotation):
        return "sections" if many else "a section"
    if (text := text_kind(limits)) is not None:
        return text.many if many else text.one
    if (known := next((limit for limit in limits if isinstance(limit, BuiltIn)), None)) is not None:
        few = len(known.names) <= FEW
        return (
            _either([*known.names, "a name that plugins give"]) if few else "a built-in name or one that plugins give"
        )
    if annotation not in WORDS:
        return "anything"
    bounds = [BOUNDS[type(limit)].format(limit) for limit in limits if type(limit) in BOUNDS]
    return " ".join([WORDS[annotation][many], " and ".join(bounds)]).strip()


def text_kind(limits: Sequence[Any]) -> Text | None:
    return next((TEXTS[limit.pattern] for limit in limits if getattr(limit, "pattern", None) in TEXTS), None)


def is_union(annotation: Any) -> bool:
    return get_origin(annotation) in (Union, UnionType)


def section_of_union(annotation: Any, name: str | None = None) -> type[Section] | None:
    """The section, of that class where a name is given, that may stand where a plain value may stand, too."""
    annotation, _ = _bare(annotation)
    members = get_args(annotation) if is_union(annotation) else ()
    return next((m for m in members if _is_section(m) and name in (None, m.__name__)), None)


def _bare(annotation: Any) -> tuple[Any, tuple[Any, ...]]:
    """A type without None and without what limits it, and the limits."""
    limits: list[Any] = []
    while True:
        origin, members = get_origin(annotation), get_args(annotation)
        if origin is Annotated:
            annotation = members[0]
            for limit in members[1:]:
                limits += limit.metadata if isinstance(limit, FieldInfo) else [limit]
        elif origin in (Union, UnionType) and NoneType in members:
            annotation = Union[tuple(member for member in members if member is not NoneType)]  # noqa: UP007
        else:
            return annotation, tuple(limits)


def _is_section(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, Section)


def _either(words: list[str], between: str = "or") -> str:
    return f" {between} ".join(filter(None, [", ".join(words[:-1]), words[-1]]))
