"""Does a completion end by repeating itself? Found exactly, as a period of its tail, not by n-gram counts.

A loop repeats its tokens. A counting loop repeats its text but for the numbers in it, and at least one of these
grows or falls by the same step each time: `x_{887} = x_{886} + 3, x_{888} = x_{887} + 3, …`. It is looked for in
characters, every run of digits being one, because 9 and 10 may be different numbers of tokens.
"""

from collections.abc import Iterator
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from selfdistill.study.grading import Loops

Sequence = npt.NDArray[np.integer]

CHARACTERS_OF_A_TOKEN = 4  # turns the limits, which are in tokens, into those of a counting loop
EXACT_DIGITS = 15  # a float holds every whole number of so many
COMPARED_FIRST = 16  # elements: few of the periods that the last one allows stand the comparison of so many


class Loop(NamedTuple):
    start: int  # index of the first token of the periodic tail
    period: int
    repeats: int  # whole periods


class Counter(NamedTuple):
    start: int  # index, in the text, of the first character of the tail
    period: int  # in characters, a number being one
    repeats: int  # whole periods


def find_loop(tokens: Sequence, settings: Loops) -> Loop | None:
    """The loop of the shortest period at the end, if its repeats are enough and cover enough tokens.

    A tail has period p where x[i] = x[i-p]. With a match run of length L at the end, p + L tokens are periodic.
    """
    for period in _periods(tokens, settings.max_period, settings.min_repeats, settings.min_tokens):
        start = _start(tokens, period)
        return Loop(start, period, (len(tokens) - start) // period)
    return None


def find_counter(text: str, settings: Loops) -> Counter | None:
    """The counting loop at the end; the text may end amid a unit, and amid a number.

    Only the shortest period is asked whether it counts. The longer ones of a list of numbers have units of many numbers,
    and a few repeats of those hold one that seems to count by chance.
    """
    masked = _Masked(text)
    size = len(masked.characters)
    longest, least = (CHARACTERS_OF_A_TOKEN * limit for limit in (settings.max_period, settings.min_tokens))
    period = next(_periods(masked.characters, longest, settings.min_repeats, least), None)
    if period is None:
        return None
    start = max(_start(masked.characters, period), _counts_from(masked, period))
    if size - start < max(settings.min_repeats * period, least):
        return None
    return Counter(int(masked.places[start]), period, (size - start) // period)


class _Masked:
    """A text in which every run of digits is one character."""

    def __init__(self, text: str) -> None:
        points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4")
        digits = (points >= ord("0")) & (points <= ord("9"))
        kept = ~digits
        kept[:1] = True
        kept[1:] |= ~digits[:-1]
        self.text = text
        self.places = np.flatnonzero(kept)  # of the characters, in the text
        self.characters = np.where(digits, ord("0"), points)[kept]
        self.numbers = np.flatnonzero(digits[kept])  # which of the characters are numbers

    @cached_property
    def values(self) -> npt.NDArray[np.float64]:
        """Of the numbers; of those with too many digits, not a number, which equals nothing."""
        ends = np.append(self.places[1:], len(self.text))[self.numbers].tolist()
        runs = (self.text[start:end] for start, end in zip(self.places[self.numbers].tolist(), ends, strict=True))
        return np.array([float(run) if len(run) <= EXACT_DIGITS else np.nan for run in runs])


def _periods(sequence: Sequence, longest: int, repeats: int, least: int) -> Iterator[int]:
    """The periods of the tail, the shortest first: each repeats so often at the end, and covers so many elements."""
    n = len(sequence)
    if n < least:
        return
    possible = np.arange(1, min(longest, n // repeats) + 1)
    # So many pairs, at least, must be equal for any period.
    for back in range(1, min(COMPARED_FIRST, least - least // repeats) + 1):
        possible = possible[sequence[n - back - possible] == sequence[n - back]]
    for period in possible.tolist():
        covered = max(repeats * period, least)
        if np.array_equal(sequence[n - covered + period :], sequence[n - covered : n - period]):
            yield period


def _start(sequence: Sequence, period: int) -> int:
    """Where the periodic tail begins."""
    breaks = np.flatnonzero(sequence[period:] != sequence[:-period])
    return int(breaks[-1]) + 1 if len(breaks) else 0


def _counts_from(masked: _Masked, period: int) -> int:
    """From which character on one of the unit's numbers changes by the same step each time; the end, if none does."""
    size = len(masked.characters)
    in_unit = len(masked.numbers) - int(np.searchsorted(masked.numbers, size - period))
    if not in_unit:
        return size
    last_may_be_cut = masked.numbers[-1] == size - 1
    values = masked.values[:-1] if last_may_be_cut else masked.values
    steps = values[in_unit:] - values[:-in_unit]
    breaks = np.flatnonzero(steps[in_unit:] != steps[:-in_unit])
    last_break = np.full(in_unit, -1)
    np.maximum.at(last_break, breaks % in_unit, breaks)
    newest = np.arange(max(0, len(steps) - in_unit), len(steps))
    counting = newest[np.isfinite(steps[newest]) & (steps[newest] != 0)] % in_unit
    if not len(counting):
        return size
    earliest = int(last_break[counting].min())
    return int(masked.numbers[earliest]) + 1 if earliest >= 0 else 0
