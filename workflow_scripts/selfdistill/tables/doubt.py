"""Columns of the tables of words of doubt. The words that stand in them are in `words.py`."""

import polars as pl

from selfdistill.tables.analysis import COMPARISONS, ESTIMATES
from selfdistill.tables.schema import Schema

# What a row counts: every marker, unless one is named.
COUNTED: Schema = {
    "marker": pl.String,  # the word of doubt that is counted alone; null: all of them
    "without": pl.String,  # the word of doubt that is left out; null: none is
    "tokens": pl.Int64,  # [tokens] only so many count, from the first; null: all
}

# How much is doubted by each model, all trainings of an arm together: one row a model, decode, count, split and budget.
DOUBT: Schema = {
    **{k: ESTIMATES[k] for k in ("estimand", "model_id", "arm", "percent", "decode_id", "split", "budget")},
    **COUNTED,
    **{k: ESTIMATES[k] for k in ("estimate", "low", "high", "method", "unit", "n")},
}

# How many times as much is doubted, or how much more: one row a count of every comparison of the study.
DOUBT_RATIOS: Schema = {
    **{k: ESTIMATES[k] for k in ("estimand", "model_id", "arm", "training_seed", "percent", "decode_id")},
    **{k: COMPARISONS[k] for k in ("against", "against_decode_id", "split", "budget", "comparison")},
    "scale": pl.String,  # ratio of rates | difference of means: what the estimate is
    **COUNTED,
    **{k: COMPARISONS[k] for k in ("estimate", "low", "high", "method", "unit", "n", "p_value", "p_adjusted")},
    **{k: COMPARISONS[k] for k in ("claim", "training_seeds", "leads", "level", "against_level")},
    "standard_error": pl.Float64,  # [the estimand's] standard error; of a ratio: of its log
    "degrees_of_freedom": pl.Float64,  # [number] degrees of freedom of the t law that the interval takes
    "matched": pl.Float64,  # [share] among answers of the same lengths: the share of both sides' answers that count
}

# How many times as often each word of the base's vocabulary is used, as a shift in powers of two: one row a word and
# comparison.
WORD_SHIFT: Schema = {
    **{k: COMPARISONS[k] for k in ("model_id", "arm", "decode_id", "against", "split", "budget")},
    "word": pl.String,  # in small letters; null: a group of words
    "kind": pl.String,  # word of doubt | other word | words of doubt | other words | …
    "uses": pl.Float64,  # [per 1,000 tokens] of the arm
    "against_uses": pl.Float64,  # [per 1,000 tokens] of the other side
    "words": pl.Int64,  # [words] that the row speaks of
    "shift": pl.Float64,  # [powers of 2] log2 of the ratio; of a single word with half a use added on either side
    "low": pl.Float64,  # [powers of 2] lower end of its 95 % interval
    "high": pl.Float64,  # [powers of 2] upper end of it
    "p_value": pl.Float64,
    "p_adjusted": pl.Float64,  # [probability] Benjamini–Hochberg over the words of this row's comparison
    "place": pl.Float64,  # [share] the share of other words that shift less; of a group the mean
    "unit": pl.String,
    "n": pl.Int64,
}
