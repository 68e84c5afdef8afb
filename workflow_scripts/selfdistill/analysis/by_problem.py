"""Means of graded answers by problem, of whatever one counts in an answer: what a level or a paired difference rests on."""

from collections.abc import Mapping

import polars as pl

EACH = pl.len()


def by_problem(answers: pl.DataFrame, means: Mapping[str, pl.Expr], draws: pl.Expr = EACH) -> pl.DataFrame:
    """One row a problem, sorted by it. Draws are averaged within their problem, then the trainings that the answers are of;
    `draws`, what counts as an observation, is added up. A problem without a family is one by itself."""
    family = pl.col("family").fill_null(pl.col("problem_id"))
    values = (value.cast(pl.Float64).mean().alias(name) for name, value in means.items())
    each = answers.group_by("problem_id", family, "model_id").agg(*values, draws=draws)
    both = each.group_by("problem_id", "family").agg(pl.col(list(means)).mean(), pl.col("draws").sum())
    return both.sort("problem_id")
