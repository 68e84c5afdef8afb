"""Does depth go with the class? The AUROC of depth for forks against locks, and mean depths, clustered by family.

The AUROC is the chance that a fork's law settles at a deeper layer than a lock's, ties counting half. Its error is that of
clustered U-statistics (Obuchowski 1997): each position's share of the pairs it wins, added up over families.
"""

import math
from collections.abc import Iterator

import numpy as np
import polars as pl

from selfdistill.foundation.errors import UserError
from selfdistill.mechanism.compared import is_the_base
from selfdistill.mechanism.estimates import Families, Row, Sums, ends, interval_row, known, too_few
from selfdistill.mechanism.theory import Array
from selfdistill.statistics.clusters import ClusterMean
from selfdistill.statistics.intervals import Interval, t_interval
from selfdistill.tables import words
from selfdistill.tables.mechanism import DEPTH


def depth_by_class(classes: pl.DataFrame, depths: pl.DataFrame, least: int) -> pl.DataFrame:
    """`depths`: of one or more models, at positions of the classes."""
    rows: list[Row] = []
    for (model,), one in depths.group_by("model_id", maintain_order=True):
        known_depths = classes.join(one.select("probe_id", "depth", "layers"), on="probe_id", how="inner")
        if known_depths.height < one.height:
            raise UserError(
                f"depths of {model}: {one.height - known_depths.height} positions are not in the plan; probe it again."
            )
        rows += [{"model_id": model, **row} for row in _rows_of(known_depths, least)]
    return pl.DataFrame(rows, schema=DEPTH, orient="row")


def _rows_of(table: pl.DataFrame, least: int) -> Iterator[Row]:
    families = Families(table["family"].to_numpy())
    depth = (table["depth"] / table["layers"]).to_numpy()
    classes = table["token_class"].to_numpy()
    by_base = np.array([is_the_base(name) for name in table["written_by"]], dtype=bool)
    kinds = table["kinds"].list
    pooled = (~(kinds.contains(words.STRIP) & (kinds.len() == 1))).to_numpy()
    masks = {
        (words.BY_ALL, words.EVERY_KIND): pooled,
        (words.BY_THE_BASE, words.EVERY_KIND): pooled & by_base,
        (words.BY_TRAINED, words.EVERY_KIND): pooled & ~by_base,
        **{
            (words.BY_ALL, kind): kinds.contains(kind).to_numpy()
            for kind in words.POSITION_KINDS
            if kind != words.STRIP
        },
    }
    for (carriers, kind), mask in masks.items():
        told = {"carriers": carriers, "position_kind": kind}
        forks, locks = (mask & (classes == name) for name in (words.FORK, words.LOCK))
        row = auroc_row(depth, forks, locks, families, least)
        yield {**told, "token_class": words.EVERY_CLASS, "measure": words.DEPTH_AUROC, **row}
        for name in words.TOKEN_CLASSES:
            sums = families.sums(depth, mask & (classes == name))
            yield {**told, "token_class": name, "measure": words.MEAN_DEPTH, **interval_row(sums, least)}


def auroc_row(score: Array, ours: Array, others: Array, families: Families, least: int) -> Row:
    """How well a score tells our positions from the others: 1 where ours are always larger."""
    estimate, pull = auroc(score, ours, others, families)
    there = families.sums(np.ones(len(score)), ours | others)
    row: Row = {"estimate": known(estimate), "positions": there.positions, "n": there.families}
    fewer = min((families.sums(score, mask) for mask in (ours, others)), key=_count)
    reason = too_few(fewer, least)
    if reason:
        return {**row, "low": None, "high": None, "method": reason}
    variance = float((pull**2).sum()) * there.families / (there.families - 1)
    interval = t_interval(ClusterMean.of(estimate, math.sqrt(variance), there.families))
    within = Interval(max(0.0, interval.low), min(1.0, interval.high))
    return {**row, **ends(within), "method": f"{words.T}, {words.CHECKPOINTS}"}


def _count(sums: Sums) -> int:
    return sums.positions


def auroc(score: Array, ours: Array, others: Array, families: Families) -> tuple[float, Array]:
    """The chance, and each family's pull on it."""
    a, b = score[ours], score[others]
    if not len(a) or not len(b):
        return math.nan, np.zeros(families.count)
    from scipy.stats import rankdata  # which loads for half a second, and few programs rank

    ranks = rankdata(np.concatenate([a, b]))
    wins_a = (ranks[: len(a)] - rankdata(a)) / len(b)
    wins_b = 1 - (ranks[len(a) :] - rankdata(b)) / len(a)
    estimate = float(wins_a.mean())
    pull = np.bincount(families.codes[ours], weights=(wins_a - estimate) / len(a), minlength=families.count)
    pull += np.bincount(families.codes[others], weights=(wins_b - estimate) / len(b), minlength=families.count)
    return estimate, pull
