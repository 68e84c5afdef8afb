"""Columns of the tables of words of doubt. The words that stand in them are in `words.py`."""

import polars as pl

from selfdistill.tables.analysis import COMPARISONS, ESTIMATES
from selfdistill.tables.schema import Schema

# What a row counts: every marker, unless one is named.
COUNTED: Schema = {
    "marker": pl.String,  # this marker alone; null: all
    "without": pl.String,  # all but this one; null: none is left out
    "tokens": pl.Int64,  # only so many, from the first; null: all
}

# How much is doubted by each model, all trainings of an arm together.
DOUBT: Schema = {
    **{k: ESTIMATES[k] for k in ("estimand", "model_id", "arm", "percent", "decode_id", "split", "budget")},
    **COUNTED,
    **{k: ESTIMATES[k] for k in ("estimate", "low", "high", "method", "unit", "n")},
}

# How many times as much, or how much more, of every comparison of the study.
DOUBT_RATIOS: Schema = {
    **{k: ESTIMATES[k] for k in ("estimand", "model_id", "arm", "training_seed", "percent", "decode_id")},
    **{k: COMPARISONS[k] for k in ("against", "against_decode_id", "split", "budget", "comparison")},
    "scale": pl.String,  # ratio of rates | difference of means
    **COUNTED,
    **{k: COMPARISONS[k] for k in ("estimate", "low", "high", "method", "unit", "n", "p_value", "p_adjusted")},
    **{k: COMPARISONS[k] for k in ("claim", "training_seeds", "leads", "level", "against_level")},
    "standard_error": pl.Float64,  # of a ratio: of its log
    "degrees_of_freedom": pl.Float64,
    "matched": pl.Float64,  # among answers of the same lengths: the share of both sides' answers that count
}

# How many times as often each word of the base's vocabulary is used, as a shift in powers of two.
WORD_SHIFT: Schema = {
    **{k: COMPARISONS[k] for k in ("model_id", "arm", "decode_id", "against", "split", "budget")},
    "word": pl.String,  # in small letters; null: a group of words
    "kind": pl.String,  # word of doubt | other word | words of doubt | other words | …: words.py
    "uses": pl.Float64,  # per 1,000 tokens
    "against_uses": pl.Float64,
    "words": pl.Int64,  # how many words a row speaks of
    "shift": pl.Float64,  # log2 of the ratio; of a single word with half a use added on either side
    "low": pl.Float64,
    "high": pl.Float64,
    "p_value": pl.Float64,
    "p_adjusted": pl.Float64,  # Benjamini–Hochberg over the words of this row's comparison
    "place": pl.Float64,  # the share of other words that shift less; of a group the mean
    "unit": pl.String,
    "n": pl.Int64,
}
