"""The options of a loader: their defaults, and one sentence for a value that is none."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from selfdistill.foundation.errors import UserError
from selfdistill.foundation.suggestions import listed, suggested
from selfdistill.problems.datasets.pictures import NEEDS, READABLE


@dataclass(frozen=True)
class Some:
    """A list of some of the known values."""

    default: tuple[str, ...] | tuple[int, ...]
    among: tuple[str, ...] | tuple[int, ...]
    about: str

    def complaint(self, value: Any) -> str:
        if not isinstance(value, list | tuple) or not value:
            return f"must be a list of some of {listed(self.among)}, but is {value!r}."
        for one in value:
            if isinstance(one, bool) or one not in self.among:
                return f"there is no {one!r}; {suggested(one, self.among)}"
        return "names something twice; once is enough." if len(set(value)) < len(value) else ""


@dataclass(frozen=True)
class Span:
    """A first and a last whole number, both included."""

    default: tuple[int, int]
    about: str

    def complaint(self, value: Any) -> str:
        if (
            isinstance(value, list | tuple)
            and len(value) == 2
            and all(isinstance(end, int) and not isinstance(end, bool) for end in value)
            and value[0] <= value[1]
        ):
            return ""
        return f"must be the first and the last, such as {list(self.default)}, but is {value!r}."


@dataclass(frozen=True)
class Count:
    """How many at most; None for all."""

    default: int | None
    about: str

    def complaint(self, value: Any) -> str:
        if value is None or (isinstance(value, int) and not isinstance(value, bool) and value > 0):
            return ""
        return f"must be a whole number above zero, but is {value!r}."


@dataclass(frozen=True)
class Flag:
    default: bool
    about: str

    def complaint(self, value: Any) -> str:
        return "" if isinstance(value, bool) else f"must be true or false, but is {value!r}."


Option = Some | Span | Count | Flag

LETTERS = "Keep answers that are the letter of a choice, or words."
COMMON: dict[str, Option] = {
    "pictures": Some(
        READABLE,
        NEEDS,
        "What a problem may need of a picture: nothing, a help, or the picture itself, without which the text cannot be "
        "understood.",
    ),
    "limit": Count(
        None, "Keep so many problems at most: those whose texts have the lowest hashes, so always the same ones."
    ),
    "skip": Count(
        None,
        "Leave out so many problems: those that `limit` alone would keep. Two studies in a row share a dataset so.",
    ),
}


def checked_options(loader: str, known_options: Mapping[str, Option], asked: Mapping[str, Any]) -> dict[str, Any]:
    """Every option of the loader with the value asked for or its default."""
    options = {**known_options, **COMMON}
    for name, value in asked.items():
        if name not in options:
            raise UserError(f"loader {loader}: there is no option {name!r}; {suggested(name, options)}")
        if complaint := options[name].complaint(value):
            raise UserError(f"loader {loader}: {name}: {complaint}")
    return {name: asked.get(name, option.default) for name, option in options.items()}
