"""The answers of the ladder's rungs, each with how often every word of doubt stands in it: what `ladder.py` counts."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import polars as pl

from selfdistill.doubt.counting import Markers
from selfdistill.study.doubt import Doubt
from selfdistill.tables.sampling import GRADED
from selfdistill.tables.whole import read_table

READ = ("problem_id", "family", "rank", "draw", "verdict", "n_tokens", "text", "gold")


def answers_on_rungs(graded: Iterable[str], rungs: Sequence[Mapping[str, Any]], doubt: Doubt) -> pl.DataFrame:
    """Of graded answers, a file a rung: `rungs` says of each whose it is, under which context, and whether it thinks."""
    markers = Markers(doubt)
    return pl.concat(
        _counted(read_table(file, GRADED, READ), rung, markers) for file, rung in zip(graded, rungs, strict=True)
    )


def _counted(answers: pl.DataFrame, rung: Mapping[str, Any], markers: Markers) -> pl.DataFrame:
    counts = [[*map(markers.counts(text, rung["thinks"]).of, markers.names)] for text in answers["text"]]
    return answers.with_columns(
        pl.lit(rung["climber"]).alias("model_id"),
        pl.lit(rung["context"]).alias("context"),
        pl.Series("doubts", counts, dtype=pl.List(pl.Int32)),
    )
