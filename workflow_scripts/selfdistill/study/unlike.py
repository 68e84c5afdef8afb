"""Where two effective studies, or several, say different things: key by key, for a person to read."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

ABSENT = object()  # a key that one of them does not have


def leaves(content: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """Every value with its whole key. A list is one value."""
    if isinstance(content, Mapping) and content:
        for key, value in content.items():
            yield from leaves(value, f"{place}.{key}" if place else str(key))
    else:
        yield place, content


def unlike(studies: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """The keys in which not all agree, in the order of the first study that has them, and what each says."""
    flat = [dict(leaves(study)) for study in studies]
    keys = dict.fromkeys(key for each in flat for key in each)
    found = {key: [each.get(key, ABSENT) for each in flat] for key in keys}
    return {key: values for key, values in found.items() if any(value != values[0] for value in values)}
