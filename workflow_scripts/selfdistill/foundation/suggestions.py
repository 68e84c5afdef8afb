"""What a wrong name was probably meant to be: the nearest known one, or else all that there are."""

import difflib
from collections.abc import Iterable


def suggested(wrong: object, known: Iterable[object]) -> str:
    names = [str(name) for name in known]
    close = difflib.get_close_matches(str(wrong), names, n=1)
    return f"did you mean {close[0]!r}?" if close else f"there are: {listed(names)}."


def listed(names: Iterable[object]) -> str:
    return ", ".join(str(name) for name in names) or "none"
