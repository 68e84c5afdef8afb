"""Columns of the ladder of information: what a model writes the more it is told, and how much it was told.

The words that stand in them are in `words.py`. A ladder has a rung for each context, the least told first.
"""

import polars as pl

from selfdistill.tables.problems import PROBLEMS
from selfdistill.tables.schema import TOKENS, Schema

# Which problems stand on the ladder: one row for every problem that the base was asked, in the order of the ranking.
LADDER_PROBLEMS: Schema = {
    **{k: PROBLEMS[k] for k in ("problem_id", "rank")},
    "draws": pl.Int32,
    "correct": pl.Int32,
    "chosen": pl.Boolean,  # solved between the two rates, and among the first so many
}

# One row for every model, rung, measure and word: a level, or a paired difference from another rung.
LADDER: Schema = {
    "model_id": pl.String,
    "rung": pl.Int32,  # 0 is the first
    "context": pl.String,
    "measure": pl.String,  # words.LADDER_MEASURES
    "word": pl.String,  # of a measure of doubt: one marker alone; null: all of them, or no measure of doubt
    "against": pl.String,  # null for a level, else the context that it is compared with
    "estimate": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "method": pl.String,
    "unit": pl.String,
    "n": pl.Int64,  # problems or families
    "answers": pl.Int64,
    "left_out": pl.Int64,  # chosen problems without answers on every rung: they count on none
    "p_value": pl.Float64,
    "p_adjusted": pl.Float64,  # Holm, over the steps of one model and measure, or over the words of one step
}

# Whether the rungs are in order: a trend, every step, and whether a trained model's ladder is as steep as the base's.
LADDER_TESTS: Schema = {
    "model_id": pl.String,
    "against": pl.String,  # of a comparison of two models' ladders, else null
    "measure": pl.String,  # words.LADDER_MEASURES
    "test": pl.String,  # words.LADDER_TESTS
    "expected": pl.String,  # words.RISES | words.FALLS, said before anything was measured
    "estimate": pl.Float64,  # of a trend: the mean rank correlation with the order; of steepness: a difference of differences
    "low": pl.Float64,
    "high": pl.Float64,
    "unit": pl.String,
    "n": pl.Int64,
    "p_value": pl.Float64,
    "p_adjusted": pl.Float64,  # Holm, over the measures and models of one test
    "verdict": pl.String,  # words.IN_ORDER | words.REVERSED | words.NOT_RESOLVED
}

# Texts whose log-probability is taken behind two prompts: the context's and the bare one.
INFORMATION_TEXTS: Schema = {
    "model_id": pl.String,
    "context": pl.String,
    "problem_id": pl.String,
    "family": pl.String,
    "measure": pl.String,  # words.INFORMATION_MEASURES
    "request_id": pl.String,  # whose text it is; null for the answer that is put into the model's mouth
    "tokens": pl.Int32,  # that count
    "told": pl.String,  # reading_id behind the context's prompt
    "untold": pl.String,  # behind the bare one
}

# What an engine is to read: each prompt with each text once, however many measures ask for it.
READINGS: Schema = {
    "reading_id": pl.String,  # content key
    "prompt_ids": TOKENS,
    "completion_ids": TOKENS,
    "first": pl.Int32,  # index in the completion of the first token that counts
}

# What the engine said of it.
LOGPROBS: Schema = {
    "probe_id": pl.String,  # the reading_id
    "logprob": pl.Float64,  # sum over the tokens that count, at temperature 1
    "engine": pl.String,
    "engine_version": pl.String,
}

# One row a model, context and measure: how much the context told.
INFORMATION: Schema = {
    "model_id": pl.String,
    "rung": pl.Int32,
    "context": pl.String,
    "measure": pl.String,  # words.INFORMATION_MEASURES
    "estimate": pl.Float64,  # nats
    "low": pl.Float64,
    "high": pl.Float64,
    "unit": pl.String,
    "n": pl.Int64,
    "texts": pl.Int64,
    "tokens": pl.Float64,  # mean length of a text
    "untold": pl.Float64,  # mean −log-probability behind the bare prompt: no context can tell more of an answer
    "from_few": pl.Float64,  # share of the estimate that the twentieth of the texts with the most of it makes
    "left_out": pl.Int64,  # texts that do not fit the model's context behind one of the prompts
}

# Answers to the same problems on every rung, to be read side by side.
LADDER_EXAMPLES: Schema = {
    **{k: PROBLEMS[k] for k in ("problem_id", "problem")},
    "gold": pl.String,
    "model_id": pl.String,
    "rung": pl.Int32,
    "context": pl.String,
    "solution": pl.String,  # what was told; null where nothing was
    "text": pl.String,
    "tokens": pl.Int32,
    "doubts": pl.Int32,
    "verdict": pl.String,
}
