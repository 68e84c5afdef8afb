"""Which samples an arm's filter keeps: what happens to truncated samples. Jobs that train rest on it, too."""

import polars as pl

from selfdistill.foundation.errors import UserError
from selfdistill.tables.endings import CORRECT, EMPTY, FINISHED_WITH_TEXT

KEPT = {
    "finished": pl.col("finish_class").is_in(FINISHED_WITH_TEXT),
    "everything": pl.col("finish_class") != EMPTY,
    "correct": pl.col("verdict") == CORRECT,  # which no unfinished answer is
}


def kept_samples(sampled: pl.DataFrame, keep: str | None) -> pl.DataFrame:
    if keep not in KEPT:
        raise UserError("an arm that trains needs keep: finished, everything or correct.")
    return sampled.filter(KEPT[keep])
