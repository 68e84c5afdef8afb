"""Does a model know the asked format? Graded answers in, counts of what stands in it and elsewhere out, and alarms.

Where next to no completion that ended by itself answers in the asked format and none is right, the accuracy of 0 says
nothing of what the model can: it is an alarm and no result.
"""

from collections.abc import Iterator

import polars as pl

from selfdistill.foundation.wording import count, number, plural
from selfdistill.tables.endings import ANSWERED, CORRECT, NO_ANSWER
from selfdistill.tables.sampling import GRADED
from selfdistill.tables.schema import Schema, conform

NEEDED = ("model_id", "decode_id", "source", "finish_class", "verdict", "other_format", "other_correct")
FORMATS: Schema = {
    **{name: GRADED[name] for name in ("model_id", "decode_id", "source", "finish_class", "other_format")},
    "answers": pl.Int64,
    "right": pl.Int64,  # as they count
    "right_otherwise": pl.Int64,  # in the other format; never counted
}
FEWEST = 10  # completions that ended by themselves; below, chance alone may have them all wrong
NEARLY_ALL = 0.95  # of them without an answer in the asked format


def count_formats(graded: pl.DataFrame) -> pl.DataFrame:
    """One row for each model, decode, source, finish class and other format."""
    keys = [name for name in FORMATS if name in NEEDED]
    counts = graded.group_by(keys).agg(
        pl.len().alias("answers"),
        (pl.col("verdict") == CORRECT).sum().alias("right"),
        pl.col("other_correct").fill_null(False).sum().alias("right_otherwise"),
    )
    return conform(counts, FORMATS, "answers by format").sort(keys)


def unknown_formats(formats: pl.DataFrame) -> pl.DataFrame:
    """The models, decodes and sources of which nobody answers in the asked format."""
    ended = pl.col("finish_class").is_in([ANSWERED, NO_ANSWER])
    without = pl.col("finish_class") == NO_ANSWER
    cells = formats.group_by("model_id", "decode_id", "source").agg(
        pl.col("answers").filter(ended).sum().alias("ended"),
        pl.col("answers").filter(without).sum().alias("without"),
        pl.col("right", "right_otherwise").sum(),
    )
    enough = pl.col("ended") >= FEWEST
    return cells.filter(enough & (pl.col("right") == 0) & (pl.col("without") >= NEARLY_ALL * pl.col("ended")))


def format_alarms(formats: pl.DataFrame) -> Iterator[str]:
    """A sentence for each model that does not know the format, the base first."""
    unknown = unknown_formats(formats)
    by_model = unknown.sort(pl.col("model_id") != "base", "model_id", "decode_id", "source", maintain_order=True)
    for (model,), cells in by_model.group_by("model_id", maintain_order=True):
        decodes, sources = (", ".join(cells[name].unique(maintain_order=True)) for name in ("decode_id", "source"))
        ended, without, otherwise = (int(cells[name].sum()) for name in ("ended", "without", "right_otherwise"))
        yield (
            f"{model} at {decodes} on {sources}: of {plural(ended, 'answer')} that ended by themselves {count(without)} "
            f"are not in the asked format, and none is right; in another format {count(otherwise)} "
            f"({number(100 * otherwise / ended, 1)} %) would be."
        )
