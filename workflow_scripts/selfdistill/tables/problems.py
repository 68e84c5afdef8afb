"""Columns of the tables of problems, and of their prompts."""

import polars as pl

from selfdistill.tables.schema import TOKENS, Schema

# The problems, one row a problem: cleaned, told apart, ranked. No training problem is too like an evaluation problem.
PROBLEMS: Schema = {
    "problem_id": pl.String,  # hash of the normalised text
    "source": pl.String,  # the source of the study file that it is from
    "family": pl.String,  # cluster of near-duplicates: the unit of resampling
    "level": pl.Int32,  # [level] of difficulty as its source has it: comparable within a source alone; null where it has none
    "problem": pl.String,  # its text
    "answer": pl.String,  # the right answer: the gold
    "split": pl.String,  # train | dev | test: choices are made on dev, results are reported on test
    "rank": pl.Int32,  # [rank] position in the one deterministic ranking, from 0; a budget of n is rank < n
}

# Training problems that are too like an evaluation problem, one row a pair.
CONTAMINATION: Schema = {
    "train_problem_id": pl.String,  # of the training problem that was dropped
    "eval_problem_id": pl.String,  # of the evaluation problem that it is too like
    "train_source": pl.String,  # source of the training problem
    "eval_source": pl.String,  # source of the evaluation problem
    "method": pl.String,  # exact | ngram | jaccard: which comparison found them
    "overlap": pl.Float64,  # [share] by that method; 1 where exact
    "answers_agree": pl.Boolean,  # whether both have the same answer
    "train_problem": pl.String,  # text of the training problem
    "eval_problem": pl.String,  # text of the evaluation problem
}

# What a model reads, one row a problem.
PROMPTS: Schema = {
    "problem_id": pl.String,
    "prompt_ids": TOKENS,  # [token ids] what the model reads: the study's wording inside the model's chat template
}

# The dataset's own solutions as what a model would have to write, one row a training problem that has one.
REFERENCES: Schema = {
    "problem_id": pl.String,
    "text": pl.String,  # the solution in the study's wording, without the end token
    "completion_ids": TOKENS,  # [token ids] what follows the prompt's ids, with the end token that closes a turn
    "ends_within": pl.Boolean,  # whether the text holds an end token of the model: it would be cut short there
}
