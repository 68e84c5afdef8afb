"""How much each context told: means over problems of what texts say in nats, with intervals. Texts and their scores in,
INFORMATION out.

None of it is the mutual information of the paper by itself (`docs/contexts.md`). `from_few` tells how much of a mean a
twentieth of the texts makes: a divergence is a mean of few large numbers where the context rules out what the bare model
still writes.
"""

import math
from collections.abc import Iterator, Sequence

import numpy as np
import polars as pl

from selfdistill.analysis.differences import Row
from selfdistill.analysis.problem_means import known
from selfdistill.statistics.clusters import Array, cluster_mean, cluster_totals
from selfdistill.statistics.intervals import t_interval
from selfdistill.tables import words
from selfdistill.tables.ladder import INFORMATION
from selfdistill.tables.schema import conform

FEW = 0.05  # of the texts, those with the largest values


def information(read: Sequence[tuple[pl.DataFrame, pl.DataFrame]], contexts: Sequence[str]) -> pl.DataFrame:
    """Of each model its texts and their log-probabilities. `contexts` are the rungs in their order; the first tells nothing
    and has no row."""
    rows = [row for texts, logprobs in read for row in _rows(scored(texts, logprobs), contexts)]
    frame = pl.DataFrame(rows, schema={**INFORMATION}, strict=False) if rows else pl.DataFrame(schema=INFORMATION)
    return conform(frame, INFORMATION, "information")


def scored(texts: pl.DataFrame, logprobs: pl.DataFrame) -> pl.DataFrame:
    """With the log-probability behind each of the two prompts; null where it was not read."""
    found = dict(logprobs.select("probe_id", "logprob").iter_rows())
    return texts.with_columns(
        pl.col(side).replace_strict(found, default=None, return_dtype=pl.Float64).alias(f"{side}_logprob")
        for side in ("told", "untold")
    )


def _rows(texts: pl.DataFrame, contexts: Sequence[str]) -> Iterator[Row]:
    for rung, context in enumerate(contexts):
        for measure in words.INFORMATION_MEASURES:
            here = texts.filter(pl.col("context") == context, pl.col("measure") == measure)
            read = here.drop_nulls(["told_logprob", "untold_logprob"])
            if read.height:
                named = {"model_id": here["model_id"][0], "rung": rung, "context": context, "measure": measure}
                yield named | _row(read, measure) | {"left_out": here.height - read.height}


def _row(read: pl.DataFrame, measure: str) -> Row:
    sign = -1 if measure == words.STYLE_COST else 1
    gained = (sign * (pl.col("told_logprob") - pl.col("untold_logprob"))).alias("nats")
    by_text = read.with_columns(gained, pl.col("family").fill_null(pl.col("problem_id")))
    by_problem = by_text.group_by("problem_id").agg(pl.col("family").first(), pl.col("nats").mean()).sort("problem_id")
    families = np.unique(by_problem["family"].to_numpy(), return_inverse=True)[1]
    mean = cluster_mean(*cluster_totals(by_problem["nats"].to_numpy(), families))
    interval = t_interval(mean)
    return {
        "estimate": known(mean.estimate),
        "low": known(interval.low),
        "high": known(interval.high),
        "unit": words.PROBLEM if mean.clusters == by_problem.height else words.FAMILY,
        "n": mean.clusters,
        "texts": by_text.height,
        "tokens": by_text["tokens"].mean(),
        "untold": -float(by_text["untold_logprob"].mean()),  # type: ignore[arg-type]
        "from_few": known(share_of_few(by_text["nats"].to_numpy())),
    }


def share_of_few(values: Array) -> float:
    """What part of the sum the largest twentieth makes, one at least; nan where the sum is not positive."""
    few, whole = max(1, round(FEW * len(values))), float(values.sum())
    return float(np.sort(values)[-few:].sum()) / whole if whole > 0 else math.nan
