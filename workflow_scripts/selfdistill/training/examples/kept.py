"""Which samples an arm's filter keeps: what happens to truncated samples. Jobs that train rest on it, too."""

import polars as pl

from selfdistill.foundation.errors import UserError
from selfdistill.tables.endings import EMPTY, FINISHED_WITH_TEXT


def kept_samples(sampled: pl.DataFrame, keep: str | None) -> pl.DataFrame:
    if keep == "finished":
        return sampled.filter(pl.col("finish_class").is_in(FINISHED_WITH_TEXT))
    if keep == "everything":
        return sampled.filter(pl.col("finish_class") != EMPTY)
    raise UserError("an arm that trains needs keep: finished or everything.")
