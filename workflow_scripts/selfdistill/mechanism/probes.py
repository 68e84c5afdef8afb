"""Probes as arrays: the laws of one model at the positions of a plan, in the plan's order; and two models' laws token by token."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from selfdistill.foundation.errors import UserError
from selfdistill.mechanism.theory import Array, Laws
from selfdistill.tables.faults import missing_table, unreadable_table
from selfdistill.tables.mechanism import DISTRIBUTIONS
from selfdistill.tables.schema import Misfit, refuse_misfit

READ_TOGETHER = 8192  # rows of a table
TOGETHER = 2048  # positions that are reckoned at once, in float64
TABLE = 2**24  # entries of what finds a token's place in a law
NOBODY = -1  # the id where a law has fewer tokens than others


@dataclass(frozen=True)
class Probes:
    """One model's laws, in float32: 100,000 of 256 tokens are 200 MB."""

    model_id: str
    ids: Array  # [positions, tokens], NOBODY where there are fewer
    log_p: Array  # −∞ there
    entropy: Array

    def part(self, rows: slice) -> Laws:
        return Laws.of(self.log_p[rows].astype(np.float64))

    def parts(self) -> Iterator[slice]:
        return (slice(at, at + TOGETHER) for at in range(0, len(self.ids), TOGETHER))


def read_probes(path: str | Path, model_id: str, probe_ids: pl.Series) -> Probes:
    """The rows of these probes, in their order. A model whose probes are others was asked something else."""
    try:
        lazy = pl.scan_parquet(path)
        refuse_misfit(lazy.collect_schema().names(), DISTRIBUTIONS)
        keys = lazy.select("probe_id", "entropy", width=pl.col("ids").list.len()).collect()
    except FileNotFoundError:
        raise missing_table(path) from None
    except (Misfit, pl.exceptions.PolarsError) as error:
        raise unreadable_table(path, error) from error
    place = pl.DataFrame({"probe_id": probe_ids}).join(
        keys.with_row_index("row").unique("probe_id"), on="probe_id", how="left", maintain_order="left"
    )
    absent = place["row"].null_count()
    if absent:
        raise UserError(
            f"{path}: {absent} of {len(probe_ids)} positions are missing; probe {model_id} again with the present plan."
        )
    width = int(keys["width"].max() or 0)  # type: ignore[arg-type]
    at = np.full(keys.height, -1)
    at[place["row"].to_numpy()] = np.arange(place.height)
    ids = np.full((place.height, width), NOBODY, dtype=np.int32)
    log_p = np.full((place.height, width), -np.inf, dtype=np.float32)
    for first in range(0, keys.height, READ_TOGETHER):
        _fill(lazy.slice(first, READ_TOGETHER).select("ids", "logprobs").collect(), at[first:], ids, log_p)
    return Probes(model_id, ids, log_p, place["entropy"].to_numpy().astype(np.float64))


def _fill(rows: pl.DataFrame, at: Array, ids: Array, log_p: Array) -> None:
    lengths = rows["ids"].list.len().to_numpy().astype(np.int64)
    row = np.repeat(np.arange(rows.height), lengths)
    column = np.arange(len(row)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    place = at[: rows.height][row]
    asked = place >= 0
    ids[place[asked], column[asked]] = rows["ids"].explode().to_numpy()[asked]
    log_p[place[asked], column[asked]] = rows["logprobs"].explode().to_numpy()[asked]


class Lookup:
    """Log-probabilities of one law's tokens by another model. Where that one did not keep a token, its share of the rest,
    and no more than the least it kept."""

    def __init__(self, *probes: Probes) -> None:
        words = 2 + max(int(each.ids.max(initial=0)) for each in probes)  # the last column is NOBODY's
        self._table = np.full((max(1, TABLE // words), words), -1, dtype=np.int16)

    def log_p(self, of: Array, by: Probes, rows: slice) -> Array:
        """Of tokens [positions, tokens], by the other model at the same positions."""
        step, ids, known = len(self._table), by.ids[rows], by.log_p[rows].astype(np.float64)
        parts = [slice(at, at + step) for at in range(0, len(of), step)]
        return np.concatenate([self._part(of[part], ids[part], known[part]) for part in parts])

    def _part(self, of: Array, ids: Array, known: Array) -> Array:
        row = np.arange(len(ids))[:, None]
        self._table[row, ids] = np.arange(ids.shape[1], dtype=np.int16)
        place = self._table[row, of]
        self._table[row, ids] = -1
        found = np.take_along_axis(known, np.maximum(place, 0), axis=1)
        asked = of != NOBODY
        lacking = (place < 0) & asked
        if lacking.any():
            missing = np.maximum(1 - np.exp(known).sum(-1), 1e-12)
            least = np.where(ids != NOBODY, known, np.inf).min(-1)
            share = np.minimum(least, np.log(missing) - np.log(np.maximum(1, lacking.sum(-1))))
            found = np.where(lacking, share[:, None], found)
        return np.where(asked, found, -np.inf)
