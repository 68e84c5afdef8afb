"""Columns of the tables of problems, and of their prompts."""

import polars as pl

from selfdistill.tables.schema import TOKENS, Schema

PROBLEMS: Schema = {
    "problem_id": pl.String,  # hash of the normalised text
    "source": pl.String,
    "family": pl.String,  # cluster of near-duplicates: the unit of resampling
    "level": pl.Int32,
    "problem": pl.String,
    "answer": pl.String,
    "split": pl.String,  # train | dev | test
    "rank": pl.Int32,  # position in the one deterministic ranking; a budget of n is `rank < n`
}

CONTAMINATION: Schema = {
    "train_problem_id": pl.String,
    "eval_problem_id": pl.String,
    "train_source": pl.String,
    "eval_source": pl.String,
    "method": pl.String,  # exact | ngram | jaccard
    "overlap": pl.Float64,
    "answers_agree": pl.Boolean,
    "train_problem": pl.String,
    "eval_problem": pl.String,
}

PROMPTS: Schema = {
    "problem_id": pl.String,
    "prompt_ids": TOKENS,  # the study's wording inside the model's chat template
}

# Of the training problems that have one, the dataset's own solution as what a model would have to write.
REFERENCES: Schema = {
    "problem_id": pl.String,
    "text": pl.String,  # in the study's wording, without the end token
    "completion_ids": TOKENS,  # what follows the prompt's ids, with the end token that closes a turn
    "ends_within": pl.Boolean,  # the text holds an end token of the model: it would be cut short there
}
