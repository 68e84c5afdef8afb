"""Columns of what a language model is asked to judge, of what it said, and of how far that agrees with counted words."""

import polars as pl

from selfdistill.tables.sampling import COMPLETIONS, PLAN
from selfdistill.tables.schema import Schema

OF_ANSWER: Schema = {
    "answer_id": pl.String,  # the request_id of the answer that is judged
    "model_id": pl.String,  # whose answer it is
    "problem_id": pl.String,
    "family": pl.String,
    "decode_id": pl.String,
    "n_tokens": pl.Int32,  # [tokens] of that answer
    "pass": pl.Int32,  # [number] how many times it was judged by then, from 1
}

# What a judge is asked, one row an answer and pass.
QUESTIONS: Schema = {
    **OF_ANSWER,
    "request_id": pl.String,  # of the judgement: a content key, as of any other request
    "judge": pl.String,  # the judge's model, with its server where it has one
    "seed": pl.Int64,  # [seed] of the judgement
    "prompt": pl.String,  # what the judge is asked: the rubric's wording with problem and answer
    "answer": pl.String,  # text of the answer that is judged
}

# The plan of a judge that an engine of ours samples, one row a question; a sampler reads it as any other. `purpose` is
# annotation.
JUDGE_PLAN: Schema = PLAN

# What the judge said, one row an answer and pass.
JUDGEMENTS: Schema = {
    **OF_ANSWER,
    **{k: QUESTIONS[k] for k in ("request_id", "judge", "prompt")},
    "engine": COMPLETIONS["engine"],
    "engine_version": COMPLETIONS[
        "engine_version"
    ],  # of a server: the model that it says it is; of a plugin: its version
    "finish_reason": COMPLETIONS["finish_reason"],
    "reply": pl.String,  # what the judge wrote
    "parse": pl.String,  # as asked | repaired | refused, not guessed: how the reply was read
    "detail": pl.String,  # what was repaired, or why it was refused; null where it is as asked
    "counts": pl.String,  # JSON, by kind; null where refused
    "judged": pl.Int64,  # [places] sum of the counts: the judged uncertainty; null where refused
    "markers": pl.Int64,  # [words of doubt] counted in the same answer
}

# What the judgements say and how far they agree with counted words and with themselves, one row a model and measure.
ANNOTATION: Schema = {
    "model_id": pl.String,
    "measure": pl.String,  # judged uncertainty | words of doubt | their agreement | …
    "estimate": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "method": pl.String,
    "unit": pl.String,  # what n counts
    "n": pl.Int32,
}
