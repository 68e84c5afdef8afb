"""From graded answers to how much each doubts, and where: a row an answer, then means by problem like all others.

Of an answer it is kept which marker stands at which token, so that one reading of the texts serves every measure: all of
it, the thought, what follows it, the first tokens, answers of one length, single markers.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import polars as pl
from tokenizers import Tokenizer

from selfdistill.analysis.problem_means import NEEDED
from selfdistill.doubt.counting import Markers, substring_counts, thought_end
from selfdistill.grading.answers import CLOSE_THINK
from selfdistill.models.pieces import Span, first_token_from, pieces, spans, token_that_wrote
from selfdistill.tables import words
from selfdistill.tables.sampling import GRADED
from selfdistill.tables.schema import Schema
from selfdistill.tables.streams import read_pieces

READ = (*NEEDED, "text", "token_ids")
PLACES: Schema = {
    "marks": pl.List(pl.Int16),  # the markers that stand in the answer, by their numbers
    "places": pl.List(pl.Int32),  # the token that wrote the first character of each
    "later": pl.Int32,  # how many of them follow the thought
    "thought_tokens": pl.Int32,
    "substrings": pl.Int32,
}
SHORTEST = 16  # the fewest first tokens that are looked at
BINS_IN_TWO = 2  # bins of length from one power of two to the next

# Columns of the means by problem.
ALL, LATER, IN_THOUGHT, SUBSTRINGS = "doubts", "doubts later", "doubts in the thought", "substrings"
THOUGHT_TOKENS, LATER_TOKENS = "thought tokens", "later tokens"


def counted(paths: Iterable[str], markers: Markers, tokenizer: Tokenizer, thinks: bool) -> pl.DataFrame:
    """The evaluation answers of several models with their doubts, without text and tokens."""
    return pl.concat(with_doubts(piece, markers, tokenizer, thinks) for piece in evaluation_answers(paths))


def evaluation_answers(paths: Iterable[str], columns: Sequence[str] = READ) -> Iterator[pl.DataFrame]:
    for path in paths:
        yield from (piece.filter(pl.col("purpose") == "eval") for piece in read_pieces(path, GRADED, columns))


def with_doubts(answers: pl.DataFrame, markers: Markers, tokenizer: Tokenizer, thinks: bool) -> pl.DataFrame:
    reader = Reader(markers, tokenizer, thinks)
    rows = [reader.read(text, tokens) for text, tokens in answers.select("text", "token_ids").iter_rows()]
    found = pl.DataFrame(rows, schema=PLACES, orient="row")
    return pl.concat([answers.select(NEEDED), found], how="horizontal")


@dataclass(frozen=True)
class Reader:
    """Reads one answer after another. Which token wrote what takes longest, and is asked only where something was found."""

    markers: Markers
    tokenizer: Tokenizer
    thinks: bool

    @cached_property
    def numbers(self) -> dict[str, int]:
        return {name: number for number, name in enumerate(self.markers.names)}

    @cached_property
    def closing(self) -> int | None:
        """The token that closes a thought, where it is one token."""
        found: int | None = self.tokenizer.token_to_id(CLOSE_THINK)
        return found

    def read(self, text: str, tokens: list[int]) -> tuple[list[int], list[int], int, int, int]:
        """As `PLACES` has it."""
        hits, end = self.markers.hits(text), thought_end(text, self.thinks)
        later = sum(hit.begin >= end for hit in hits)
        substrings = sum(substring_counts(text, self.markers.doubt.markers).values())
        wrote = spans(pieces(self.tokenizer, tokens)) if hits else None
        places = [min(token_that_wrote(wrote, hit.begin), len(tokens) - 1) for hit in hits] if wrote else []
        marks = [self.numbers[hit.marker] for hit in hits]
        return marks, places, later, self._tokens_of_thought(text, tokens, end, wrote), substrings

    def _tokens_of_thought(self, text: str, tokens: list[int], end: int, wrote: list[Span] | None) -> int:
        """A thought that was never closed is the whole answer, with the end token where there is one."""
        if not self.thinks:
            return 0
        if end == len(text) and not text.endswith(CLOSE_THINK):
            return len(tokens)
        if self.closing in tokens:
            return len(tokens) - tokens[::-1].index(self.closing)
        return first_token_from(wrote or spans(pieces(self.tokenizer, tokens)), end)


def doubt_means(answers: pl.DataFrame, markers: Markers) -> dict[str, pl.Expr]:
    """What is averaged by problem, by name."""
    doubts, tokens = pl.col("marks").list.len(), pl.col("n_tokens")
    found = {
        ALL: doubts,
        LATER: pl.col("later"),
        IN_THOUGHT: doubts.cast(pl.Int32) - pl.col("later"),
        THOUGHT_TOKENS: pl.col("thought_tokens"),
        LATER_TOKENS: tokens - pl.col("thought_tokens"),
        SUBSTRINGS: pl.col("substrings"),
    }
    for number, name in enumerate(markers.names):
        found[of_marker(name)] = pl.col("marks").list.count_matches(pl.lit(number, pl.Int16))
    for first in first_tokens(answers):
        found[within(first)] = pl.col("places").list.eval(pl.element() < first).list.sum()
        found[tokens_within(first)] = pl.min_horizontal(tokens, first)
        found[reaching(first)] = tokens >= first
    for length in lengths(answers):
        inside = length_bin() == length
        found |= {
            of_length(ALL, length): pl.when(inside).then(doubts).otherwise(0),
            of_length(words.MEAN_TOKENS, length): pl.when(inside).then(tokens).otherwise(0),
            of_length("answers", length): inside,
        }
    return found


def of_marker(name: str) -> str:
    return f"doubts: {name}"


def within(first: int) -> str:
    return f"doubts in the first {first}"


def tokens_within(first: int) -> str:
    return f"tokens of the first {first}"


def reaching(first: int) -> str:
    return f"answers of {first} tokens"


def of_length(what: str, length: int) -> str:
    return f"{what} in bin {length}"


def first_tokens(answers: pl.DataFrame) -> list[int]:
    """Powers of two, no longer than the longest answer."""
    longest = int(answers.select(pl.col("n_tokens").max()).item() or 0)
    return [2**power for power in range(4, 31) if SHORTEST <= 2**power <= longest]


def length_bin() -> pl.Expr:
    return (pl.col("n_tokens").clip(1).log(2) * BINS_IN_TWO).floor().cast(pl.Int32)


def lengths(answers: pl.DataFrame) -> list[int]:
    """The bins that hold an answer."""
    return answers.select(length_bin().unique().sort()).to_series().to_list()
