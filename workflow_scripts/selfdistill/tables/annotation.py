"""Columns of what a language model is asked to judge, of what it said, and of how far that agrees with counted words."""

import polars as pl

from selfdistill.tables.sampling import COMPLETIONS, PLAN
from selfdistill.tables.schema import Schema

OF_ANSWER: Schema = {
    "answer_id": pl.String,  # the request of the answer that is judged
    "model_id": pl.String,  # whose answer it is
    "problem_id": pl.String,
    "family": pl.String,
    "decode_id": pl.String,
    "n_tokens": pl.Int32,
    "pass": pl.Int32,  # from 1
}

QUESTIONS: Schema = {
    **OF_ANSWER,
    "request_id": pl.String,  # of the judgement: a content key, as of any other request
    "judge": pl.String,
    "seed": pl.Int64,
    "prompt": pl.String,
    "answer": pl.String,
}

# The plan of a judge that an engine of ours samples; a sampler reads it as any other. `purpose` is annotation.
JUDGE_PLAN: Schema = PLAN

JUDGEMENTS: Schema = {
    **OF_ANSWER,
    **{k: QUESTIONS[k] for k in ("request_id", "judge", "prompt")},
    "engine": COMPLETIONS["engine"],
    "engine_version": COMPLETIONS["engine_version"],  # of a server: the model that it says it is
    "finish_reason": COMPLETIONS["finish_reason"],
    "reply": pl.String,
    "parse": pl.String,  # as asked | repaired | refused, not guessed
    "detail": pl.String,  # what was repaired, or why it was refused; null where it is as asked
    "counts": pl.String,  # JSON, by kind; null where refused
    "judged": pl.Int64,  # their sum
    "markers": pl.Int64,  # words of doubt counted in the same answer
}

ANNOTATION: Schema = {
    "model_id": pl.String,
    "measure": pl.String,
    "estimate": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "method": pl.String,
    "unit": pl.String,  # what n counts
    "n": pl.Int32,
}
