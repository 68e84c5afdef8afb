"""Every table of the pipeline: its schema, defined once, and the one reader and the one writer that check it.

A table is a Parquet file (zstd). `write_table` writes beside the target and renames, so that a half-written
table is never seen under its name; `read_table` refuses a damaged file or one of another schema with a sentence.
"""

import os
from pathlib import Path

import polars as pl

from selfdistill.errors import UserError

Schema = dict[str, pl.DataType | type[pl.DataType]]

TOKENS = pl.List(pl.Int32)

PROBLEMS: Schema = {
    "problem_id": pl.String,  # hash of the normalised text
    "source": pl.String,
    "family": pl.String,  # cluster of near-duplicates: the unit of resampling
    "level": pl.Int32,
    "problem": pl.String,
    "answer": pl.String,
    "split": pl.String,  # train | dev | test
    "rank": pl.Int32,  # position in the one deterministic ranking; a budget of n is `rank < n`
    "budgets": pl.List(pl.String),  # names of the budgets that hold this problem
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

# The decode of a request travels in its plan row, so that a sampler needs the plan and the model and nothing else.
DECODE: Schema = {
    "temperature": pl.Float64,
    "top_k": pl.Int32,  # 0: off
    "top_p": pl.Float64,
    "min_p": pl.Float64,
    "presence_penalty": pl.Float64,
}

PLAN: Schema = {
    "request_id": pl.String,
    "model_id": pl.String,
    "problem_id": pl.String,
    "purpose": pl.String,  # train | eval
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
    "finish_reason": pl.String,  # stop | length
    "logprob": pl.Float64,  # sum over the sampled tokens, under the model at temperature 1
    "engine": pl.String,
    "engine_version": pl.String,
    "seconds": pl.Float64,
}

GRADED: Schema = {
    **{k: PLAN[k] for k in ("request_id", "model_id", "problem_id", "purpose", "decode_id", "draw", "prompt_ids")},
    **{k: PROBLEMS[k] for k in ("source", "family", "level", "split", "rank")},
    **{k: COMPLETIONS[k] for k in ("token_ids", "text", "n_tokens", "finish_reason", "logprob", "engine_version")},
    "gold": pl.String,
    "finish_class": pl.String,  # answered | no_answer | cut | loop | empty
    "think_closed": pl.Boolean,
    "boxed": pl.Boolean,  # a closed \boxed{} after </think>
    "extracted": pl.String,  # null when there is no answer
    "verdict": pl.String,  # correct | wrong | unanswered
    "reason": pl.String,  # how the verdict was reached: equal, equivalent, different, unparsed, timeout, cut, loop, …
    "loop_start": pl.Int32,  # token index; null when there is no loop
    "loop_period": pl.Int32,
    "loop_repeats": pl.Int32,
}

DATASET: Schema = {
    "request_id": pl.String,
    "problem_id": pl.String,
    "prompt_ids": TOKENS,
    "completion_ids": TOKENS,
    "finish_class": pl.String,
    "verdict": pl.String,
    "n_tokens": pl.Int32,
}

RUN_LOG: Schema = {
    "step": pl.Int32,
    "loss": pl.Float64,
    "learning_rate": pl.Float64,
    "grad_norm": pl.Float64,  # before clipping
    "clip_coefficient": pl.Float64,  # 1 when the step was not clipped
    "tokens": pl.Int64,  # supervised tokens in the step
    "sequences": pl.Int32,
    "seconds": pl.Float64,
}

# One row per step, micro-batch and layer group: what the estimators of gradient noise need, and nothing derived.
NOISE: Schema = {
    "step": pl.Int32,
    "micro_batch": pl.Int32,  # -1: the whole step's gradient, before clipping
    "group": pl.String,  # layer group; the norms² of the groups of one gradient add up
    "tokens": pl.Int64,
    "sequences": pl.Int32,
    "norm_squared": pl.Float64,  # |δ_k|², δ_k = s_k / T exactly as the trainer accumulates it
}

# One row per step and layer group.
WEIGHTS: Schema = {
    "step": pl.Int32,
    "group": pl.String,
    "weights": pl.Int64,
    "changed": pl.Int64,  # bf16 view differs from the step before
    "predicted_changed": pl.Float64,  # expected from rounding alone: sum of min(1, |update| / ulp)
    "changed_since_start": pl.Int64,  # bf16 view differs from the base
    "update_norm_squared": pl.Float64,
    "distance_norm_squared": pl.Float64,  # from the base
}

# Every analysis table is long and tidy. Rows that compare two things name both; `unit` says what n counts.
ESTIMATES: Schema = {
    "estimand": pl.String,  # accuracy, cut_rate, mean_tokens, pass@4, accuracy difference, …
    "model_id": pl.String,
    "arm": pl.String,
    "training_seed": pl.Int64,  # null: no training, or pooled over seeds
    "percent": pl.Int32,  # share of training done; 0 for untrained weights
    "decode_id": pl.String,
    "against": pl.String,  # null for a level, else what it is compared with
    "against_decode_id": pl.String,
    "split": pl.String,  # dev | test | all
    "budget": pl.String,
    "estimate": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "method": pl.String,
    "unit": pl.String,
    "n": pl.Int64,
    "p_value": pl.Float64,
    "p_adjusted": pl.Float64,
}


def empty_table(schema: Schema) -> pl.DataFrame:
    return pl.DataFrame(schema=schema)


def conform(frame: pl.DataFrame, schema: Schema, name: str) -> pl.DataFrame:
    """The frame with exactly the schema's columns in its order, or a UserError that says what does not fit."""
    missing = [column for column in schema if column not in frame.columns]
    extra = [column for column in frame.columns if column not in schema]
    if missing or extra:
        raise UserError(
            f"{name}: its columns do not fit its schema (missing {missing or 'none'}, unknown {extra or 'none'}): "
            "delete the file and run again to make it anew."
        )
    try:
        return frame.select(pl.col(column).cast(dtype, strict=True) for column, dtype in schema.items())
    except (pl.exceptions.InvalidOperationError, pl.exceptions.ComputeError) as error:
        raise UserError(f"{name}: a column has the wrong type: {error}") from error


def write_table(frame: pl.DataFrame, path: str | Path, schema: Schema) -> None:
    path = Path(path)
    conformed = conform(frame, schema, str(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        conformed.write_parquet(part, compression="zstd")
        with open(part, "rb") as handle:
            os.fsync(handle.fileno())
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def read_table(path: str | Path, schema: Schema) -> pl.DataFrame:
    path = Path(path)
    if not path.exists():
        raise UserError(f"{path}: this table does not exist; ask snakemake for it by name to make it.")
    try:
        frame = pl.read_parquet(path)
    except Exception as error:  # polars raises many kinds for a damaged file
        raise UserError(
            f"{path}: this Parquet file cannot be read ({type(error).__name__}); it is damaged: "
            "delete it and run again, what the journal and the work folders hold is not lost."
        ) from error
    return conform(frame, schema, str(path))
