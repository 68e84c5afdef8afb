"""The problems that were gained and lost in each comparison with the base. Graded completions in, FLIPS out."""

from collections.abc import Iterable

import polars as pl

from selfdistill.analysis.choice import as_chosen
from selfdistill.analysis.pairing import Comparison, paired_cells, planned, seed_pairs
from selfdistill.analysis.problem_means import Evaluations
from selfdistill.study.evaluation import Evaluation
from selfdistill.study.names import parse_model_id
from selfdistill.tables import words
from selfdistill.tables.analysis import FLIPS
from selfdistill.tables.schema import conform


def flips(graded: pl.DataFrame, evaluation: Evaluation, percents: Iterable[int] = (0, 100)) -> pl.DataFrame:
    """The problems gained and lost in each comparison with the base, over all training seeds and for each.

    With several draws a problem is gained where its accuracy rises by half or more, whichever side has more draws.
    """
    evaluations = Evaluations.of(graded, evaluation.budgets)
    found = []
    for asked in planned(evaluations, evaluation, {}):
        comparison = as_chosen(evaluations, asked)
        if comparison.side.percent not in percents or (comparison.kind, comparison.split) == (words.MATCHED, "test"):
            continue
        pairs = [comparison.between(one, other) for _, one, other in seed_pairs(comparison.side, comparison.against)]
        for pair in [*pairs, comparison] if len(pairs) > 1 else [comparison]:
            found.append(_flipped(evaluations, pair))
    frame = pl.concat(found) if found else pl.DataFrame(schema=FLIPS)
    return conform(frame, FLIPS, "flips")


def _flipped(evaluations: Evaluations, comparison: Comparison) -> pl.DataFrame:
    mine, other = paired_cells(evaluations, comparison)
    side, against = comparison.side, comparison.against
    seed = parse_model_id(side.models[0]).training_seed if len(side.models) == 1 else None
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
