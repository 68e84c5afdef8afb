"""Columns of what is asked under a context: one row for every problem that was to be asked, also for those that were skipped."""

import polars as pl

from selfdistill.tables.schema import TOKENS, Schema

CONTEXT_PROMPTS: Schema = {
    "problem_id": pl.String,
    "outcome": pl.String,  # words.py: GIVEN, or why the problem was skipped
    "solution": pl.String,  # the text in place of {solution}; null where the context has none, or none was found
    "solution_request_id": pl.String,  # the sample that it is; null where it is none of a model's
    "solution_tokens": pl.Int32,
    "prompt_tokens": pl.Int32,  # null where there is no prompt
    "prompt_ids": TOKENS,  # null where the problem was skipped
}
