"""How much is doubted, and how many times as much as the other side: every comparison of a study, at its widest budget, on
the problems that are reported. Means by problem in (`doubt_measures.py: Doubted`), DOUBT and DOUBT_RATIOS out.

A ratio of rates is quasi-Poisson (`statistics/rates.py`). A fair comparison is made at the decodes that dev chooses, and how
the choice might have fallen is not in its error.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from itertools import chain

import numpy as np
import polars as pl

from selfdistill.analysis.choice import as_chosen
from selfdistill.analysis.differences import Difference, Row, judged_row
from selfdistill.analysis.doubt_counts import ALL
from selfdistill.analysis.doubt_measures import Doubted, Measure
from selfdistill.analysis.pairing import Comparison, decoding_alone, paired_cells, planned, seed_pairs
from selfdistill.analysis.problem_means import Evaluations, Side, family_codes, known, unit_of
from selfdistill.statistics.clusters import ClusterMean, cluster_mean, cluster_totals
from selfdistill.statistics.intervals import UNKNOWN, t_interval
from selfdistill.statistics.multiplicity import benjamini_hochberg
from selfdistill.statistics.paired import PairedMeans
from selfdistill.statistics.rates import LEAST_SHOWING, RateRatio, rate_ratio, trained_ratios
from selfdistill.statistics.trainings import Trainings, of_the_method, trainings
from selfdistill.study.evaluation import Evaluation, Hypothesis
from selfdistill.tables import words
from selfdistill.tables.doubt import DOUBT, DOUBT_RATIOS
from selfdistill.tables.schema import Schema, conform

SPLIT = "test"

Cells = tuple[pl.DataFrame, pl.DataFrame]


def doubt_levels(doubted: Doubted) -> pl.DataFrame:
    """DOUBT: every model, at its widest budget; of finished and untrained ones by every measure."""
    rows: list[Row] = []
    evaluations = doubted.evaluations
    for side in evaluations.sides():
        budget = evaluations.widest([side])
        cell = evaluations.pooled(side, budget, SPLIT) if budget else pl.DataFrame()
        if cell.is_empty():
            continue
        named = {
            "model_id": side.model_id,
            "arm": side.arm,
            "percent": side.percent,
            "decode_id": side.decode_id,
            "split": SPLIT,
            "budget": budget,
        }
        closer = doubted.closer([cell]) if side.percent in (0, 100) else []
        rows += [named | _level(measure, cell) for measure in (*doubted.main(), *closer)]
    return _table(rows, DOUBT, "doubt")


def _level(measure: Measure, cell: pl.DataFrame) -> Row:
    rates = measure.rates(cell)
    totals = cluster_totals(measure.per * rates.events[:, 0], family_codes(cell), rates.exposure[:, 0])
    mean = cluster_mean(*totals)
    # Where nothing was counted, nothing varied, which is no proof that nothing would.
    interval = t_interval(mean) if mean.standard_error > 0 else UNKNOWN
    return measure.named | {
        "estimate": known(mean.estimate),
        "low": known(max(0.0, interval.low)) if math.isfinite(interval.low) else None,
        "high": known(interval.high),
        "method": words.T if math.isfinite(interval.low) else words.too_little_doubt(LEAST_SHOWING),
        "unit": unit_of(cell),
        "n": mean.clusters,
    }


def doubt_ratios(doubted: Doubted, evaluation: Evaluation, hypotheses: Mapping[str, Hypothesis]) -> pl.DataFrame:
    """DOUBT_RATIOS: each training and all of them together; of finished and untrained models by every measure."""
    every = comparisons_of(doubted.evaluations, evaluation, hypotheses)
    rows = [row for each in every for row in (*_rows_of_trainings(doubted, each), *_rows_of_all(doubted, each))]
    return _adjusted(_table(rows, DOUBT_RATIOS, "doubt ratios"))


def comparisons_of(
    evaluations: Evaluations, evaluation: Evaluation, hypotheses: Mapping[str, Hypothesis]
) -> list[Comparison]:
    """Every comparison that the study makes, once: at the widest budget that both sides have."""
    widest: dict[tuple[Side, Side, str], Comparison] = {}
    for each in chain(planned(evaluations, evaluation, hypotheses), decoding_alone(evaluations, evaluation)):
        if each.split == SPLIT and not evaluations.pooled(each.side, each.budget, SPLIT).is_empty():
            there = widest.setdefault((each.side, each.against, each.kind), each)
            if evaluations.widest_of({each.budget, there.budget}) == each.budget:
                widest[each.side, each.against, each.kind] = each
    return [as_chosen(evaluations, each) for each in widest.values()]


def _rows_of_trainings(doubted: Doubted, comparison: Comparison) -> Iterator[Row]:
    for seed, one, other in seed_pairs(comparison.side, comparison.against):
        pair = comparison.between(one, other)
        cells = paired_cells(doubted.evaluations, pair)
        named = pair.named(seed, 1) | {"claim": words.CHECKPOINTS, "leads": False}
        for measure in doubted.main():
            ratio = _ratio(measure, cells)
            yield named | _ratio_row(measure, cells, ratio, ratio.mean)
        difference = _difference(cells)
        yield named | _difference_row(cells, difference, difference.mean(family_codes(cells[0])))


def _rows_of_all(doubted: Doubted, comparison: Comparison) -> Iterator[Row]:
    cells = paired_cells(doubted.evaluations, comparison)
    one_by_one = list(_each_training(doubted.evaluations, comparison))
    trained = len(comparison.side.training_seeds) or len(comparison.against.training_seeds)
    named = comparison.named(None, trained)
    at_an_end = comparison.side.percent in (0, 100)
    for measure in (*doubted.main(), *((*doubted.closer(cells), *doubted.of_two()) if at_an_end else ())):
        ratio = _ratio(measure, cells)
        sides = [trained_ratios([_ratio(measure, each) for each in side]) for side in one_by_one]
        yield from _claims(named, ratio.mean, sides, _row_of_ratio(measure, cells, ratio))
    difference, families = _difference(cells), family_codes(cells[0])
    apart = [[_difference(each) for each in side] for side in one_by_one]
    sides = [trainings([d.values for d in side], [d.weights for d in side], families) for side in apart]
    yield from _claims(named, difference.mean(families), sides, lambda mean: _difference_row(cells, difference, mean))


def _each_training(evaluations: Evaluations, comparison: Comparison) -> Iterator[list[Cells]]:
    """Of each trained side, its trainings one by one against all of the other side."""
    side, against = comparison.side, comparison.against
    if side.training_seeds:
        each = [comparison.between(side.of_seed(seed), against) for seed in side.training_seeds]
        yield [paired_cells(evaluations, one) for one in each]
    if against.training_seeds:
        each = [comparison.between(side, against.of_seed(seed)) for seed in against.training_seeds]
        yield [paired_cells(evaluations, one) for one in each]


def _claims(named: Row, mean: ClusterMean, sides: list[Trainings], row: Callable[[ClusterMean], Row]) -> Iterator[Row]:
    """Of these checkpoints; and of the method, where trainings tell of it, which then leads."""
    method = of_the_method(mean, [(1.0, side) for side in sides])
    speaks_of_method = math.isfinite(method.standard_error)
    yield named | row(mean) | {"claim": words.CHECKPOINTS, "leads": not speaks_of_method}
    if speaks_of_method:
        yield named | row(method) | {"claim": words.METHOD, "leads": True}


def _ratio(measure: Measure, cells: Cells) -> RateRatio:
    mine, other = cells
    return rate_ratio(measure.rates(mine), measure.rates(other), family_codes(mine))


def _row_of_ratio(measure: Measure, cells: Cells, ratio: RateRatio) -> Callable[[ClusterMean], Row]:
    return lambda mean: _ratio_row(measure, cells, ratio, mean)


def _ratio_row(measure: Measure, cells: Cells, ratio: RateRatio, mean: ClusterMean) -> Row:
    """`mean` is that of the log, for the claim of the row."""
    paired = PairedMeans(mean)
    interval = paired.interval()
    return measure.named | {
        "scale": words.RATIO,
        "estimate": known(ratio.ratio),
        "low": known(float(np.exp(interval.low))),
        "high": known(float(np.exp(interval.high))),
        "method": words.QUASI_POISSON if paired.is_known else _why_unknown(ratio),
        "unit": unit_of(cells[0]),
        "n": ratio.families,
        "p_value": known(paired.p()),
        "level": known(measure.per * ratio.rate),
        "against_level": known(measure.per * ratio.other_rate),
        "standard_error": known(mean.standard_error),
        "degrees_of_freedom": known(mean.degrees_of_freedom),
        "matched": known(ratio.matched) if measure.answers else None,
    }


def _why_unknown(ratio: RateRatio) -> str:
    return words.too_little_doubt(LEAST_SHOWING) if ratio.matched > 0 else words.NO_SHARED_LENGTH


def _difference(cells: Cells) -> Difference:
    mine, other = cells
    return Difference(words.DOUBTS, (mine[ALL] - other[ALL]).to_numpy(), np.ones(mine.height), is_share=False)


def _difference_row(cells: Cells, difference: Difference, mean: ClusterMean) -> Row:
    mine, other = cells
    return {
        "estimand": difference.estimand,
        "scale": words.DIFFERENCE,
        **judged_row(difference, mean, unit_of(mine)),
        "level": known(float(mine[ALL].to_numpy().mean())),
        "against_level": known(float(other[ALL].to_numpy().mean())),
    }


def _table(rows: list[Row], schema: Schema, name: str) -> pl.DataFrame:
    whole = [{key: row.get(key) for key in schema} for row in rows]
    return conform(pl.DataFrame(whole, schema=schema), schema, name)


def _adjusted(frame: pl.DataFrame) -> pl.DataFrame:
    """Benjamini–Hochberg over the leading rows of one question: an estimand and scale of one kind of comparison, all markers
    or single ones."""
    questions = [pl.col("estimand"), pl.col("scale"), pl.col("comparison")]
    questions += [pl.col("marker").is_null().alias("of_all"), pl.col("without").is_null().alias("with_all")]
    frame = frame.with_row_index("row")
    adjusted = []
    for _, group in frame.group_by(questions, maintain_order=True):
        p_values = [math.nan if p is None or not leads else p for p, leads in group.select("p_value", "leads").rows()]
        adjusted += list(zip(group["row"], benjamini_hochberg(p_values), strict=True))
    found = pl.DataFrame(adjusted, schema={"row": frame["row"].dtype, "adjusted": pl.Float64}, orient="row")
    found = found.with_columns(pl.col("adjusted").fill_nan(None))
    joined = frame.join(found, on="row", how="left", maintain_order="left")
    return joined.with_columns(p_adjusted="adjusted").drop("row", "adjusted")
