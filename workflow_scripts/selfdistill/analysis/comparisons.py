"""How much better: paired differences on the problems that both sides answered. Graded completions in, COMPARISONS out.

matched: the same decode on both sides. fair: each side at the decode that was most accurate on dev, reported on
test (an arm's decode is chosen once for all its training seeds; ties go to the first of the study file).
Every difference has three intervals, paired t in the lead, and the sign-flip p in the lead's row. Rows over several
training seeds average the seeds within each problem: they speak about these trainings. The row "t over training
seeds" speaks about the method, and has an interval only where there are two seeds or more.
"""

import math
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import polars as pl

from selfdistill.analysis.problem_means import Evaluations, Side, family_codes, known, unit_of
from selfdistill.foundation.errors import UserError
from selfdistill.statistics.clusters import Array, cluster_mean, cluster_totals
from selfdistill.statistics.intervals import UNKNOWN, no_pair_differs_interval, t_interval
from selfdistill.statistics.multiplicity import benjamini_hochberg
from selfdistill.statistics.power import minimal_detectable_difference
from selfdistill.statistics.resampling import (
    cluster_bootstrap,
    percentile_interval,
    resample_counts,
    sign_flip_p,
    studentised_interval,
)
from selfdistill.statistics.significance import t_test_p
from selfdistill.study.evaluation import Evaluation, Hypothesis
from selfdistill.study.names import parse_model_id
from selfdistill.tables import words
from selfdistill.tables.analysis import COMPARISONS, FLIPS
from selfdistill.tables.schema import conform

SHARES = (words.ACCURACY, words.CUT_RATE, words.LOOP_RATE)

Row = dict[str, Any]


@dataclass(frozen=True)
class Comparison:
    side: Side
    against: Side
    kind: str  # matched | fair
    budget: str
    split: str


@dataclass(frozen=True)
class Difference:
    """One estimand of a comparison, by problem: a numerator and a weight (1, or the chance that both finished)."""

    estimand: str
    values: Array
    weights: Array
    is_share: bool
    unit: str | None = None
    is_bound: bool = False  # on another difference: it needs no second interval


def comparisons(
    graded: pl.DataFrame, evaluation: Evaluation, seed: int, hypotheses: Mapping[str, Hypothesis] | None = None
) -> pl.DataFrame:
    """Every model against the base, and finished arms against each other where a hypothesis asks for it."""
    evaluations = Evaluations.of(graded, evaluation.budgets)
    rows: list[Row] = []
    for comparison in planned(evaluations, evaluation, hypotheses or {}):
        rows += compare(evaluations, comparison, evaluation.resamples, seed)
    frame = pl.DataFrame(rows, schema={**COMPARISONS}, strict=False) if rows else pl.DataFrame(schema=COMPARISONS)
    return conform(_adjusted(frame), COMPARISONS, "comparisons")


def planned(
    evaluations: Evaluations, evaluation: Evaluation, hypotheses: Mapping[str, Hypothesis]
) -> Iterator[Comparison]:
    """Matched at every decode and budget that both sides have; fair at the widest budget that both have."""
    order = list(dict.fromkeys((*evaluation.decodes.base, *evaluation.decodes.final, *evaluation.decodes.earlier)))
    points: dict[tuple[str, int], dict[str, Side]] = {}
    for side in evaluations.sides():
        points.setdefault((side.arm, side.percent), {})[side.decode_id] = side
    for (arm, percent), sides in points.items():
        others = ["base", *(h.against for h in hypotheses.values() if h.arm == arm and percent in (0, 100))]
        for other in dict.fromkeys(others):
            against = next((points[other, at] for at in (percent, 0, 100) if (other, at) in points), None)
            if other == arm or against is None:
                continue
            ordered = [decode for decode in order if decode in sides] + [d for d in sides if d not in order]
            for decode in ordered:
                if decode in against:
                    for budget in shared_budgets(evaluations, sides[decode], against[decode]):
                        for split in ("test", "all"):
                            yield Comparison(sides[decode], against[decode], words.MATCHED, budget, split)
            if fair := _fair(evaluations, sides, against, order):
                yield fair


def shared_budgets(evaluations: Evaluations, side: Side, against: Side) -> list[str]:
    models = [(model, side.decode_id) for model in side.models]
    models += [(model, against.decode_id) for model in against.models]
    reached = [evaluations.reached(*model) for model in models]
    return [budget for budget in reached[0] if all(budget in other for other in reached)]


def _fair(
    evaluations: Evaluations, sides: Mapping[str, Side], against: Mapping[str, Side], order: list[str]
) -> Comparison | None:
    budgets = {name for side in sides.values() for name in shared_budgets(evaluations, side, side)}
    widest = max(sorted(budgets), key=lambda name: (evaluations.budgets[name], name == "full"))
    chosen, chosen_against = (best_decode(evaluations, options, widest, order) for options in (sides, against))
    return Comparison(chosen, chosen_against, words.FAIR, widest, "test") if chosen and chosen_against else None


def best_decode(evaluations: Evaluations, sides: Mapping[str, Side], budget: str, order: list[str]) -> Side | None:
    """The side with the highest accuracy on dev, the first in order among equals."""
    candidates = [sides[decode] for decode in order if decode in sides]
    candidates = [side for side in candidates if budget in shared_budgets(evaluations, side, side)]
    if not candidates:
        return None
    cells = [evaluations.pooled(side, budget, "dev") for side in candidates]
    if cells[0].is_empty():
        raise UserError(
            f"evaluation: no problem of the {budget} budget is in the dev split, so no decode can be chosen on it; "
            "raise problems.dev_share or the budget."
        )
    accuracy = [round(float(cell[words.ACCURACY].to_numpy().mean()), 12) for cell in cells]
    return candidates[accuracy.index(max(accuracy))]


def compare(evaluations: Evaluations, comparison: Comparison, resamples: int, seed: int) -> Iterator[Row]:
    """Rows for each training seed, for all seeds together, and over seeds. Nothing where the split is empty."""
    side, against = comparison.side, comparison.against
    if evaluations.pooled(side, comparison.budget, comparison.split).is_empty():
        return
    by_seed = seed_pairs(side, against)
    per_seed: list[list[Difference]] = []
    for training_seed, one, other in by_seed:
        pair = Comparison(one, other, comparison.kind, comparison.budget, comparison.split)
        differences = _differences(evaluations, pair)
        per_seed.append(differences)
        yield from _rows(evaluations, pair, differences, training_seed, 1, resamples, seed)
    trained = len(side.training_seeds) or len(against.training_seeds)
    differences = _differences(evaluations, comparison)
    yield from _rows(evaluations, comparison, differences, None, trained, resamples, seed)
    for position, difference in enumerate(differences):
        if per_seed:
            yield _seed_row(comparison, difference, [one[position] for one in per_seed])


def seed_pairs(side: Side, against: Side) -> list[tuple[int, Side, Side]]:
    """Each training by itself: against the untrained base, or against the other arm's training of the same seed."""
    if not against.training_seeds:
        return [(seed, side.of_seed(seed), against) for seed in side.training_seeds]
    common = [seed for seed in side.training_seeds if seed in against.training_seeds]
    return [(seed, side.of_seed(seed), against.of_seed(seed)) for seed in common]


def paired_cells(evaluations: Evaluations, comparison: Comparison) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Both sides, problem by problem; a UserError where they are not the same problems."""
    cells = [
        evaluations.pooled(side, comparison.budget, comparison.split) for side in (comparison.side, comparison.against)
    ]
    mine, other = cells
    if mine["problem_id"].to_list() != other["problem_id"].to_list():
        raise UserError(
            f"{comparison.side.model_id} and {comparison.against.model_id}: at the {comparison.budget} budget one has "
            f"{mine.height} problems and the other {other.height}, not the same ones; a difference needs the same "
            "denominator. Delete the graded.parquet and plan.parquet of the smaller one and run again."
        )
    return mine, other


def _differences(evaluations: Evaluations, comparison: Comparison) -> list[Difference]:
    mine, other = paired_cells(evaluations, comparison)
    a = {name: mine[name].to_numpy() for name in mine.columns if mine[name].dtype == pl.Float64}
    b = {name: other[name].to_numpy() for name in other.columns if other[name].dtype == pl.Float64}
    ones = np.ones(mine.height)
    found = [Difference(share, a[share] - b[share], ones, True) for share in SHARES]
    tokens = a[words.MEAN_TOKENS] - b[words.MEAN_TOKENS]
    found.append(Difference(words.MEAN_TOKENS, tokens, ones, False))
    # Over all pairs of a draw of one side and a draw of the other, those in which both finished.
    right_a, right_b = a["correct_and_finished"], b["correct_and_finished"]
    finished_a, finished_b = a["finished_rate"], b["finished_rate"]
    both, gain = finished_a * finished_b, right_a * finished_b - finished_a * right_b
    found.append(Difference(words.WHEN_BOTH_FINISHED, gain, both, True, words.FINISHED_BY_BOTH))
    if comparison.side.percent == 100:
        worst = a[words.ACCURACY] - b[words.ACCURACY] - b[words.CUT_RATE]
        best = a[words.ACCURACY] + a[words.CUT_RATE] - b[words.ACCURACY]
        for whom, values in ((comparison.against.arm, worst), (words.THE_ARM, best)):
            found.append(Difference(words.cut_counted_for(whom), values, ones, is_share=True, is_bound=True))
    return found


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


def estimate_rows(difference: Difference, families: Array, unit: str, resamples: int, seed: int) -> Iterator[Row]:
    """The paired t row with its sign-flip p, then the two bootstraps. The lead of a difference of shares of which no
    pair differs has the bound of `no_pair_differs_interval`, and its bootstraps have none."""
    totals, sizes = cluster_totals(difference.values, families, difference.weights)
    mean = cluster_mean(totals, sizes)
    unit = f"{unit} {difference.unit}" if difference.unit else unit
    nothing_differs = difference.is_share and not np.any(np.abs(totals) > 1e-12)
    interval = no_pair_differs_interval(mean.clusters) if nothing_differs else t_interval(mean)
    shared = {"estimate": known(mean.estimate), "unit": unit, "n": mean.clusters}
    shared["standard_error"] = known(mean.standard_error)
    flips = np.random.default_rng([seed, zlib.crc32(b"sign flips"), len(totals)])
    yield shared | {
        "low": known(interval.low),
        "high": known(interval.high),
        "method": words.LEAD,
        "p_value": sign_flip_p(totals, resamples, flips) if mean.clusters else None,
        "mde80": known(minimal_detectable_difference(mean)),
    }
    if difference.is_bound or mean.clusters == 0:
        return
    bootstrap = cluster_bootstrap(totals, sizes, _counts(len(totals), resamples, seed))
    unknown = nothing_differs or mean.clusters < 2
    for method, interval in (
        (words.STUDENTISED, studentised_interval(mean, bootstrap)),
        (words.PERCENTILE, UNKNOWN if unknown else percentile_interval(bootstrap)),
    ):
        yield shared | {"low": known(interval.low), "high": known(interval.high), "method": method}


@lru_cache(maxsize=4)
def _counts(clusters: int, resamples: int, seed: int) -> Array:
    """The same resamples of the families for every difference over as many of them: drawing them is what costs."""
    return resample_counts(clusters, resamples, np.random.default_rng([seed, zlib.crc32(b"bootstrap"), clusters]))


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


def flips(graded: pl.DataFrame, evaluation: Evaluation, percents: Iterable[int] = (0, 100)) -> pl.DataFrame:
    """The problems gained and lost in each comparison with the base, over all training seeds and for each.

    With several draws a problem is gained where its accuracy rises by half or more.
    """
    evaluations = Evaluations.of(graded, evaluation.budgets)
    found = []
    for comparison in planned(evaluations, evaluation, {}):
        if comparison.side.percent not in percents or (comparison.kind, comparison.split) == (words.MATCHED, "test"):
            continue
        pairs = [
            Comparison(one, other, comparison.kind, comparison.budget, comparison.split)
            for _, one, other in seed_pairs(comparison.side, comparison.against)
        ]
        for pair in [*pairs, comparison] if len(pairs) > 1 else [comparison]:
            found.append(_flipped(evaluations, pair))
    frame = pl.concat(found) if found else pl.DataFrame(schema=FLIPS)
    return conform(frame, FLIPS, "flips")


def _flipped(evaluations: Evaluations, comparison: Comparison) -> pl.DataFrame:
    mine, other = paired_cells(evaluations, comparison)
    side, against = comparison.side, comparison.against
    seed = parse_model_id(side.models[0])[1] if len(side.models) == 1 else None
    change = pl.col(words.ACCURACY) - pl.col("against_accuracy")
    return mine.select("problem_id", words.ACCURACY, words.CUT_RATE).with_columns(
        other[words.ACCURACY].alias("against_accuracy"), other[words.CUT_RATE].alias("against_cut_rate")
    ).filter(change.abs() >= 0.5).select(
        pl.lit(side.arm).alias("arm"),
        pl.lit(seed, dtype=pl.Int64).alias("training_seed"),
        pl.lit(side.percent, dtype=pl.Int32).alias("percent"),
        pl.lit(side.decode_id).alias("decode_id"),
        pl.lit(against.arm).alias("against"),
        pl.lit(against.decode_id).alias("against_decode_id"),
        pl.lit(comparison.kind).alias("comparison"),
        pl.lit(comparison.split).alias("split"),
        pl.lit(comparison.budget).alias("budget"),
        "problem_id",
        pl.when(change > 0).then(pl.lit(words.GAINED)).otherwise(pl.lit(words.LOST)).alias("direction"),
        words.ACCURACY,
        "against_accuracy",
        words.CUT_RATE,
        "against_cut_rate",
    )  # fmt: skip
