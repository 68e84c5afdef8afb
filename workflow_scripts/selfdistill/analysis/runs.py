"""Tables of single training runs as one table, whose column `run` says whose rows they are."""

from collections.abc import Mapping

import polars as pl


def of_all_runs(tables: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    return pl.concat(table.select(pl.lit(run).alias("run"), pl.all()) for run, table in tables.items())
