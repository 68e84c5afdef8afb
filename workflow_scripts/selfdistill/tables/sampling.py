"""Columns of plans, of what was sampled by them, and of what grading made of it."""

import polars as pl

from selfdistill.tables.problems import PROBLEMS
from selfdistill.tables.schema import TOKENS, Schema

# The decode of a request travels in its plan row, so that a sampler needs the plan and the model and nothing else.
DECODE: Schema = {
    "temperature": pl.Float64,
    "top_k": pl.Int32,  # 0: off
    "top_p": pl.Float64,
    "min_p": pl.Float64,
    "presence_penalty": pl.Float64,
}

MIXTURE = "mixture"
PRACTICE = "practice"

PLAN: Schema = {
    "request_id": pl.String,
    "model_id": pl.String,
    "problem_id": pl.String,
    "purpose": pl.String,  # train | eval | mixture: answers beyond those of the budgets, for a mixture's levels alone | practice
    "decode_id": pl.String,
    "draw": pl.Int32,
    "seed": pl.Int64,
    "shard": pl.Int32,
    "prompt_ids": TOKENS,
    "max_tokens": pl.Int32,
    **DECODE,
}

COMPLETIONS: Schema = {
    "request_id": pl.String,
    "token_ids": TOKENS,  # exactly as sampled, with the end token when there was one
    "text": pl.String,  # without the end token
    "n_tokens": pl.Int32,
    "finish_reason": pl.String,  # stop | length | loop (only where the study aborts loops)
    "logprob": pl.Float64,  # sum over the sampled tokens, under the model at temperature 1
    "engine": pl.String,
    "engine_version": pl.String,
    "seconds": pl.Float64,
}

GRADED: Schema = {
    **{k: PLAN[k] for k in ("request_id", "model_id", "problem_id", "purpose", "decode_id", "draw", "prompt_ids")},
    **{k: PROBLEMS[k] for k in ("source", "family", "level", "split", "rank")},
    **{k: COMPLETIONS[k] for k in ("token_ids", "text", "n_tokens", "finish_reason", "logprob")},
    **{k: COMPLETIONS[k] for k in ("engine", "engine_version", "seconds")},
    "gold": pl.String,
    "finish_class": pl.String,  # answered | no_answer | empty | cut | loop: endings.py
    "think_closed": pl.Boolean,
    "boxed": pl.Boolean,  # in the asked format: a closed \boxed{}, or a last line of Answer:, after </think>
    "extracted": pl.String,  # null when there is no answer
    "verdict": pl.String,  # correct | wrong | unanswered
    "reason": pl.String,  # how the verdict was reached: equal, different, unparsed, timeout, grader failed, cut, loop, …
    "strict": pl.String,  # what our own reader says: equal, different, unread, timeout, …; null when there is no answer
    "lenient": pl.String,  # what math-verify says with its own settings; null when it was not asked
    "disputed": pl.Boolean,  # both saw the answer; one says equal, the other different
    "grader": pl.String,  # version of the grader
    "loop_start": pl.Int32,  # token index; null when there is no loop
    "loop_period": pl.Int32,
    "loop_repeats": pl.Int32,
    "counter_start": pl.Int32,  # index in the text; null when there is no counting loop, or a plain one was found
    "counter_period": pl.Int32,  # characters, a number being one
    "counter_repeats": pl.Int32,
    "other_format": pl.String,  # where a completion of the class no_answer answers otherwise: endings.py; else null
    "other_correct": pl.Boolean,  # whether that answer is right, which never counts; null without one
}

# What versions before them did not write: it is read as null.
LATER_GRADED = ("other_format", "other_correct")
