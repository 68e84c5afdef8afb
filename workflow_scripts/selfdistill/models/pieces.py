"""Which characters of a text each of its tokens wrote.

Tokens of byte-level tokenizers may hold parts of a character, so a token cannot be decoded alone. What a token adds to the
text of all before it is its piece; a character that several tokens write counts as the last one's.
"""

from bisect import bisect_left, bisect_right
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

from tokenizers import Tokenizer
from tokenizers.decoders import DecodeStream

from selfdistill.foundation.errors import UserError


class Span(NamedTuple):
    begin: int
    end: int  # the same as begin where a token's character is not whole yet


def tokenizer_of(folder: Path) -> Tokenizer:
    try:
        return Tokenizer.from_file(str(folder / "tokenizer.json"))
    except Exception as error:  # tokenizers raises nothing narrower
        raise UserError(
            f"{folder / 'tokenizer.json'}: cannot be read ({str(error)[:200]}); download it again."
        ) from error


def pieces(tokenizer: Tokenizer, token_ids: list[int]) -> list[str]:
    """One a token; together they are the text, but for a last character that never becomes whole."""
    stream = DecodeStream(skip_special_tokens=False)
    return [stream.step(tokenizer, token) or "" for token in token_ids]


def spans(texts: list[str]) -> list[Span]:
    ends = list(accumulate(map(len, texts)))
    return [Span(end - len(text), end) for text, end in zip(texts, ends, strict=True)]


def token_that_wrote(places: list[Span], character: int) -> int:
    """Tokens are searched as they end: pieces may be empty."""
    return bisect_right(places, character, key=lambda span: span.end)


def first_token_from(places: list[Span], character: int) -> int:
    """The first token that wrote nothing before this character: its law is asked when all before it stands."""
    return bisect_left(places, character, key=lambda span: span.begin)
