"""Columns of the ladder of information: what a model writes the more it is told, and how much it was told.

The words that stand in them are in `words.py`. A ladder has a rung for each context, the least told first.
"""

import polars as pl

from selfdistill.tables.problems import PROBLEMS
from selfdistill.tables.schema import TOKENS, Schema

# Which problems stand on the ladder, one row for every problem that the base was asked, in the order of the ranking.
LADDER_PROBLEMS: Schema = {
    **{k: PROBLEMS[k] for k in ("problem_id", "rank")},
    "draws": pl.Int32,  # [answers] of the base that the choice is made by
    "correct": pl.Int32,  # [answers] of these that are right
    "chosen": pl.Boolean,  # solved between the two rates, and among the first so many
}

# What a model writes the more it is told, one row a model, rung, measure and word: a level, or a paired difference from
# another rung.
LADDER: Schema = {
    "model_id": pl.String,
    "rung": pl.Int32,  # [number] in the order of the ladder; 0 is the first, which tells nothing
    "context": pl.String,  # what was told on this rung; the bare prompt has a name of its own
    "measure": pl.String,  # accuracy | mean_tokens | doubts per answer | doubts per 1,000 tokens
    "word": pl.String,  # of a measure of doubt: one marker alone; null: all of them, or no measure of doubt
    "against": pl.String,  # null for a level, else the context that it is compared with
    "estimate": pl.Float64,  # [the measure's] a level, or a difference from another rung
    "low": pl.Float64,  # [the measure's] lower end of its 95 % interval
    "high": pl.Float64,  # [the measure's] upper end of it
    "method": pl.String,
    "unit": pl.String,
    "n": pl.Int64,  # [problems or families] as unit says
    "answers": pl.Int64,  # [answers] behind the row
    "left_out": pl.Int64,  # [problems] chosen problems without answers on every rung: they count on none
    "p_value": pl.Float64,
    "p_adjusted": pl.Float64,  # [probability] Holm, over the steps of one model and measure, or over the words of one step
}

# Whether the rungs are in order, one row a test of a model's ladder: a trend, every step, and whether a trained model's
# ladder is as steep as the base's.
LADDER_TESTS: Schema = {
    "model_id": pl.String,
    "against": pl.String,  # of a comparison of two models' ladders the other model, else null
    "measure": pl.String,  # accuracy | mean_tokens | doubts per answer | doubts per 1,000 tokens
    "test": pl.String,  # trend along the rungs | every step by itself | fall from the first rung to the last
    "expected": pl.String,  # rises | falls: said before anything was measured
    "estimate": pl.Float64,  # [correlation, or the measure's] of a trend the mean rank correlation with the order; of steepness a difference of differences
    "low": pl.Float64,
    "high": pl.Float64,
    "unit": pl.String,
    "n": pl.Int64,
    "p_value": pl.Float64,
    "p_adjusted": pl.Float64,  # [probability] Holm, over the measures and models of one test
    "verdict": pl.String,  # in the order said | against the order said | not resolved
}

# Texts whose log-probability is taken behind two prompts, the context's and the bare one: one row a text and measure.
INFORMATION_TEXTS: Schema = {
    "model_id": pl.String,
    "context": pl.String,  # whose prompt it is read behind, beside the bare one
    "problem_id": pl.String,
    "family": pl.String,
    "measure": pl.String,  # information of told texts | answer probe | style cost
    "request_id": pl.String,  # of the answer whose text it is; null for the answer that is put into the model's mouth
    "tokens": pl.Int32,  # [tokens] that count
    "told": pl.String,  # reading_id of the text behind the context's prompt
    "untold": pl.String,  # reading_id of the text behind the bare prompt
}

# What an engine is to read, one row a prompt and text, however many measures ask for it.
READINGS: Schema = {
    "reading_id": pl.String,
    "prompt_ids": TOKENS,
    "completion_ids": TOKENS,  # [token ids] of the text that is read
    "first": pl.Int32,  # [index] in the completion of the first token that counts
}

# What the engine said of the texts, one row a reading.
LOGPROBS: Schema = {
    "probe_id": pl.String,  # the reading_id of what was read
    "logprob": pl.Float64,  # [nats] sum over the tokens that count, at temperature 1
    "engine": pl.String,
    "engine_version": pl.String,
}

# How much the contexts told, one row a model, context and measure.
INFORMATION: Schema = {
    "model_id": pl.String,
    "rung": pl.Int32,  # [number] in the order of the ladder
    "context": pl.String,  # what was told
    "measure": pl.String,  # information of told texts | answer probe | style cost
    "estimate": pl.Float64,  # [nats] mean over texts of how much likelier the context makes them
    "low": pl.Float64,  # [nats] lower end of its 95 % interval
    "high": pl.Float64,  # [nats] upper end of it
    "unit": pl.String,
    "n": pl.Int64,
    "texts": pl.Int64,  # [texts] that were read
    "tokens": pl.Float64,  # [tokens] mean length of a text
    "untold": pl.Float64,  # [nats] mean −log-probability behind the bare prompt: no context can tell more of an answer
    "from_few": pl.Float64,  # [share] share of the estimate that the twentieth of the texts with the most of it makes
    "left_out": pl.Int64,  # [texts] texts that do not fit the model's context behind one of the prompts
}

# Answers to the same problems on every rung, to be read side by side: one row a problem, model and rung.
LADDER_EXAMPLES: Schema = {
    **{k: PROBLEMS[k] for k in ("problem_id", "problem")},
    "gold": pl.String,
    "model_id": pl.String,
    "rung": pl.Int32,  # [number] in the order of the ladder
    "context": pl.String,  # what was told
    "solution": pl.String,  # the text that was told; null where nothing was
    "text": pl.String,
    "tokens": pl.Int32,  # [tokens] of the answer
    "doubts": pl.Int32,  # [words of doubt] in the answer
    "verdict": pl.String,
}
