"""Examples with their soft targets: read, cut as the examples were, and put beside every batch."""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from selfdistill.foundation.errors import UserError
from selfdistill.tables.training import TARGETS
from selfdistill.tables.whole import read_table

ENTRIES = ("retained", "token_ids", "probabilities")


def with_targets(examples: pl.DataFrame, targets_file: Path) -> pl.DataFrame:
    """The examples, each with the targets of the tokens that it has."""
    targets = read_table(targets_file, TARGETS, ("request_id", *ENTRIES))
    taught = examples.join(targets, on="request_id", how="left", maintain_order="left")
    tokens = pl.col("completion_ids").list.len()
    unfit = taught.filter(pl.col("retained").list.len().fill_null(0) < tokens)
    if unfit.height:
        raise UserError(
            f"{targets_file}: has no targets for all tokens of request {unfit['request_id'][0]} ({unfit.height} such): "
            "it was made for another dataset; delete it and run again."
        )
    taught = taught.with_columns(pl.col("retained").list.head(tokens))
    return taught.with_columns(pl.col("token_ids", "probabilities").list.head(pl.col("retained").list.sum()))


def has_targets(examples: pl.DataFrame) -> bool:
    return set(ENTRIES) <= set(examples.columns)


def targets_digest(taught: pl.DataFrame) -> str:
    """SHA-256 over what training reads, in the order of the dataset; not over the file that holds it."""
    total = hashlib.sha256()
    for name in ENTRIES:
        total.update(taught[name].explode().to_numpy().tobytes())
    return total.hexdigest()


class TaughtCollator:
    """A batch of tokens, and beside it the targets of its rows, one row after the other. A row names its example; -1 has none."""

    def __init__(self, tokens: Callable[[Any], Any], taught: pl.DataFrame) -> None:
        self.tokens, self.targets = tokens, taught.select(ENTRIES)

    def __call__(self, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
        import torch

        chosen = self.targets[[row["example"] for row in rows if row["example"] >= 0]]
        of_rows = {name: torch.tensor(chosen[name].explode().to_numpy()) for name in ENTRIES}
        return self.tokens(rows) | {"soft_targets": of_rows}
