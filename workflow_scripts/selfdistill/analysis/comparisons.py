"""How much better: paired differences on the problems that both sides answered. Graded completions in, COMPARISONS out.

Rows over several training seeds average the seeds within each problem: they speak about these trainings. The row "t over
training seeds" speaks about the method, and has an interval only where there are two seeds or more. Which comparisons are
made is said in `pairing.py`, how a difference is estimated in `differences.py`.
"""

import math
from collections.abc import Iterable, Iterator, Mapping

import numpy as np
import polars as pl

from selfdistill.analysis.differences import SHARES, Difference, Row, differences_of, estimate_rows
from selfdistill.analysis.pairing import Comparison, paired_cells, planned, seed_pairs
from selfdistill.analysis.problem_means import Evaluations, family_codes, known, unit_of
from selfdistill.statistics.clusters import cluster_mean
from selfdistill.statistics.intervals import UNKNOWN, t_interval
from selfdistill.statistics.multiplicity import benjamini_hochberg
from selfdistill.statistics.power import minimal_detectable_difference
from selfdistill.statistics.significance import t_test_p
from selfdistill.study.evaluation import Evaluation, Hypothesis
from selfdistill.tables import words
from selfdistill.tables.analysis import COMPARISONS
from selfdistill.tables.schema import conform


def comparisons(
    graded: pl.DataFrame, evaluation: Evaluation, seed: int, hypotheses: Mapping[str, Hypothesis] | None = None
) -> pl.DataFrame:
    """Every model against the base, and finished arms against each other where a hypothesis asks for it."""
    evaluations = Evaluations.of(graded, evaluation.sizes)
    rows: list[Row] = []
    for comparison in planned(evaluations, evaluation, hypotheses or {}):
        rows += compare(evaluations, comparison, evaluation.resamples, seed)
    frame = pl.DataFrame(rows, schema={**COMPARISONS}, strict=False) if rows else pl.DataFrame(schema=COMPARISONS)
    return conform(_adjusted(frame), COMPARISONS, "comparisons")


def compare(evaluations: Evaluations, comparison: Comparison, resamples: int, seed: int) -> Iterator[Row]:
    """Rows for each training seed, for all seeds together, and over seeds. Nothing where the split is empty."""
    side, against = comparison.side, comparison.against
    if evaluations.pooled(side, comparison.budget, comparison.split).is_empty():
        return
    by_seed = seed_pairs(side, against)
    per_seed: list[list[Difference]] = []
    for training_seed, one, other in by_seed:
        pair = Comparison(one, other, comparison.kind, comparison.budget, comparison.split)
        differences = differences_of(evaluations, pair)
        per_seed.append(differences)
        yield from _rows(evaluations, pair, differences, training_seed, 1, resamples, seed)
    trained = len(side.training_seeds) or len(against.training_seeds)
    differences = differences_of(evaluations, comparison)
    yield from _rows(evaluations, comparison, differences, None, trained, resamples, seed)
    for position, difference in enumerate(differences):
        if per_seed:
            yield _seed_row(comparison, difference, [one[position] for one in per_seed])


def _rows(
    evaluations: Evaluations,
    comparison: Comparison,
    differences: Iterable[Difference],
    training_seed: int | None,
    training_seeds: int,
    resamples: int,
    seed: int,
) -> Iterator[Row]:
    mine, other = paired_cells(evaluations, comparison)
    correlations = {name: _correlation(mine[name], other[name]) for name in (*SHARES, words.MEAN_TOKENS)}
    for difference in differences:
        named = _named(comparison, difference.estimand, training_seed, training_seeds)
        named["correlation"] = correlations.get(difference.estimand)
        for row in estimate_rows(difference, family_codes(mine), unit_of(mine), resamples, seed):
            yield named | row


def _correlation(mine: pl.Series, other: pl.Series) -> float | None:
    a, b = mine.to_numpy(), other.to_numpy()
    return known(float(np.corrcoef(a, b)[0, 1])) if len(a) > 1 and np.ptp(a) > 0 and np.ptp(b) > 0 else None


def _seed_row(comparison: Comparison, pooled: Difference, per_seed: list[Difference]) -> Row:
    """Training seeds as the units: what a new training of the same method would be expected to give."""
    effects = np.array([d.values.sum() / d.weights.sum() if d.weights.sum() else math.nan for d in per_seed])
    effects = effects[np.isfinite(effects)]
    mean = cluster_mean(effects, np.ones(len(effects)))
    spread = mean.standard_error > 0  # two trainings that agree to the last answer are no proof that all would
    interval = t_interval(mean) if spread else UNKNOWN
    return _named(comparison, pooled.estimand, None, len(per_seed)) | {
        "estimate": known(mean.estimate),
        "low": known(interval.low),
        "high": known(interval.high),
        "method": words.OVER_SEEDS,
        "unit": words.TRAINING_SEED,
        "n": len(effects),
        "p_value": known(t_test_p(mean)) if spread else None,
        "standard_error": known(mean.standard_error),
        "mde80": known(minimal_detectable_difference(mean)),
    }


def _named(comparison: Comparison, estimand: str, training_seed: int | None, training_seeds: int) -> Row:
    side, against = comparison.side, comparison.against
    return dict.fromkeys(COMPARISONS) | {
        "estimand": estimand,
        "model_id": side.model_id,
        "arm": side.arm,
        "training_seed": training_seed,
        "percent": side.percent,
        "decode_id": side.decode_id,
        "against": against.arm,
        "against_decode_id": against.decode_id,
        "split": comparison.split,
        "budget": comparison.budget,
        "comparison": comparison.kind,
        "training_seeds": training_seeds,
    }


def _adjusted(frame: pl.DataFrame) -> pl.DataFrame:
    """Benjamini–Hochberg over the grid of pooled matched differences of one estimand, split and budget.

    The planned hypotheses are few and have Holm's adjustment of their own, in the verdicts.
    """
    grid = (
        (pl.col("method") == words.LEAD) & (pl.col("comparison") == words.MATCHED) & pl.col("training_seed").is_null()
    )
    frame = frame.with_row_index("row")
    adjusted = []
    for group in frame.filter(grid).partition_by("estimand", "split", "budget", maintain_order=True):
        p_values = [math.nan if p is None else p for p in group["p_value"]]
        adjusted += list(zip(group["row"], benjamini_hochberg(p_values), strict=True))
    found = pl.DataFrame(adjusted, schema={"row": frame["row"].dtype, "p_grid": pl.Float64}, orient="row")
    return (
        frame.join(found, on="row", how="left", maintain_order="left")
        .with_columns(pl.col("p_grid").fill_nan(None).alias("p_adjusted"))
        .drop("row", "p_grid")
    )
