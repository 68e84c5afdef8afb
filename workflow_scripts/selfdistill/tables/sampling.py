"""Columns of plans, of what was sampled by them, and of what grading made of it."""

import polars as pl

from selfdistill.tables.problems import PROBLEMS
from selfdistill.tables.schema import TOKENS, Schema

# The decode of a request travels in its plan row, so that a sampler needs the plan and the model and nothing else.
DECODE: Schema = {
    "temperature": pl.Float64,  # [temperature] of the decode; 0 takes the likeliest token
    "top_k": pl.Int32,  # [tokens] that are kept, the likeliest; 0: all
    "top_p": pl.Float64,  # [probability] of the smallest set of tokens that is kept; 1: all
    "min_p": pl.Float64,  # [share] of the likeliest token's probability that a token needs; 0: none
    "presence_penalty": pl.Float64,  # [logits] taken from every token that the completion holds already
}

MIXTURE = "mixture"
PRACTICE = "practice"

# What a model is to be asked, one row a completion that is wanted. The decode travels in the row, so that a sampler
# needs the plan and the model and nothing else.
PLAN: Schema = {
    "request_id": pl.String,
    "model_id": pl.String,
    "problem_id": pl.String,
    "purpose": pl.String,  # train | eval | mixture: answers beyond those of the budgets, for a mixture's levels alone | practice
    "decode_id": pl.String,
    "draw": pl.Int32,  # [number] of the answer to this problem at this decode, from 0
    "seed": pl.Int64,  # [seed] of this completion's random numbers, made of the request's name
    "shard": pl.Int32,  # [number] of the file and the process that samples it, from 0
    "prompt_ids": TOKENS,
    "max_tokens": pl.Int32,  # [tokens] a longer completion is cut
    **DECODE,
}

# What was sampled, one row a completion.
COMPLETIONS: Schema = {
    "request_id": pl.String,
    "token_ids": TOKENS,  # [token ids] exactly as sampled, with the end token when there was one
    "text": pl.String,  # what was written, without the end token
    "n_tokens": pl.Int32,  # [tokens] that were sampled, the end token among them
    "finish_reason": pl.String,  # stop | length | loop (only where the study aborts loops): why it ended
    "logprob": pl.Float64,  # [nats] sum over the sampled tokens, under the model at temperature 1
    "engine": pl.String,
    "engine_version": pl.String,
    "seconds": pl.Float64,  # [seconds] from its first token to its last, while others were sampled beside it
}

# What was sampled and what grading made of it, one row a completion. Every number of the report about answers is made
# of these rows.
GRADED: Schema = {
    **{k: PLAN[k] for k in ("request_id", "model_id", "problem_id", "purpose", "decode_id", "draw", "prompt_ids")},
    **{k: PROBLEMS[k] for k in ("source", "family", "level", "split", "rank")},
    **{k: COMPLETIONS[k] for k in ("token_ids", "text", "n_tokens", "finish_reason", "logprob")},
    **{k: COMPLETIONS[k] for k in ("engine", "engine_version", "seconds")},
    "gold": pl.String,
    "finish_class": pl.String,  # answered | no_answer | empty | cut | loop: how it ended
    "think_closed": pl.Boolean,  # whether the thought was closed
    "boxed": pl.Boolean,  # whether it answers in the asked format: a closed \boxed{}, or a last line of Answer:, after </think>
    "extracted": pl.String,
    "verdict": pl.String,  # correct | wrong | unanswered
    "reason": pl.String,  # how the verdict was reached: equal, different, unparsed, timeout, grader failed, cut, loop, …
    "strict": pl.String,  # what our own reader says: equal, different, unread, timeout, …; null when there is no answer
    "lenient": pl.String,  # what math-verify says with its own settings; null when it was not asked
    "disputed": pl.Boolean,  # both saw the answer; one says equal, the other different
    "grader": pl.String,  # version of the grader that judged it
    "loop_start": pl.Int32,  # [index] of the token where the loop begins; null when there is no loop
    "loop_period": pl.Int32,  # [tokens] that the loop repeats
    "loop_repeats": pl.Int32,  # [times] that it repeats them
    "counter_start": pl.Int32,  # [index] in the text where a counting loop begins; null when there is none, or a plain one was found
    "counter_period": pl.Int32,  # [characters] that it repeats, a number being one
    "counter_repeats": pl.Int32,  # [times] that it repeats them
    "other_format": pl.String,  # where a completion of the class no_answer answers otherwise: endings.py; else null
    "other_correct": pl.Boolean,  # whether that answer is right, which never counts; null without one
}

# What versions before them did not write: it is read as null.
LATER_GRADED = ("other_format", "other_correct")
