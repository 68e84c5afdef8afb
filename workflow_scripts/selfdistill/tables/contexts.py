"""Columns of what is asked under a context: one row for every problem that was to be asked, also for those that were skipped."""

import polars as pl

from selfdistill.tables.schema import TOKENS, Schema

# What is asked under a context, one row for every problem that was to be asked, also for those that were skipped.
CONTEXT_PROMPTS: Schema = {
    "problem_id": pl.String,
    "outcome": pl.String,  # given, or why the problem was skipped: no correct sample | does not fit the context | …
    "solution": pl.String,  # the text in place of {solution}; null where the context has none, or none was found
    "solution_request_id": pl.String,  # the sample that it is; null where it is none of a model's
    "solution_tokens": pl.Int32,  # [tokens] of that text
    "prompt_tokens": pl.Int32,  # [tokens] null where there is no prompt
    "prompt_ids": TOKENS,  # [token ids] what the model reads; null where the problem was skipped
}
