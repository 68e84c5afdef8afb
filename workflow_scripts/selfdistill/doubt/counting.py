"""From a text to its words of doubt: which, where, and how many in the thought and in the answer after it.

A place in a text counts once: for an own pattern before a word, for a longer word before a shorter one.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

from selfdistill.grading.answers import CLOSE_THINK, OPEN_THINK
from selfdistill.study.doubt import Doubt, whole_word, within_boundaries


class Hit(NamedTuple):
    """A marker, and the characters that it covers."""

    marker: str
    begin: int
    end: int


@dataclass(frozen=True)
class Counts:
    """How often each marker stands in the thought, and how often in the answer after it; every marker is there."""

    thought: Mapping[str, int]
    answer: Mapping[str, int]

    @property
    def in_thought(self) -> int:
        return sum(self.thought.values())

    @property
    def in_answer(self) -> int:
        return sum(self.answer.values())

    @property
    def total(self) -> int:
        return self.in_thought + self.in_answer

    def of(self, marker: str) -> int:
        return self.thought[marker] + self.answer[marker]


@dataclass(frozen=True)
class Markers:
    """The markers of a study, ready to be looked for."""

    doubt: Doubt = field(default_factory=Doubt)

    @property
    def names(self) -> list[str]:
        return self.doubt.names

    @cached_property
    def expression(self) -> re.Pattern[str]:
        """One group a marker, in the order in which they are tried at each place."""
        tried = [within_boundaries(own) for own in self.doubt.patterns.values()]
        tried += [whole_word(word) for word in self._longest_first]
        return re.compile("|".join(f"({each})" for each in tried), re.IGNORECASE)

    @cached_property
    def tried(self) -> list[str]:
        return [*self.doubt.patterns, *self._longest_first]

    @property
    def _longest_first(self) -> list[str]:
        return sorted(self.doubt.markers, key=len, reverse=True)

    def hits(self, text: str) -> list[Hit]:
        found = self.expression.finditer(text)
        return [Hit(self.tried[match.lastindex - 1], *match.span()) for match in found if match.lastindex]

    def counts(self, text: str, thinks: bool = True) -> Counts:
        """`thinks` is for models whose completion begins within a thought; without it the whole text is the answer."""
        end, hits = thought_end(text, thinks), self.hits(text)
        return Counts(
            self._counted(hit for hit in hits if hit.begin < end),
            self._counted(hit for hit in hits if hit.begin >= end),
        )

    def _counted(self, hits: Iterable[Hit]) -> dict[str, int]:
        found = Counter(hit.marker for hit in hits)
        return {name: found[name] for name in self.names}


def thought_end(text: str, thinks: bool = True) -> int:
    """The character with which the answer begins; the text's length where a thought is still open."""
    if not thinks:
        return 0
    closed = text.rfind(CLOSE_THINK)
    end = closed + len(CLOSE_THINK)
    return end if closed >= 0 and OPEN_THINK not in text[end:] else len(text)


def substring_counts(text: str, words: Iterable[str]) -> dict[str, int]:
    """As arXiv 2603.24472 counts: in small letters, within longer words, too, and `likely` in `unlikely`."""
    small = text.lower()
    return {word: small.count(word.lower()) for word in words}
