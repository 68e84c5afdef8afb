"""Does a token sequence end by repeating itself? Found exactly, as a period of the tail, not by n-gram counts."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from selfdistill.study.grading import Loops


class Loop(NamedTuple):
    start: int  # index of the first token of the periodic tail
    period: int
    repeats: int  # whole periods


def find_loop(tokens: npt.NDArray[np.integer], settings: Loops) -> Loop | None:
    """The loop of the shortest period at the end, if its repeats are enough and cover enough tokens.

    A tail has period p where x[i] = x[i-p]. With a match run of length L at the end, p + L tokens are periodic.
    """
    n = len(tokens)
    longest = min(settings.max_period, n - 1)
    if n < settings.min_tokens or longest < 1:
        return None
    for period in _periods_of_last_token(tokens, longest):
        covered = max(settings.min_repeats * period, settings.min_tokens)
        if covered > n:
            continue
        if not np.array_equal(tokens[n - covered + period :], tokens[n - covered : n - period]):
            continue
        breaks = np.flatnonzero(tokens[period:] != tokens[:-period])
        start = int(breaks[-1]) + 1 if len(breaks) else 0
        return Loop(start, period, (n - start) // period)
    return None


def _periods_of_last_token(tokens: npt.NDArray[np.integer], longest: int) -> list[int]:
    """Distances to the last token's earlier occurrences, the shortest first: no other period is possible."""
    before = tokens[-longest - 1 : -1][::-1]
    return (np.flatnonzero(before == tokens[-1]) + 1).tolist()
