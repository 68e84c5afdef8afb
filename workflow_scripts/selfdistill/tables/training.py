"""Columns of what arms train on, and of what training measures."""

import polars as pl

from selfdistill.tables.schema import TOKENS, Schema

# What an arm is shown, one row an example.
DATASET: Schema = {
    "request_id": pl.String,
    "model_id": pl.String,  # whose samples these are: one model's; reference: the dataset's own solutions
    "problem_id": pl.String,
    "prompt_ids": TOKENS,  # [token ids] of the prompt: no loss is taken on them
    "completion_ids": TOKENS,  # [token ids] that are learnt, as they were sampled
    "finish_class": pl.String,
    "verdict": pl.String,  # correct | wrong | unanswered
    "n_tokens": pl.Int32,  # [tokens] of the completion
}

# Of an arm with soft targets, what the base would have drawn at each token that is trained on: one row an example. In
# memory 8 bytes for each retained token and 4 for each token of a completion.
TARGETS: Schema = {
    "request_id": pl.String,
    "retained": pl.List(pl.Int32),  # [tokens] that the decode retains, at each token of the completion
    "token_ids": TOKENS,  # [token ids] the retained ones, rising, token after token of the completion
    "probabilities": pl.List(pl.Float32),  # [probability] under the base at the decode; they sum to 1 at each token
    "entropy": pl.Float64,  # [nats] summed over the completion: no loss can be lower
    "sampled_probability": pl.Float64,  # [probability] of the sampled tokens, summed over the completion
    "outside": pl.Int32,  # [tokens] sampled tokens that are not retained: ties that two programs break differently
}

# How a training went, one row a step.
RUN_LOG: Schema = {
    "step": pl.Int32,
    "loss": pl.Float64,  # [nats per token] mean over the supervised tokens
    "entropy": pl.Float64,  # [nats] entropy of the model's next-token distribution, mean over the supervised tokens
    "learning_rate": pl.Float64,  # [rate] of this step
    "grad_norm": pl.Float64,  # [gradient] of the whole step, before clipping
    "clip_coefficient": pl.Float64,  # [ratio] that the gradient was scaled by; 1 when the step was not clipped
    "tokens": pl.Int64,  # [tokens] supervised tokens in the step
    "sequences": pl.Int32,  # [sequences] in the step
    "effective_sequences": pl.Float64,  # [sequences] (Σ T_i)² / Σ T_i²: long sequences weigh more in a token mean
    "device_bytes": pl.Int64,  # [bytes] most memory in use on the device so far; of the process on a CPU
    "seconds": pl.Float64,  # [seconds] that the step took
}

# What the estimators of gradient noise need and nothing derived, one row a step, micro-batch and layer group.
NOISE: Schema = {
    "step": pl.Int32,
    "micro_batch": pl.Int32,  # [number] of the backward pass, from 0; -1: the whole step's gradient, before clipping
    "group": pl.String,  # layer group; the norms² of the groups of one gradient add up
    "tokens": pl.Int64,  # [tokens] supervised ones
    "sequences": pl.Int32,  # [sequences] of the pass, or of the step
    "norm_squared": pl.Float64,  # [gradient²] |δ_k|², δ_k = s_k / T exactly as the trainer accumulates it
    "adam_norm_squared": pl.Float64,  # [gradient²] Σ δ²/(√v̂+ε), v̂ of the step before; null where it was not measured
    "update_norm_squared": pl.Float64,  # [gradient²] Σ δ²/(√v̂+ε)²: of the update that Adam makes of it; null where it was not measured
}

# What a step did to the weights, one row a step and layer group. An update is what AdamW computed, before any rounding.
WEIGHTS: Schema = {
    "step": pl.Int32,
    "group": pl.String,
    "weights": pl.Int64,  # [weights] of the group
    "changed": pl.Int64,  # [weights] whose bf16 view differs from the step before
    "predicted_changed": pl.Float64,  # [weights] expected from rounding alone: sum of min(1, |update| / ulp)
    "changed_on_grid": pl.Int64,  # [weights] that would change if they were kept in bf16
    "update_norm_squared": pl.Float64,  # [weight²] of the step's update, before any rounding
    "kept_on_grid": pl.Float64,  # [weight²] Σ u·(u as weights kept in bf16 would round it): the share of u that they would keep
    "norm_squared": pl.Float64,  # [weight²] of the weights, after the step
    # The rest is of a sample of large models' weights, scaled up, and null at steps where it was not measured.
    "changed_since_start": pl.Float64,  # [weights] whose bf16 view differs from the base; null at steps where it was not measured
    "distance_norm_squared": pl.Float64,  # [weight²] from the base; null at steps where it was not measured
}

# Sizes of updates and distances, one row a step, layer group, quantity and power of two (of a sample of large models'
# weights).
HISTOGRAMS: Schema = {
    "step": pl.Int32,
    "group": pl.String,
    "quantity": pl.String,  # update | update_in_ulps | distance: of the step, the same in units of the last place, or from the base
    "exponent": pl.Int32,  # [power of 2] of sizes from 2^e up to 2^(e+1); null: exactly 0
    "count": pl.Int64,  # [weights] of that size
}

# How far steps lead, one row a window of steps and layer group (on a sample of the weights of large models).
COHERENCE: Schema = {
    "first_step": pl.Int32,
    "last_step": pl.Int32,
    "group": pl.String,
    "distance_norm_squared": pl.Float64,  # [weight²] |θ_after - θ_before|²
    "path_norm_squared": pl.Float64,  # [weight²] Σ |Δθ|²
}

# What the trainer's own model gives completions, one row a completion: the sampling engine must give the same.
TRAINED_LOGPROBS: Schema = {
    **{k: DATASET[k] for k in ("request_id", "prompt_ids", "completion_ids")},
    "log_probs": pl.List(pl.Float64),  # [nats] log-probability of each token of the completion, at temperature 1
    "precision": pl.String,  # float32 | bfloat16: of the trainer's arithmetic; its weights are float32
}
