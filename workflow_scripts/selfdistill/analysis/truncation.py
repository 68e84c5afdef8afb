"""Is a gain only truncation? Answers that the token cap cut are answers that are missing. Graded completions in, TRUNCATION
and TOKEN_BUDGETS out: every finished arm against the base at the same decode, on the problems that are reported.

How a difference in accuracy falls into finishing more often and being right more often when finished; what it can be, whatever
the cut answers would have said; how large it is where the base was cut, wrong or right; what it would be under smaller caps;
how long answers take.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType

import numpy as np
import polars as pl

from selfdistill.analysis.differences import Difference, Row, estimated
from selfdistill.analysis.pairing import Comparison, paired_cells
from selfdistill.analysis.problem_means import Evaluations, Side, known
from selfdistill.analysis.recut import Answers, AnswersOf, Drawn, cap_grid, finished_pairs
from selfdistill.statistics.clusters import Array, cluster_mean, cluster_totals
from selfdistill.statistics.decomposition import cross_fitted_gains, gain_parts, gains_in_class
from selfdistill.statistics.intervals import Interval, wilson_effective_interval
from selfdistill.statistics.quantiles import median_interval
from selfdistill.statistics.resampling import simultaneous_band
from selfdistill.study.evaluation import Size
from selfdistill.tables import words
from selfdistill.tables.analysis import TOKEN_BUDGETS, TRUNCATION
from selfdistill.tables.schema import Schema, conform

SPLIT = "test"


def truncation(
    graded: pl.DataFrame,
    budgets: Mapping[str, Size],
    caps: Mapping[str, int],
    resamples: int,
    seed: int,
    noises: Mapping[str, Sequence[int]] = MappingProxyType({}),
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """TRUNCATION and TOKEN_BUDGETS. `caps` has the token cap of every decode; `noises` of each model that shares random
    numbers with the base, and of the base, says which noise each of its draws was drawn with."""
    evaluations = Evaluations.of(graded, budgets)
    answers_of = AnswersOf(graded, evaluations)
    parts: list[Row] = []
    curves: list[Row] = []
    for base in [side for side in evaluations.sides() if side.arm == "base"]:
        budget = evaluations.reached(base.models[0], base.decode_id)[-1]
        answers = answers_of(base, budget, SPLIT)
        if answers.problems:
            parts += _median_rows(answers, _named(base, None, budget))
            curves += _level_rows(answers, caps[base.decode_id], _named(base, None, budget))
    for side, against, budget in finished_pairs(evaluations):
        mine, other = answers_of(side, budget, SPLIT), answers_of(against, budget, SPLIT)
        if not mine.problems:
            continue
        paired_cells(evaluations, Comparison(side, against, words.MATCHED, budget, SPLIT))  # refuses unlike problems
        alone, paired = _named(side, None, budget), _named(side, against, budget)
        same_noise = _same_noise(noises, (side, mine), (against, other))
        parts += [*_part_rows(mine, other, paired), *_class_rows(mine, other, same_noise, paired)]
        parts += _median_rows(mine, alone)
        curves += _level_rows(mine, caps[side.decode_id], alone)
        curves += _difference_rows(mine, other, caps[side.decode_id], paired, resamples, seed)
    return _table(parts, TRUNCATION, "truncation"), _table(curves, TOKEN_BUDGETS, "token budgets")


def _named(side: Side, against: Side | None, budget: str) -> Row:
    return {
        "model_id": side.model_id,
        "arm": side.arm,
        "percent": side.percent,
        "decode_id": side.decode_id,
        "against": against.arm if against else None,
        "split": SPLIT,
        "budget": budget,
        "training_seeds": len(side.training_seeds),
    }


def _table(rows: list[Row], schema: Schema, name: str) -> pl.DataFrame:
    return conform(pl.DataFrame([{key: row.get(key) for key in schema} for row in rows], schema=schema), schema, name)


def _part_rows(mine: Answers, other: Answers, named: Row) -> Iterator[Row]:
    """The difference in accuracy, its bounds, and its two parts, which add up to it."""
    right, finished = mine.share(lambda drawn: drawn.right), mine.share(lambda drawn: drawn.finished)
    other_right, other_finished = other.share(lambda drawn: drawn.right), other.share(lambda drawn: drawn.finished)
    gain = right - other_right
    yield named | _estimated(words.ACCURACY, gain, mine)
    yield named | _estimated(words.cut_counted_for("base"), gain - (1 - other_finished), mine)
    yield named | _estimated(words.cut_counted_for(words.THE_ARM), gain + (1 - finished), mine)
    parts = gain_parts(right, finished, other_right, other_finished)
    if parts is None:
        return
    yield named | _estimated(words.BY_FINISHING, parts.finished_more, mine, span=parts.finished_span)
    yield named | _estimated(words.WHEN_IT_FINISHED, parts.right_more, mine, span=parts.right_span)


def _estimated(estimand: str, values: Array, answers: Answers, weights: Array | None = None, span: float = 1.0) -> Row:
    """A difference of shares, or of what is between −span and span like one."""
    weights = np.ones(len(values)) if weights is None else weights
    difference = Difference(estimand, values, weights, is_share=True, span=span)
    return {"estimand": estimand} | estimated(difference, answers.families, answers.unit)


def _same_noise(
    noises: Mapping[str, Sequence[int]], arm: tuple[Side, Answers], base: tuple[Side, Answers]
) -> list[Array]:
    """For each training: which draws of the base (rows) and of the arm (columns) were drawn with the same noise."""

    def numbers(model: str, drawn: Drawn, otherwise: int) -> Array:
        return np.array([noises[model][draw] if model in noises else otherwise for draw in drawn.draws])

    of_base = numbers(base[0].models[0], base[1].models[0], -1)
    of_arm = [numbers(model, drawn, -2) for model, drawn in zip(arm[0].models, arm[1].models, strict=True)]
    return [of_base[:, None] == own[None, :] for own in of_arm]


def _class_rows(mine: Answers, other: Answers, same_noise: list[Array], named: Row) -> Iterator[Row]:
    """Gains where the base was cut, wrong or right. One draw of the base says which, its other draws measure: with one
    draw there is nothing to tell."""
    base = other.models[0]
    if len(base.draws) < 2:
        return
    gains = cross_fitted_gains(base.right, [drawn.right for drawn in mine.models], same_noise)
    if not np.isfinite(gains).all(axis=0).any():
        return
    classes = (~base.finished, base.finished & ~base.right, base.finished & base.right)
    for base_answer, in_class in zip(words.BASE_ANSWERS, classes, strict=True):
        values, weights = gains_in_class(gains, in_class)
        here = named | {"base_answer": base_answer}
        if weights.any():
            yield here | _estimated(words.GAIN_WHERE, values, mine, weights)
        yield here | _estimated(words.PART_WHERE, values, mine)
        yield here | {"estimand": words.SHARE_WHERE} | _level(weights, other)


def _median_rows(answers: Answers, named: Row) -> Iterator[Row]:
    """The token by which half of the answers have finished; null where half never did."""
    tokens = [np.where(drawn.finished, drawn.tokens, np.inf) for drawn in answers.models]
    median = median_interval(tokens, answers.families)
    yield named | {
        "estimand": words.MEDIAN_TOKENS,
        "estimate": known(median.estimate),
        "low": known(median.low),
        "high": known(median.high),
        "method": words.WOODRUFF,
        "unit": answers.unit,
        "n": median.clusters,
    }


def _level(shares: Array, answers: Answers) -> Row:
    mean = cluster_mean(*cluster_totals(shares, answers.families))
    interval = wilson_effective_interval(mean, sum(drawn.right.size for drawn in answers.models))
    return {
        "estimate": known(mean.estimate),
        "low": known(interval.low),
        "high": known(interval.high),
        "method": words.WILSON_EFFECTIVE,
        "unit": answers.unit,
        "n": mean.clusters,
    }


def _right_within(answers: Answers, cap: int) -> Array:
    return answers.share(lambda drawn: drawn.right_within(cap))


def _cut_within(answers: Answers, cap: int) -> Array:
    return answers.share(lambda drawn: ~drawn.finished_within(cap))


def _level_rows(answers: Answers, cap: int, named: Row) -> Iterator[Row]:
    for smaller in cap_grid(cap):
        here = named | {"cap": smaller}
        yield here | {"estimand": words.ACCURACY} | _level(_right_within(answers, smaller), answers)
        yield here | {"estimand": words.CUT_RATE} | _level(_cut_within(answers, smaller), answers)


def _difference_rows(mine: Answers, other: Answers, cap: int, named: Row, resamples: int, seed: int) -> Iterator[Row]:
    """At each cap its own interval, and a band that holds for all caps at once."""
    caps = cap_grid(cap)
    gains = [_right_within(mine, smaller) - _right_within(other, smaller) for smaller in caps]
    bands = simultaneous_band([cluster_totals(gain, mine.families) for gain in gains], resamples, seed)
    for smaller, gain, band in zip(caps, gains, bands, strict=True):
        row = named | {"cap": smaller} | _estimated(words.ACCURACY, gain, mine)
        yield row | _around(band, row)


def _around(band: Interval, row: Row) -> Row:
    """The band, no narrower than the interval of its cap: where few pairs differ, t says too little, and nothing where none."""
    if row["low"] is None or not math.isfinite(band.low):
        return {"band_low": row["low"], "band_high": row["high"]}
    return {"band_low": min(band.low, row["low"]), "band_high": max(band.high, row["high"])}
