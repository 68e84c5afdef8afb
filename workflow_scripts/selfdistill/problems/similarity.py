"""Pairs of problems that are too like each other, found through an inverted index and not by trying all pairs.

A set that overlaps enough with another must share one of its rarest members (prefix filtering, Chaudhuri, Ganti and
Kaushik 2006): of |A| members at least t·|A| are shared, so at most |A| - ⌈t·|A|⌉ are not. Only those rare ones are
looked up, so that word pairs which every templated problem contains cost nothing.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import NamedTuple

from selfdistill.problems.normalise import words

Grams = frozenset[tuple[str, ...]]


class Pair(NamedTuple):
    one: int
    other: int
    similarity: float


def word_grams(text: str, n: int) -> Grams:
    sequence = words(text)
    return frozenset(zip(*(sequence[start:] for start in range(n)), strict=False))


def contained(needles: Sequence[Grams], stacks: Iterable[Grams], share: float) -> Iterator[Pair]:
    """(needle, stack, share) where at least `share` of the needle's members are in the stack."""
    frequency = Counter(chain.from_iterable(needles))
    index = defaultdict(list)
    for number, needle in enumerate(needles):
        for gram in _rarest(needle, frequency, share):
            index[gram].append(number)
    for number, stack in enumerate(stacks):
        for candidate in sorted(set(chain.from_iterable(index[gram] for gram in stack if gram in index))):
            found = len(needles[candidate] & stack) / len(needles[candidate])
            if found >= share:
                yield Pair(candidate, number, found)


def alike(left: Sequence[Grams], right: Sequence[Grams], threshold: float) -> Iterator[Pair]:
    """(left, right, Jaccard similarity) of at least the threshold."""
    frequency = Counter(chain.from_iterable(left))
    frequency.update(chain.from_iterable(right))
    index = defaultdict(list)
    for number, grams in enumerate(left):
        for gram in _rarest(grams, frequency, threshold):
            index[gram].append(number)
    for number, grams in enumerate(right):
        candidates = set(chain.from_iterable(index.get(gram, ()) for gram in _rarest(grams, frequency, threshold)))
        for candidate in sorted(candidates):
            other = left[candidate]
            if min(len(grams), len(other)) < threshold * max(len(grams), len(other)) - 1e-9:
                continue
            shared = len(grams & other)
            similarity = shared / (len(grams) + len(other) - shared)
            if similarity >= threshold:
                yield Pair(candidate, number, similarity)


def _rarest(grams: Grams, frequency: Counter[tuple[str, ...]], threshold: float) -> list[tuple[str, ...]]:
    """So many of the rarest members that a set without any of them cannot reach the threshold."""
    unshared = len(grams) - math.ceil(threshold * len(grams) - 1e-9)
    return sorted(grams, key=lambda gram: (frequency[gram], gram))[: unshared + 1] if grams else []
