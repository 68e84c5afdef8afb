"""How the weights change, and how much of it is rounding.

In: the weights table of a run. Out: fractions per step and group. In bf16 a weight is seen to change when its update
crosses a rounding boundary, so "few weights change" says nothing about the learning signal unless it lies away from
the fraction that the size of the updates alone predicts.
"""

import polars as pl

from selfdistill.tables import words
from selfdistill.tables.analysis import WEIGHT_CHANGE
from selfdistill.tables.schema import conform


def weight_change(weights: pl.DataFrame) -> pl.DataFrame:
    """Fractions of weights changed, predicted and cumulative, and relative sizes, for every step and group."""
    counts = [column for column in weights.columns if column not in ("step", "group")]
    total = weights.group_by("step").agg(pl.lit(words.TOTAL).alias("group"), *(_sum(column) for column in counts))
    both = pl.concat([weights, total.select(weights.columns)]).sort("step", "group")
    size = pl.col("norm_squared")
    rows = both.with_columns(
        changed_fraction=pl.col("changed") / pl.col("weights"),
        predicted_fraction=pl.col("predicted_changed") / pl.col("weights"),
        changed_to_predicted=_ratio(pl.col("changed"), pl.col("predicted_changed")),
        changed_since_start_fraction=pl.col("changed_since_start") / pl.col("weights"),
        on_grid_fraction=pl.col("changed_on_grid") / pl.col("weights"),
        kept_in_bf16=_ratio(pl.col("kept_on_grid"), pl.col("update_norm_squared")),
        relative_update=_ratio(pl.col("update_norm_squared"), size).sqrt(),
        relative_distance=_ratio(pl.col("distance_norm_squared"), size).sqrt(),
    )
    return conform(rows.select(list(WEIGHT_CHANGE)), WEIGHT_CHANGE, "weight change")


def _sum(column: str) -> pl.Expr:
    """Over the groups; null where nothing was measured."""
    return pl.when(pl.col(column).null_count() == 0).then(pl.col(column).sum()).alias(column)


def _ratio(above: pl.Expr, below: pl.Expr) -> pl.Expr:
    return pl.when(below > 0).then(above / below)
