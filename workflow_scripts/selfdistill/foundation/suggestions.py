"""What a wrong name was probably meant to be: the nearest known one, or else all that there are."""

import difflib
from collections.abc import Iterable, Sequence


def suggested(wrong: object, known: Iterable[object]) -> str:
    names = [str(name) for name in known]
    close = nearest(wrong, names)
    return f"did you mean {close!r}?" if close else f"there are: {listed(names)}."


def nearest(wrong: object, names: Sequence[str]) -> str | None:
    return next(iter(difflib.get_close_matches(str(wrong), names, n=1)), None)


def listed(names: Iterable[object]) -> str:
    return ", ".join(str(name) for name in names) or "none"
