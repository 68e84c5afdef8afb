"""Where two laws part: mean KL of every token, word and word of doubt, and its share of all KL (Table 6 of arXiv 2603.24472).

Every position counts once. A mean is a ratio of two sums over families of problems and so is a share, each with the error
of `statistics/clusters.py`. Tokens and words with most of the KL are told of, and every word of doubt.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import polars as pl

from selfdistill.statistics.clusters import cluster_mean
from selfdistill.statistics.intervals import UNKNOWN, Interval, t_interval
from selfdistill.tables import words
from selfdistill.tables.mechanism import CONTEXT_KL

Row = dict[str, Any]
READ = ("reader", "family", "piece", "word", "first", "marker", "first_of_marker", "kl", "rest")
SUMS = [pl.col("kl").sum().alias("sum"), pl.len().cast(pl.Float64).alias("count"), pl.col("rest").sum().alias("rest")]


def where_of_each(readers: Iterable[Iterable[pl.DataFrame]], markers: Sequence[str], shown: int) -> pl.DataFrame:
    """Of one reader after another, each in pieces of DISAGREEMENTS: memory holds the tokens of one."""
    return pl.concat([where(pl.concat(piece.select(READ) for piece in pieces), markers, shown) for pieces in readers])


def where(table: pl.DataFrame, markers: Sequence[str], shown: int) -> pl.DataFrame:
    """Of one or more readers, each against the writer."""
    rows: list[Row] = []
    for (reader,), mine in table.group_by("reader", maintain_order=True):
        whole = _sums(mine)
        told = [
            {"grouping": words.BY_TOKEN, "name": words.EVERY_TOKEN, "place": words.WHOLE_WORD, **_row(whole, whole)},
            *_doubt(mine, whole, markers),
            *_most(mine, whole, "piece", words.BY_TOKEN, words.WHOLE_WORD, shown),
            *_most(mine, whole, "word", words.BY_WORD, words.WHOLE_WORD, shown),
            *_most(mine.filter(pl.col("first")), whole, "word", words.BY_WORD, words.FIRST_TOKEN, shown),
        ]
        rows += [{"reader": reader, **row} for row in told]
    return pl.DataFrame(rows, schema=CONTEXT_KL)


def _doubt(mine: pl.DataFrame, whole: pl.DataFrame, markers: Sequence[str]) -> Iterator[Row]:
    doubt = mine.filter(pl.col("marker").is_not_null())
    parts = [
        (words.EVERY_DOUBT, words.WHOLE_WORD, doubt),
        (words.EVERY_DOUBT, words.FIRST_TOKEN, doubt.filter(pl.col("first_of_marker"))),
        (words.NO_DOUBT, words.WHOLE_WORD, mine.filter(pl.col("marker").is_null())),
    ]
    for marker in markers:
        those = doubt.filter(pl.col("marker") == marker)
        parts += [
            (marker, words.WHOLE_WORD, those),
            (marker, words.FIRST_TOKEN, those.filter(pl.col("first_of_marker"))),
        ]
    for name, place, rows in parts:
        if rows.height:
            yield {"grouping": words.BY_DOUBT, "name": name, "place": place, **_row(_sums(rows), whole)}


def _most(mine: pl.DataFrame, whole: pl.DataFrame, column: str, grouping: str, place: str, shown: int) -> Iterator[Row]:
    """The names with most of the KL; none where there is none."""
    if float(whole["sum"].sum()) <= 0:
        return
    first = mine.group_by(column).agg(pl.col("kl").sum()).sort(["kl", column], descending=[True, False]).head(shown)
    for name in first[column]:
        rows = mine.filter(pl.col(column) == name)
        yield {"grouping": grouping, "name": name, "place": place, **_row(_sums(rows), whole)}


def _sums(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.group_by("family").agg(SUMS).sort("family")


def _row(part: pl.DataFrame, whole: pl.DataFrame) -> Row:
    counts = part["count"].to_numpy()
    mean = cluster_mean(part["sum"].to_numpy(), counts)
    both = whole.select("family", pl.col("sum").alias("all")).join(part, on="family", how="left").fill_null(0.0)
    all_kl, every = float(whole["sum"].sum()), float(whole["sum"].sum()) / float(whole["count"].sum())
    share = cluster_mean(both["sum"].to_numpy(), np.maximum(both["all"].to_numpy(), 0.0)) if all_kl > 0 else None
    interval = t_interval(mean) if mean.standard_error > 0 else UNKNOWN
    of_share = t_interval(share) if share is not None and share.standard_error > 0 else UNKNOWN
    return {
        "positions": int(counts.sum()),
        "n": mean.clusters,
        "estimate": mean.estimate,
        **_ends("", interval),
        "times_mean": mean.estimate / every if every > 0 else None,
        "share": share.estimate if share is not None else None,
        **_ends("share_", of_share),
        "rest": float(part["rest"].sum() / counts.sum()),
        "method": words.T if np.isfinite(interval.low) else words.TOO_FEW_PROBLEMS,
    }


def _ends(prefix: str, interval: Interval) -> Row:
    ends = {"low": interval.low, "high": interval.high}
    return {f"{prefix}{name}": value if np.isfinite(value) else None for name, value in ends.items()}
