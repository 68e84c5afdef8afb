"""What can be said of doubt, each measure as what is counted against what: the means by problem that its rates come from."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from selfdistill.analysis.doubt_counts import (
    ALL,
    IN_THOUGHT,
    LATER,
    LATER_TOKENS,
    SUBSTRINGS,
    THOUGHT_TOKENS,
    doubt_means,
    first_tokens,
    lengths,
    of_length,
    of_marker,
    reaching,
    tokens_within,
    within,
)
from selfdistill.analysis.problem_means import Evaluations, with_means
from selfdistill.doubt.counting import Markers
from selfdistill.statistics.clusters import Array
from selfdistill.statistics.rates import Rates
from selfdistill.study.evaluation import Evaluation
from selfdistill.tables import words

REACHED = 0.9  # the share of answers of every side that have so many tokens as are looked at first


@dataclass(frozen=True)
class Measure:
    """Events, and what they are counted against; by bins of length, a column a bin of each, and the answers in it."""

    estimand: str
    events: tuple[str, ...]
    exposure: tuple[str, ...] = ()  # none: answers
    answers: tuple[str, ...] = ()
    less: str | None = None  # events that are taken off
    marker: str | None = None
    without: str | None = None
    tokens: int | None = None

    @property
    def per(self) -> float:
        return 1000.0 if self.exposure else 1.0

    def rates(self, cell: pl.DataFrame) -> Rates:
        events = _columns(cell, self.events)
        if self.less:
            events = events - _columns(cell, (self.less,))
        exposure = _columns(cell, self.exposure) if self.exposure else np.ones((cell.height, 1))
        return Rates(events, exposure, _columns(cell, self.answers) if self.answers else None)

    @property
    def named(self) -> dict[str, str | int | None]:
        return {"estimand": self.estimand, "marker": self.marker, "without": self.without, "tokens": self.tokens}


@dataclass(frozen=True)
class Doubted:
    """What every model doubts, by problem, and the measures that this can be told by."""

    evaluations: Evaluations
    markers: Markers
    bins: list[int]
    firsts: list[int]

    @classmethod
    def of(cls, answers: pl.DataFrame, markers: Markers, evaluation: Evaluation) -> "Doubted":
        """`answers` are those of `doubt_counts.counted`."""
        plain = Evaluations.of(answers, evaluation.sizes)
        evaluations = with_means(plain, answers, doubt_means(answers, markers))
        return cls(evaluations, markers, lengths(answers), first_tokens(answers))

    def main(self) -> list[Measure]:
        """Told at every checkpoint."""
        return [Measure(words.DOUBTS, (ALL,)), Measure(words.DOUBT_RATE, (ALL,), (words.MEAN_TOKENS,))]

    def closer(self, cells: Sequence[pl.DataFrame]) -> list[Measure]:
        """Told of what is untrained or finished, of one side or of two."""
        return [
            Measure(words.THOUGHT_DOUBT_RATE, (IN_THOUGHT,), (THOUGHT_TOKENS,)),
            Measure(words.LATER_DOUBT_RATE, (LATER,), (LATER_TOKENS,)),
            *self._within_the_first(cells),
            Measure(words.SUBSTRINGS, (SUBSTRINGS,)),
            Measure(words.SUBSTRING_RATE, (SUBSTRINGS,), (words.MEAN_TOKENS,)),
            *(
                Measure(words.DOUBT_RATE, (of_marker(name),), (words.MEAN_TOKENS,), marker=name)
                for name in self.markers.names
            ),
        ]

    def of_two(self) -> list[Measure]:
        """Told of two sides alone: of the same lengths, and leaving out one marker at a time."""
        doubts, tokens, answers = (
            tuple(of_length(what, each) for each in self.bins) for what in (ALL, words.MEAN_TOKENS, "answers")
        )
        left_out = self.markers.names if len(self.markers.names) > 1 else []
        return [
            Measure(words.SAME_LENGTHS_RATE, doubts, tokens, answers),
            *(
                Measure(words.DOUBT_RATE, (ALL,), (words.MEAN_TOKENS,), less=of_marker(name), without=name)
                for name in left_out
            ),
        ]

    def _within_the_first(self, cells: Sequence[pl.DataFrame]) -> list[Measure]:
        """The most tokens that nearly all answers of all sides have, so that nearly all are looked at for as long."""
        there = [
            first for first in self.firsts if all(cell[reaching(first)].to_numpy().mean() >= REACHED for cell in cells)
        ]
        return [
            Measure(words.FIRST_TOKENS_RATE, (within(first),), (tokens_within(first),), tokens=first)
            for first in there[-1:]
        ]


def _columns(cell: pl.DataFrame, names: Sequence[str]) -> Array:
    return np.asarray(cell.select(names).to_numpy(), dtype=float)
