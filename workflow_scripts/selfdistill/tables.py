"""Every table of the pipeline: its schema, defined once, and the reader and the writer that check whole ones.

A table is a Parquet file (zstd). `write_table` writes beside the target and renames, so that a half-written
table is never seen under its name; `read_table` refuses a damaged file or one of another schema with a sentence.
"""

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from selfdistill.errors import UserError
from selfdistill.files import whole_file

Schema = dict[str, pl.DataType | type[pl.DataType]]

TOKENS = pl.List(pl.Int32)
ROWS_TOGETHER = 4096  # rows of a row group, so that a long plan can be read a part at a time

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
    "model_id": pl.String,  # whose samples these are: one model's
    "problem_id": pl.String,
    "prompt_ids": TOKENS,
    "completion_ids": TOKENS,
    "finish_class": pl.String,
    "verdict": pl.String,
    "n_tokens": pl.Int32,
}

# For an arm with soft targets: what the base would have drawn at each token that is trained on. In memory 8 bytes for each
# retained token and 4 for each token of a completion.
TARGETS: Schema = {
    "request_id": pl.String,
    "retained": pl.List(pl.Int32),  # how many tokens the decode retains, at each token of the completion
    "token_ids": TOKENS,  # the retained ones, rising, token after token of the completion
    "probabilities": pl.List(pl.Float32),  # of these, under the base at the decode; they sum to 1 at each token
    "entropy": pl.Float64,  # nats, summed over the completion: no loss can be lower
    "sampled_probability": pl.Float64,  # of the sampled tokens, summed over the completion
    "outside": pl.Int32,  # sampled tokens that are not retained: ties that two programs break differently
}

RUN_LOG: Schema = {
    "step": pl.Int32,
    "loss": pl.Float64,
    "entropy": pl.Float64,  # of the model's next-token distribution, mean over the supervised tokens
    "learning_rate": pl.Float64,
    "grad_norm": pl.Float64,  # before clipping
    "clip_coefficient": pl.Float64,  # 1 when the step was not clipped
    "tokens": pl.Int64,  # supervised tokens in the step
    "sequences": pl.Int32,
    "effective_sequences": pl.Float64,  # (Σ T_i)² / Σ T_i²: long sequences weigh more in a token mean
    "device_bytes": pl.Int64,  # most memory in use on the device so far; of the process on a CPU
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
    "adam_norm_squared": pl.Float64,  # Σ δ²/(√v̂+ε), v̂ of the step before; null where it was not measured
    "update_norm_squared": pl.Float64,  # Σ δ²/(√v̂+ε)²
}

# One row per step and layer group. An update is what AdamW computed, before any rounding.
WEIGHTS: Schema = {
    "step": pl.Int32,
    "group": pl.String,
    "weights": pl.Int64,
    "changed": pl.Int64,  # bf16 view differs from the step before
    "predicted_changed": pl.Float64,  # expected from rounding alone: sum of min(1, |update| / ulp)
    "changed_on_grid": pl.Int64,  # would change if the weights were kept in bf16
    "update_norm_squared": pl.Float64,
    "kept_on_grid": pl.Float64,  # Σ u·(u as weights kept in bf16 would round it): the share of u that they would keep
    "norm_squared": pl.Float64,  # of the weights, after the step
    # The rest is of a sample of large models' weights, scaled up, and null at steps where it was not measured.
    "changed_since_start": pl.Float64,  # bf16 view differs from the base
    "distance_norm_squared": pl.Float64,  # from the base
}

# Sizes, one row per step, layer group, quantity and power of two (of a sample of large models' weights).
HISTOGRAMS: Schema = {
    "step": pl.Int32,
    "group": pl.String,
    "quantity": pl.String,  # update | update_in_ulps | distance (from the base)
    "exponent": pl.Int32,  # of sizes from 2^e up to 2^(e+1); null: exactly 0
    "count": pl.Int64,
}

# How far steps lead, one row per window of steps and layer group (on a sample of the weights of large models).
COHERENCE: Schema = {
    "first_step": pl.Int32,
    "last_step": pl.Int32,
    "group": pl.String,
    "distance_norm_squared": pl.Float64,  # |θ_after - θ_before|²
    "path_norm_squared": pl.Float64,  # Σ |Δθ|²
}

# What the trainer's own model gives completions, of each exported checkpoint: the sampling engine must give the same.
TRAINED_LOGPROBS: Schema = {
    **{k: DATASET[k] for k in ("request_id", "prompt_ids", "completion_ids")},
    "log_probs": pl.List(pl.Float64),  # of each token of the completion, at temperature 1
    "precision": pl.String,  # float32 | bfloat16: of the trainer's arithmetic; its weights are float32
}

# Gradient noise, one row per step and layer group ("total" is all). Ratios are left to the summary, which pools.
NOISE_STEPS: Schema = {
    "geometry": pl.String,  # euclidean | adam | update
    "step": pl.Int32,
    "group": pl.String,
    "micro_batches": pl.Int32,
    "tokens": pl.Int64,
    "sequences": pl.Int32,
    "step_norm_squared": pl.Float64,  # |g|², before clipping
    "micro_norms_squared": pl.Float64,  # Σ_k |δ_k|²
    "pair_sum": pl.Float64,  # Σ_{k≠l} s_k·s_l, the numerator of the pooled |G|²
    "pair_weight": pl.Float64,  # Σ_{k≠l} T_k T_l, its denominator; 0 for a step of one micro-batch
    "signal": pl.Float64,  # U_t: unbiased for |G|² of this step, often negative; null for a step of one micro-batch
}

# Gradient noise, one row per window of steps and layer group; the whole run is the window "run".
NOISE_SUMMARY: Schema = {
    "geometry": pl.String,  # euclidean | adam | update
    "window": pl.String,  # run | 1, 2, …
    "group": pl.String,
    "first_step": pl.Int32,
    "last_step": pl.Int32,
    "steps": pl.Int32,  # that hold at least two micro-batches
    "micro_batches": pl.Float64,  # mean per step
    "sequences": pl.Float64,  # mean per step: the batch
    "tokens": pl.Float64,
    "step_norm_squared": pl.Float64,  # mean |g|²
    "signal": pl.Float64,  # |G|²: a ratio of sums over the steps, never clipped at 0
    "signal_low": pl.Float64,
    "signal_high": pl.Float64,
    "trace_per_sequence": pl.Float64,  # tr Σ of one sequence
    "trace_per_token": pl.Float64,
    "signal_fraction": pl.Float64,  # f = |G|² / mean |g|²
    "signal_fraction_low": pl.Float64,
    "signal_fraction_high": pl.Float64,
    "momentum_fraction": pl.Float64,  # f of Adam's averaged direction; null when f is not positive
    "momentum_fraction_high": pl.Float64,
    "signal_to_noise": pl.Float64,  # ρ = |G|² / tr Σ per sequence: the interval lives here
    "signal_to_noise_low": pl.Float64,
    "signal_to_noise_high": pl.Float64,
    "noise_scale": pl.Float64,  # B_simple = 1/ρ in sequences; null: unbounded
    "noise_scale_low": pl.Float64,
    "noise_scale_high": pl.Float64,
    "noise_scale_text": pl.String,
    "noise_scale_lower_bound": pl.Float64,  # one-sided 95 %, bootstrap-t
    "noise_scale_tokens": pl.Float64,  # B_simple in tokens, which are not independent samples
    "detection_limit": pl.Float64,  # a noise scale above this could not have been told from no signal
    "effective_rank": pl.Float64,  # (tr Σ)² / tr Σ², from the scatter of the steps
    "signal_share": pl.Float64,  # of the total |G|², in this group
    "noise_share": pl.Float64,
    "autocorrelation": pl.Float64,  # of successive steps' signal; far from 0 the interval is too narrow
}

# Weight change, one row per step and layer group ("total" is all of them).
WEIGHT_CHANGE: Schema = {
    "step": pl.Int32,
    "group": pl.String,
    "weights": pl.Int64,
    "changed_fraction": pl.Float64,  # of weights whose bf16 value differs from the step before
    "predicted_fraction": pl.Float64,  # from rounding alone
    "changed_to_predicted": pl.Float64,  # near 1: rounding explains everything; null when nothing was predicted
    "on_grid_fraction": pl.Float64,  # that would have moved if the weights were kept in bf16
    "kept_in_bf16": pl.Float64,  # share of the update that weights kept in bf16 would have kept
    "changed_since_start_fraction": pl.Float64,  # null at steps where it was not measured
    "relative_update": pl.Float64,  # |update| / |weights|
    "relative_distance": pl.Float64,  # |weights - base| / |weights|; null likewise
}

# Whether the steps of a window add up, one row per window and layer group ("total" is all of them).
PATH_COHERENCE: Schema = {
    "first_step": pl.Int32,
    "last_step": pl.Int32,
    "steps": pl.Int32,
    "group": pl.String,
    "coherence": pl.Float64,  # C_N = |θ_{t+N} - θ_t|² / Σ |Δθ|²
    "of_noise": pl.Float64,  # C_N of pure noise under momentum
    "signal_fraction": pl.Float64,  # of the averaged direction: (C_N - of_noise) / (N - of_noise)
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

# Differences: ESTIMATES (the estimand is the name of the level that is compared), and what only a comparison has.
COMPARISONS: Schema = {
    **ESTIMATES,
    "comparison": pl.String,  # matched: the same decode on both sides | fair: each side at its best decode on dev
    "training_seeds": pl.Int64,  # how many trainings stand behind the row; 0 when nothing was trained
    "standard_error": pl.Float64,  # cluster-robust, of the paired difference
    "correlation": pl.Float64,  # of the two sides over problems; null where a side does not vary
    "mde80": pl.Float64,  # the true difference that n units find with 80 % power at the 5 % level
}

# Problems on which two sides disagree: gained (the arm is right where the other was wrong) or lost.
FLIPS: Schema = {
    **{k: COMPARISONS[k] for k in ("arm", "training_seed", "percent", "decode_id", "against", "against_decode_id")},
    **{k: COMPARISONS[k] for k in ("comparison", "split", "budget")},
    "problem_id": pl.String,
    "direction": pl.String,  # gained | lost
    "accuracy": pl.Float64,
    "against_accuracy": pl.Float64,
    "cut_rate": pl.Float64,
    "against_cut_rate": pl.Float64,
}

# One row per hypothesis of the analysis plan, and one per control.
VERDICTS: Schema = {
    "hypothesis": pl.String,
    "role": pl.String,  # hypothesis | control (untrained against untrained: should find nothing)
    "arm": pl.String,
    "against": pl.String,
    "comparison": pl.String,
    "decode_id": pl.String,
    "against_decode_id": pl.String,
    "family": pl.String,  # p-values are adjusted (Holm) within it
    "estimate": pl.Float64,  # difference in accuracy, a share
    "low": pl.Float64,
    "high": pl.Float64,
    "method": pl.String,
    "unit": pl.String,
    "n": pl.Int64,
    "training_seeds": pl.Int64,
    "p_value": pl.Float64,
    "p_adjusted": pl.Float64,
    "margin": pl.Float64,
    "equivalence_p": pl.Float64,  # TOST
    "equivalence_p_adjusted": pl.Float64,
    "mde80": pl.Float64,
    "n_needed": pl.Int64,  # units that would resolve a difference of the observed size; null: no number would
    "verdict": pl.String,  # improved | worse | equivalent within the margin | not resolved
    "sentence": pl.String,  # the verdict for a reader who sees only this line
    "estimand_line": pl.String,  # population, decoding rule, token cap, how unfinished answers count
}


def of_runs(schema: Schema) -> Schema:
    """The schema of a table that holds the rows of several training runs."""
    return {"run": pl.String, **schema}


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
    with whole_file(path) as part:
        conformed.write_parquet(part, compression="zstd", row_group_size=ROWS_TOGETHER)


def unreadable_table(path: str | Path, error: BaseException) -> UserError:
    return UserError(
        f"{path}: this Parquet file cannot be read ({type(error).__name__}); it is damaged: "
        "run again where it lies in a journal, else delete it and run again: journals and work folders keep what they hold."
    )


def read_table(path: str | Path, schema: Schema, columns: Sequence[str] = ()) -> pl.DataFrame:
    """The checked table; with `columns`, only those of its columns, so that heavy ones stay on disk."""
    path = Path(path)
    if not path.exists():
        raise UserError(f"{path}: this table does not exist; ask snakemake for it by name to make it.")
    try:
        frame = pl.read_parquet(path, columns=list(columns) or None)
    except Exception as error:  # polars raises many kinds for a damaged file
        raise unreadable_table(path, error) from error
    return conform(frame, {name: schema[name] for name in columns} or schema, str(path))
