"""Columns of what arms train on, and of what training measures."""

import polars as pl

from selfdistill.tables.schema import TOKENS, Schema

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
