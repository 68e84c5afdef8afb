"""Section `doubt`: which words and phrases count as doubt, and how one is found in a text."""

import re
from collections.abc import Iterable

from pydantic import Field

from selfdistill.study.section import Name, Section

# The ten markers of arXiv 2603.24472, as its authors' program lists them (eval/check_epistemic_tokens.py).
MARKERS = ["wait", "hmm", "perhaps", "maybe", "actually", "alternatively", "seems", "might", "likely", "check"]


class Doubt(Section):
    """What counts as doubt. Every study has it; left out, it is the ten markers of arXiv 2603.24472."""

    markers: list[str] = Field(MARKERS, description="Words or phrases of doubt, whole words in any case.")
    patterns: dict[Name, str] = Field(
        default={}, description="Further markers: a name, and a regular expression for whole words in any case."
    )

    @property
    def names(self) -> list[str]:
        return [*self.markers, *self.patterns]


def whole_words(words: Iterable[str]) -> str:
    """Any of these as whole words. Where two begin at one place the longer one stands there."""
    return "|".join(map(whole_word, sorted(words, key=len, reverse=True)))


def whole_word(word: str) -> str:
    """A word that begins or ends with a sign cuts no other word there."""
    before, after = (r"(?<!\w)" * starts_word(word), r"(?!\w)" * starts_word(word[::-1]))
    return f"{before}{re.escape(word)}{after}"


def starts_word(text: str) -> bool:
    return re.match(r"\w", text) is not None


def within_boundaries(expression: str) -> str:
    """An expression whose matches neither begin nor end inside a word."""
    return rf"(?:(?<!\w)|(?=\W))(?:{expression})(?:(?!\w)|(?<=\W))"
