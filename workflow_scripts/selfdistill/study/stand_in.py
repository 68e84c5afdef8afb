"""A study of which some keys hold no value that they could: made whole with values that could stand there, so that all else is
still looked at. What is then found is worth telling where it does not rest on what was put in.
"""

import copy
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any, NamedTuple

from pydantic import ValidationError

from selfdistill.foundation.suggestions import nearest
from selfdistill.study.study import Study
from selfdistill.study.words import standing_at

ROUNDS = 9  # what was put in or left out may show something else
NONE = object()


class Whole(NamedTuple):
    study: Study
    keys: set[str]  # whose values are not the file's


def made_whole(raw: Mapping[str, Any], usual: Mapping[str, Any]) -> Whole | None:
    """`usual` is a study that is right, from which values are taken. None where even so there is no study."""
    content, keys = copy.deepcopy(dict(raw)), set[str]()
    for _ in range(ROUNDS):
        try:
            return Whole(Study.model_validate(content), keys)
        except ValidationError as error:
            for each in error.errors():
                keys.add(_mended(content, usual, each["loc"], each["type"]))
    return None


def rests_on(sentence: str, keys: Collection[str]) -> bool:
    """Whether a sentence speaks of one of these keys, of what is in it, or names it. The last word of a key alone names it
    only where it can be nothing else: `path` and `decode` are words of many sentences, `max_tokens` is a key."""
    told, _, what = sentence.partition(": ")
    if any(f"{told}.".startswith(f"{key}.") or f"{key}.".startswith(f"{told}.") for key in keys):
        return True
    names = {*keys, *(name for key in keys if "_" in (name := key.rpartition(".")[2]))}
    return any(re.search(rf"(?<![\w.]){re.escape(name)}(?!\w)", what) for name in names)


def _mended(content: dict[str, Any], usual: Mapping[str, Any], place: tuple[str | int, ...], kind: str) -> str:
    """Another value at a place, or none; the key that it is."""
    standing = standing_at(Study, place)
    *above, name = standing.path or place[:1]
    section = _at(content, above)
    if not isinstance(section, dict):
        *above, name = above or [name]
        section = _at(content, above)
    key = ".".join(map(str, (*above, name)))
    value = section.pop(name, NONE) if isinstance(section, dict) else NONE
    if not isinstance(section, dict):
        return key
    if kind == "missing":
        section[name] = copy.deepcopy(next(_alike(usual, (*above, name)), None))
    elif kind == "extra_forbidden" and (meant := nearest(name, standing.beside)) and meant not in section:
        section[meant] = value
        return ".".join([*map(str, above), meant])
    return key


def _at(content: Any, path: Collection[str | int]) -> Any:
    for part in path:
        try:
            content = content[part]
        except (KeyError, IndexError, TypeError):
            return None
    return content


def _alike(usual: Any, path: tuple[str | int, ...]) -> Iterator[Any]:
    """What stands at a path, where a name that is unknown is as good as any that is there."""
    if not path:
        yield usual
    elif isinstance(usual, Mapping):
        there = [usual[path[0]]] if path[0] in usual else usual.values()
        for each in there:
            yield from _alike(each, path[1:])
