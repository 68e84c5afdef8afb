"""How much better: paired differences on the problems that both sides answered. Graded completions in, COMPARISONS out.

A row makes one of two claims. *These checkpoints*: of each training, and of all of them as they are. *The method*: what
training anew would be expected to give, known where a trained side has two trainings or more (`statistics/trainings.py`).
Which comparisons are made is said in `pairing.py`, how a difference is estimated in `differences.py`.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain

import numpy as np
import polars as pl

from selfdistill.analysis.choice import Choices, as_chosen, choice_in_words, choices
from selfdistill.analysis.differences import (
    SHARES,
    Difference,
    Row,
    differences_between,
    judged_of,
    judged_row,
    weighted,
)
from selfdistill.analysis.pairing import Comparison, at, decoding_alone, paired_cells, planned, seed_pairs
from selfdistill.analysis.problem_means import Evaluations, Side, family_codes, known, unit_of
from selfdistill.statistics.clusters import Array, ClusterMean, cluster_totals
from selfdistill.statistics.multiplicity import ALPHA, benjamini_hochberg
from selfdistill.statistics.resampling import simultaneous_band
from selfdistill.statistics.trainings import Trainings, of_the_method, trainings
from selfdistill.study.evaluation import Evaluation, Hypothesis
from selfdistill.tables import words
from selfdistill.tables.analysis import COMPARISONS
from selfdistill.tables.schema import conform

# Of a comparison of two sides: an estimand, and what it is at each choice of decodes with how often that is made.
Estimand = tuple[Difference, list[tuple[float, Difference]]]


def comparisons(
    graded: pl.DataFrame, evaluation: Evaluation, seed: int, hypotheses: Mapping[str, Hypothesis] | None = None
) -> pl.DataFrame:
    """Every model against the base, finished arms against each other where a hypothesis asks for it, decodes of the base."""
    evaluations = Evaluations.of(graded, evaluation.sizes)
    every = chain(planned(evaluations, evaluation, hypotheses or {}), decoding_alone(evaluations, evaluation))
    rows = [row for each in every for row in compare(evaluations, each, evaluation.resamples, seed)]
    frame = pl.DataFrame(rows, schema={**COMPARISONS}, strict=False) if rows else pl.DataFrame(schema=COMPARISONS)
    frame = _adjusted(_with_bands(frame, evaluations, evaluation, seed))
    return conform(frame, COMPARISONS, "comparisons")


def compare(evaluations: Evaluations, asked: Comparison, resamples: int, seed: int) -> Iterator[Row]:
    """Rows of each training, of all together as they are, and of the method. Nothing where the split is empty."""
    if evaluations.pooled(asked.side, asked.budget, asked.split).is_empty():
        return
    found, comparison = choices(evaluations, asked, resamples, seed), as_chosen(evaluations, asked)
    for training_seed, one, other in seed_pairs(comparison.side, comparison.against):
        yield from _rows(evaluations, comparison.between(one, other), found, training_seed, 1)
    trained = len(comparison.side.training_seeds) or len(comparison.against.training_seeds)
    yield from _rows(evaluations, comparison, found, None, trained)


def _rows(
    evaluations: Evaluations, comparison: Comparison, found: Choices, training_seed: int | None, training_seeds: int
) -> Iterator[Row]:
    mine, other = paired_cells(evaluations, comparison)
    families, unit = family_codes(mine), unit_of(mine)
    estimands = _estimands(evaluations, comparison, found)
    sides = _sides(evaluations, comparison, found, families) if training_seed is None else []
    for position, (difference, chosen) in enumerate(estimands):
        mean = _with_choice(difference.mean(families), chosen, families)
        method = of_the_method(mean, [(1.0, side[position]) for side in sides])
        speaks_of_method = math.isfinite(method.standard_error)
        named = _named(comparison, found, difference.estimand, training_seed, training_seeds)
        named |= _levels(mine, other, difference.estimand)
        leads = training_seed is None
        yield named | judged_row(difference, mean, unit) | {"leads": leads and not speaks_of_method}
        if speaks_of_method:
            yield named | judged_row(difference, method, unit) | {"claim": words.METHOD, "leads": True}


def _estimands(evaluations: Evaluations, comparison: Comparison, found: Choices) -> list[Estimand]:
    """Each estimand as the mean over the choices of decodes, and at each choice."""
    parts = []
    for (mine, other), share in found.items():
        pair = comparison.between(at(comparison.side, mine), at(comparison.against, other))
        cells = paired_cells(evaluations, pair)
        bounds = comparison.side.percent == 100
        parts.append((share, differences_between(*cells, comparison.against.arm, bounds)))
    estimands = []
    for position in range(len(parts[0][1])):
        here = [(share, differences[position]) for share, differences in parts]
        estimands.append((weighted(here), here))
    return estimands


def _with_choice(mean: ClusterMean, chosen: Sequence[tuple[float, Difference]], families: Array) -> ClusterMean:
    """The error with that of the choice: the variance between the choices, less what test problems make of it alone.

    Choices whose true differences are equal differ by the noise of the test problems, whose part in the mean is in its
    error already: E[between] = true variance + mean of their squared errors − squared error of their mean.
    """
    if len(chosen) == 1 or not mean.standard_error > 0:
        return mean
    shares = np.array([share for share, _ in chosen])
    each = [difference.mean(families) for _, difference in chosen]
    between = float(shares @ (np.array([one.estimate for one in each]) - mean.estimate) ** 2)
    noise = float(shares @ np.array([one.standard_error**2 for one in each])) - mean.standard_error**2
    added = max(0.0, between - max(0.0, noise))
    return replace(mean, standard_error=math.sqrt(mean.standard_error**2 + added)) if added > 0 else mean


def _sides(evaluations: Evaluations, comparison: Comparison, found: Choices, families: Array) -> list[list[Trainings]]:
    """Of each trained side, for every estimand, its trainings one by one against all of the other side."""

    def each(models: Side, is_side: bool) -> list[Comparison]:
        return [
            comparison.between(one, comparison.against) if is_side else comparison.between(comparison.side, one)
            for one in (models.of_seed(seed) for seed in models.training_seeds)
        ]

    sides = []
    for models, is_side in ((comparison.side, True), (comparison.against, False)):
        if models.training_seeds:
            apart = [_estimands(evaluations, one, found) for one in each(models, is_side)]
            sides.append(
                [
                    trainings([d.values for d, _ in same], [d.weights for d, _ in same], families)
                    for same in zip(*apart, strict=True)
                ]
            )
    return sides


def _levels(mine: pl.DataFrame, other: pl.DataFrame, estimand: str) -> Row:
    """What each side did by itself, where the estimand is one of its means, and how often it gave an answer as asked."""
    found: Row = {
        words.BOXED_RATE: known(mine[words.BOXED_RATE].to_numpy().mean()),
        f"against_{words.BOXED_RATE}": known(other[words.BOXED_RATE].to_numpy().mean()),
    }
    if estimand in (*SHARES, words.MEAN_TOKENS):
        a, b = mine[estimand].to_numpy(), other[estimand].to_numpy()
        varied = len(a) > 1 and np.ptp(a) > 0 and np.ptp(b) > 0
        found |= {"level": known(a.mean()), "against_level": known(b.mean())}
        found["correlation"] = known(float(np.corrcoef(a, b)[0, 1])) if varied else None
    if estimand == words.WHEN_BOTH_FINISHED:
        right_a, right_b = mine["correct_and_finished"].to_numpy(), other["correct_and_finished"].to_numpy()
        finished_a, finished_b = mine["finished_rate"].to_numpy(), other["finished_rate"].to_numpy()
        if both := float(finished_a @ finished_b):
            found["level"] = known(float(right_a @ finished_b) / both)
            found["against_level"] = known(float(finished_a @ right_b) / both)
    return found


def _named(
    comparison: Comparison, found: Choices, estimand: str, training_seed: int | None, training_seeds: int
) -> Row:
    named = comparison.named(training_seed, training_seeds)
    return (
        dict.fromkeys(COMPARISONS)
        | named
        | {
            "estimand": estimand,
            "claim": words.CHECKPOINTS,
            "chosen": choice_in_words(found, 0) if comparison.menu else None,
            "against_chosen": choice_in_words(found, 1) if comparison.menu else None,
        }
    )


def _with_bands(frame: pl.DataFrame, evaluations: Evaluations, evaluation: Evaluation, seed: int) -> pl.DataFrame:
    """Along the checkpoints of a training, and of all trainings of an arm as they are: bands within which the whole curve
    of differences from the base lies."""
    curve = ("arm", "training_seed", "decode_id", "split", "budget")
    frame = frame.with_row_index("row")
    of_curves = frame.filter(
        (pl.col("comparison") == words.MATCHED)
        & (pl.col("estimand") == words.ACCURACY)
        & (pl.col("claim") == words.CHECKPOINTS)
        & (pl.col("against") == "base")
        & (pl.col("percent") > 0)
    )
    sides = {(side.arm, side.percent, side.decode_id): side for side in evaluations.sides()}
    bands = []
    for _, rows in of_curves.group_by(curve, maintain_order=True):
        points = []
        for row in rows.iter_rows(named=True) if rows["percent"].n_unique() > 1 else ():
            side, base = sides[row["arm"], row["percent"], row["decode_id"]], sides["base", 0, row["decode_id"]]
            side = side if row["training_seed"] is None else side.of_seed(row["training_seed"])
            mine, other = paired_cells(evaluations, Comparison(side, base, words.MATCHED, row["budget"], row["split"]))
            points.append(cluster_totals((mine[words.ACCURACY] - other[words.ACCURACY]).to_numpy(), family_codes(mine)))
        found = simultaneous_band(points, evaluation.resamples, seed)
        bands += [(row, known(band.low), known(band.high)) for row, band in zip(rows["row"], found, strict=False)]
    known_bands = pl.DataFrame(
        bands, schema={"row": frame["row"].dtype, "of_low": pl.Float64, "of_high": pl.Float64}, orient="row"
    )
    joined = frame.join(known_bands, on="row", how="left", maintain_order="left")
    return joined.with_columns(band_low="of_low", band_high="of_high").drop("row", "of_low", "of_high")


def _adjusted(frame: pl.DataFrame) -> pl.DataFrame:
    """Benjamini–Hochberg over the grid of leading differences of one estimand, kind, split and budget; what can be
    detected is said at the level that the smallest p of the grid must beat, of single trainings, too.

    The planned hypotheses are few and have Holm's adjustment of their own, in the verdicts.
    """
    frame = frame.with_row_index("row")
    adjusted = []
    for group in frame.partition_by("estimand", "comparison", "split", "budget", maintain_order=True):
        p_values = [math.nan if p is None or not leads else p for p, leads in group.select("p_value", "leads").rows()]
        level = ALPHA / max(1, int(group["leads"].sum()))
        detected = [known(judged_of(row).detectable(level)) if row["n"] else None for row in group.to_dicts()]
        adjusted += list(zip(group["row"], benjamini_hochberg(p_values), detected, strict=True))
    found = pl.DataFrame(
        adjusted, schema={"row": frame["row"].dtype, "p_grid": pl.Float64, "detected": pl.Float64}, orient="row"
    )
    return (
        frame.join(found, on="row", how="left", maintain_order="left")
        .with_columns(
            pl.col("p_grid").fill_nan(None).alias("p_adjusted"), pl.coalesce("detected", "mde80").alias("mde80")
        )
        .drop("row", "p_grid", "detected")
    )
