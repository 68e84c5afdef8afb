"""The ladder of information: score, length and doubt of the same problems on every rung, and whether the rungs are in order.

Answers of each rung in, LADDER and LADDER_TESTS out. Draws are averaged within their problem; a problem counts where it has
answers on every rung, so that every difference is paired; the problem, or its family, is the unit.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import polars as pl

from selfdistill.analysis.differences import Difference, Row, judged_row
from selfdistill.analysis.problem_means import known
from selfdistill.foundation.errors import UserError
from selfdistill.statistics.clusters import Array, ClusterMean, cluster_mean, cluster_totals
from selfdistill.statistics.intervals import Interval, t_interval, wilson_effective_interval
from selfdistill.statistics.multiplicity import ALPHA, holm
from selfdistill.statistics.paired import Paired, PairedMeans
from selfdistill.statistics.ratios import combined_ratios
from selfdistill.statistics.trend import strictest, trend
from selfdistill.tables import words
from selfdistill.tables.endings import CORRECT
from selfdistill.tables.ladder import LADDER, LADDER_EXAMPLES, LADDER_PROBLEMS, LADDER_TESTS
from selfdistill.tables.schema import conform

BASE = "base"
PER = 1000  # tokens

# Which way each measure goes the more a model is told, by arXiv 2603.24472.
EXPECTED = {
    words.ACCURACY: words.RISES,
    words.MEAN_TOKENS: words.FALLS,
    words.DOUBTS: words.FALLS,
    words.DOUBT_RATE: words.FALLS,
}


def chosen_problems(graded: pl.DataFrame, solved: Sequence[float], problems: int) -> pl.DataFrame:
    """The first problems of the ranking whose share of right answers lies between two rates, ends included. The answers that
    choose are not those that are measured: a problem chosen for its bad luck would have better luck on the first rung."""
    low, high = solved
    rate = pl.col("correct") / pl.col("draws")
    fits = (rate >= low - 1e-9) & (rate <= high + 1e-9)
    found = (
        graded.group_by("problem_id", "rank")
        .agg(pl.len().alias("draws"), (pl.col("verdict") == CORRECT).sum().alias("correct"))
        .sort("rank")
        .with_columns((fits & (fits.cum_sum() <= problems)).alias("chosen"))
    )
    return conform(found, LADDER_PROBLEMS, "ladder problems")


def refuse_without_problems(found: pl.DataFrame, solved: Sequence[float]) -> None:
    if found["chosen"].any():
        return
    shares = found["correct"] / found["draws"]
    raise UserError(
        f"ladder.solved: of {found.height} problems the base solved none between {solved[0]:g} and {solved[1]:g} of the time "
        f"({(shares < solved[0]).sum()} less often, {(shares > solved[1]).sum()} oftener); widen it, or raise ladder.pool."
    )


def fewer_than_asked(found: pl.DataFrame, problems: int) -> str | None:
    """A sentence where fewer problems could be chosen than the study asks for."""
    chosen = int(found["chosen"].sum())
    if chosen >= problems:
        return None
    return (
        f"ladder.problems: {chosen} of {problems} problems stand on the ladder; of {found.height} that the base was asked no more "
        "were solved between the shares of ladder.solved. Raise ladder.pool, or widen ladder.solved, for more."
    )


class Measured(NamedTuple):
    """A measure by problem: the sums whose ratio it is, and whether it is a share."""

    numerators: Array
    denominators: Array
    is_share: bool


@dataclass(frozen=True)
class Rungs:
    """One model's answers to the same problems on every rung, averaged over draws: tables of problems by rungs."""

    model_id: str
    contexts: tuple[str, ...]
    markers: tuple[str, ...]
    problems: tuple[str, ...]
    families: Array
    score: Array
    tokens: Array
    doubts: Array  # problems by rungs by markers
    answers: tuple[int, ...]
    left_out: int

    @property
    def unit(self) -> str:
        return words.PROBLEM if len(set(self.families)) == len(self.problems) else words.FAMILY

    def at(self, measure: str, rung: int, marker: int | None = None) -> Measured:
        ones, tokens = np.ones(len(self.problems)), self.tokens[:, rung]
        doubts = self.doubts[:, rung].sum(axis=1) if marker is None else self.doubts[:, rung, marker]
        return {
            words.ACCURACY: Measured(self.score[:, rung], ones, True),
            words.MEAN_TOKENS: Measured(tokens, ones, False),
            words.DOUBTS: Measured(doubts, ones, False),
            words.DOUBT_RATE: Measured(PER * doubts, tokens, False),
        }[measure]

    def of_problems(self, kept: Sequence[str]) -> "Rungs":
        """The same ladder of some of its problems, in this order."""
        places = [self.problems.index(problem) for problem in kept]
        return Rungs(
            self.model_id, self.contexts, self.markers, tuple(kept), self.families[places], self.score[places],
            self.tokens[places], self.doubts[places], self.answers, self.left_out,
        )  # fmt: skip


@dataclass(frozen=True)
class LadderTables:
    ladder: pl.DataFrame
    tests: pl.DataFrame


def ladder(answers: pl.DataFrame, contexts: Sequence[str], markers: Sequence[str]) -> LadderTables:
    """`answers` has a row an answer: model_id, context, problem_id, family, verdict, n_tokens and `doubts`, a list with the
    count of each marker. `contexts` are the rungs, from the least told to the most."""
    models = list(dict.fromkeys(answers["model_id"].to_list()))
    asked = [rungs_of(answers.filter(pl.col("model_id") == model), contexts, markers) for model in models]
    rows = [row for each in asked for row in (_rows(each) if each.problems else _nowhere(each))]
    climbed = {each.model_id: each for each in asked if each.problems}
    tests = [row for each in climbed.values() for row in _tests(each)]
    if base := climbed.pop(BASE, None):
        tests += [row for each in climbed.values() for row in _steepness(each, base)]
    return LadderTables(
        conform(_frame(rows, LADDER), LADDER, "ladder"), conform(_judged(tests), LADDER_TESTS, "ladder tests")
    )


def rungs_of(answers: pl.DataFrame, contexts: Sequence[str], markers: Sequence[str]) -> Rungs:
    """Of one model: the problems that have answers on every rung, sorted."""
    here = answers.filter(pl.col("context").is_in(list(contexts)))
    means = (
        here.group_by("problem_id", "context")
        .agg(
            pl.col("family").first().fill_null(pl.col("problem_id").first()),
            (pl.col("verdict") == CORRECT).mean().alias("score"),
            pl.col("n_tokens").mean().alias("tokens"),
            *(pl.col("doubts").list.get(place).mean().alias(f"{place}") for place in range(len(markers))),
            pl.len().alias("answers"),
        )
        .sort("problem_id")
    )
    whole = means.filter(pl.len().over("problem_id") == len(contexts))
    by_rung = [whole.filter(pl.col("context") == context) for context in contexts]
    first = by_rung[0]
    counts = [np.stack([cell[f"{place}"].to_numpy() for place in range(len(markers))], axis=1) for cell in by_rung]
    return Rungs(
        model_id=str(answers["model_id"][0]),
        contexts=tuple(contexts),
        markers=tuple(markers),
        problems=tuple(first["problem_id"]),
        families=np.unique(first["family"].to_numpy(), return_inverse=True)[1],
        score=np.stack([cell["score"].to_numpy() for cell in by_rung], axis=1),
        tokens=np.stack([cell["tokens"].to_numpy() for cell in by_rung], axis=1),
        doubts=np.stack(counts, axis=1).astype(float),
        answers=tuple(int(cell["answers"].sum()) for cell in by_rung),
        left_out=means["problem_id"].n_unique() - first.height,
    )


EXAMPLES = 2  # problems whose answers are shown side by side


def side_by_side(
    answers: pl.DataFrame, problems: pl.DataFrame, told: pl.DataFrame, contexts: Sequence[str]
) -> pl.DataFrame:
    """The first answers of the first climber to the first problems of the ranking that have an answer on every rung. Chosen by
    rule: nobody looked at them."""
    here = answers.filter(pl.col("model_id") == answers["model_id"][0]).sort("rank", "draw")
    first = here.unique(["problem_id", "context"], keep="first", maintain_order=True)
    whole = first.filter(pl.len().over("problem_id") == len(contexts))
    shown = whole["problem_id"].unique(maintain_order=True).head(EXAMPLES).to_list()
    place = {context: rung for rung, context in enumerate(contexts)}
    found = (
        whole.filter(pl.col("problem_id").is_in(shown))
        .join(problems.select("problem_id", "problem"), on="problem_id", how="left", maintain_order="left")
        .join(told, on=("problem_id", "context"), how="left", maintain_order="left")
        .with_columns(
            pl.col("context").replace_strict(place, return_dtype=pl.Int32).alias("rung"),
            pl.col("n_tokens").alias("tokens"),
            pl.col("doubts").list.sum().cast(pl.Int32),
        )
        .sort("rank", "rung")
    )
    return conform(found.select(list(LADDER_EXAMPLES)), LADDER_EXAMPLES, "ladder examples")


def _rows(rungs: Rungs) -> Iterator[Row]:
    for measure in words.LADDER_MEASURES:
        yield from _levels(rungs, measure)
        yield from _differences(rungs, measure)
    for measure in (words.DOUBTS, words.DOUBT_RATE):
        yield from _words(rungs, measure)


def _nowhere(rungs: Rungs) -> Iterator[Row]:
    """Of a model without a problem that has answers on every rung: that it was asked, and that nothing is known."""
    for measure in words.LADDER_MEASURES:
        for rung in range(len(rungs.contexts)):
            yield _named(rungs, rung, measure, None) | {"n": 0}


def _levels(rungs: Rungs, measure: str, marker: int | None = None) -> Iterator[Row]:
    for rung in range(len(rungs.contexts)):
        measured = rungs.at(measure, rung, marker)
        mean = cluster_mean(*cluster_totals(measured.numerators, rungs.families, measured.denominators))
        interval, method = _level_interval(mean, measured.is_share, rungs.answers[rung])
        yield _named(rungs, rung, measure, marker) | {
            "estimate": known(mean.estimate),
            "low": known(interval.low),
            "high": known(interval.high),
            "method": method,
            "n": mean.clusters,
        }


def _level_interval(mean: ClusterMean, is_share: bool, answers: int) -> tuple[Interval, str]:
    if is_share:
        return wilson_effective_interval(mean, answers), words.WILSON_EFFECTIVE
    return t_interval(mean), words.T


def _differences(rungs: Rungs, measure: str) -> Iterator[Row]:
    """From the first rung, and from the rung before; the steps are adjusted for how many they are."""
    steps = [_compared(rungs, measure, after, before) for before, after in pairwise(range(len(rungs.contexts)))]
    adjusted = holm([math.nan if row["p_value"] is None else row["p_value"] for row in steps])
    yield from (row | {"p_adjusted": known(p)} for row, p in zip(steps, adjusted, strict=True))
    yield from (_compared(rungs, measure, rung, 0) for rung in range(2, len(rungs.contexts)))


def _words(rungs: Rungs, measure: str) -> Iterator[Row]:
    """Every marker by itself: its level on each rung, and each rung's difference from the first, adjusted over the markers."""
    for marker in range(len(rungs.markers)):
        yield from _levels(rungs, measure, marker)
    for rung in range(1, len(rungs.contexts)):
        rows = [_compared(rungs, measure, rung, 0, marker) for marker in range(len(rungs.markers))]
        adjusted = holm([math.nan if row["p_value"] is None else row["p_value"] for row in rows])
        yield from (row | {"p_adjusted": known(p)} for row, p in zip(rows, adjusted, strict=True))


def _compared(rungs: Rungs, measure: str, rung: int, against: int, marker: int | None = None) -> Row:
    row = _row_of(
        rungs.families, rungs.unit, [(1, rungs.at(measure, rung, marker)), (-1, rungs.at(measure, against, marker))]
    )
    return _named(rungs, rung, measure, marker) | {"against": rungs.contexts[against]} | row


def _row_of(families: Array, unit: str, terms: Sequence[tuple[int, Measured]]) -> Row:
    """Estimate, interval and p of a sum of measures: of shares by the score statistic, else by t."""
    difference, mean = _judged_difference(families, terms)
    row = judged_row(difference, mean, unit)
    return {name: row[name] for name in ("estimate", "low", "high", "method", "n", "p_value")}


def _judged_difference(families: Array, terms: Sequence[tuple[int, Measured]]) -> tuple[Difference, ClusterMean]:
    is_share = all(each.is_share for _, each in terms)
    values = np.sum([sign * each.numerators for sign, each in terms], axis=0)
    difference = Difference("", values, np.ones(len(values)), is_share, span=len(terms) / 2)
    mean = combined_ratios([(sign, each.numerators, each.denominators) for sign, each in terms], families)
    return difference, mean


def _named(rungs: Rungs, rung: int, measure: str, marker: int | None) -> Row:
    return dict.fromkeys(LADDER) | {
        "model_id": rungs.model_id,
        "rung": rung,
        "context": rungs.contexts[rung],
        "measure": measure,
        "word": None if marker is None else rungs.markers[marker],
        "unit": rungs.unit,
        "answers": rungs.answers[rung],
        "left_out": rungs.left_out,
    }


def _tests(rungs: Rungs) -> Iterator[Row]:
    """A trend over all rungs, and the strictest reading: every step goes the way that was said."""
    for measure, expected in EXPECTED.items():
        measured = [rungs.at(measure, rung) for rung in range(len(rungs.contexts))]
        # A ratio of one problem's means may be had of every problem: what its rungs are ranked by.
        by_problem = np.stack([each.numerators / each.denominators for each in measured], axis=1)
        found = trend(by_problem, rungs.families)
        yield _tested(rungs, measure, words.TREND, found.paired) | {"estimate": known(found.mean.estimate)}
        one_sided = [
            _one_sided(rungs.families, [(1, after), (-1, before)], expected) for before, after in pairwise(measured)
        ]
        yield dict.fromkeys(LADDER_TESTS) | {
            "model_id": rungs.model_id, "measure": measure, "test": words.EVERY_STEP, "expected": expected,
            "unit": rungs.unit, "n": found.mean.clusters, "p_value": known(strictest(one_sided)),
        }  # fmt: skip


def _one_sided(families: Array, terms: Sequence[tuple[int, Measured]], expected: str) -> float:
    difference, mean = _judged_difference(families, terms)
    judged = difference.judged(mean)
    return judged.p_above(0) if expected == words.RISES else judged.p_below(0)


def _steepness(rungs: Rungs, base: Rungs) -> Iterator[Row]:
    """From the first rung to the last, one model's change less the base's, on the problems that both climbed."""
    shared = [problem for problem in base.problems if problem in set(rungs.problems)]
    if not shared:
        return
    mine, theirs = rungs.of_problems(shared), base.of_problems(shared)
    last = len(rungs.contexts) - 1
    for measure in EXPECTED:
        terms = [
            (1, mine.at(measure, last)), (-1, mine.at(measure, 0)),
            (-1, theirs.at(measure, last)), (1, theirs.at(measure, 0)),
        ]  # fmt: skip
        difference, mean = _judged_difference(mine.families, terms)
        row = _tested(mine, measure, words.STEEPNESS, difference.judged(mean))
        yield row | {"against": base.model_id, "estimate": known(mean.estimate), "n": mean.clusters}


def _tested(rungs: Rungs, measure: str, test: str, judged: Paired) -> Row:
    interval = judged.interval()
    return dict.fromkeys(LADDER_TESTS) | {
        "model_id": rungs.model_id,
        "measure": measure,
        "test": test,
        "expected": EXPECTED[measure],
        "low": known(interval.low),
        "high": known(interval.high),
        "unit": rungs.unit,
        "n": judged.mean.clusters if isinstance(judged, PairedMeans) else None,
        "p_value": known(judged.p()),
    }


def _judged(tests: list[Row]) -> pl.DataFrame:
    """Holm over the measures and models of one test, and what follows."""
    for test in (words.TREND, words.EVERY_STEP, words.STEEPNESS):
        rows = [row for row in tests if row["test"] == test]
        adjusted = holm([math.nan if row["p_value"] is None else row["p_value"] for row in rows])
        for row, p in zip(rows, adjusted, strict=True):
            row |= {"p_adjusted": known(p), "verdict": _verdict(row, p)}
    return _frame(tests, LADDER_TESTS)


def _verdict(row: Mapping[str, object], p: float) -> str | None:
    """Steepness has no order that was said; it is only told."""
    if row["test"] == words.STEEPNESS:
        return None
    if not p < ALPHA:
        return words.NOT_RESOLVED
    estimate = row["estimate"]
    if estimate is None:
        return words.IN_ORDER  # every step: it was tested one-sided
    rises = isinstance(estimate, float) and estimate > 0
    return words.IN_ORDER if rises == (row["expected"] == words.RISES) else words.REVERSED


def _frame(rows: list[Row], schema: Mapping[str, pl.DataType | type[pl.DataType]]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema={**schema}, strict=False) if rows else pl.DataFrame(schema={**schema})
