"""Columns of the tidy tables that the report is made of.

Every one is long. Rows that compare two things name both; `unit` says what n counts. The words that stand in them are in
`words.py`.
"""

import polars as pl

from selfdistill.tables.schema import Schema

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
    "mean_loss_norm_squared": pl.Float64,  # mean over micro-batches of |∇ of their own mean loss|²
    "pair_sum": pl.Float64,  # Σ_{k≠l} s_k·s_l, the numerator of the pooled |G|²
    # Σ_{k≠l} T_k T_l, its denominator, T being tokens, or sequences where the loss is their mean; 0 with one micro-batch
    "pair_weight": pl.Float64,
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
    "detection_limit": pl.Float64,  # the largest noise scale that is told from no signal with 80 % power
    "effective_rank": pl.Float64,  # (tr Σ)² / tr Σ², from the scatter of the steps
    "signal_share": pl.Float64,  # of the total |G|², in this group
    "noise_share": pl.Float64,
    "autocorrelation": pl.Float64,  # of successive steps' signal; far from 0 the interval is too narrow
    # As is often done from the same log: two batch sizes, all sequences taken for equally long. Off, and without an interval.
    "two_batch_signal": pl.Float64,
    "two_batch_trace": pl.Float64,  # per sequence
    "two_batch_noise_scale": pl.Float64,  # null: not positive
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
    "estimand": pl.String,  # accuracy, cut_rate, mean_tokens, pass@4, interaction, …
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

# What a paired difference has beside its estimate.
PAIRED: Schema = {
    "claim": pl.String,  # these checkpoints | the method
    "training_seeds": pl.Int64,  # how many trainings stand behind the row; 0 when nothing was trained
    "standard_error": pl.Float64,  # of the claim: cluster-robust over problems, with the variance between trainings for the method
    "degrees_of_freedom": pl.Float64,
    "mde80": pl.Float64,  # the true difference found with 80 % power, at the level that the row's smallest p would have to beat
}

# Differences: ESTIMATES (the estimand is the name of the level that is compared), and what only a comparison has.
COMPARISONS: Schema = {
    **ESTIMATES,
    "comparison": pl.String,  # matched: one decode | fair: each side's best on dev | decoding alone: the base twice
    **PAIRED,
    "leads": pl.Boolean,  # over all trainings, and of the strongest claim that they allow: the row that verdicts rest on
    "correlation": pl.Float64,  # of the two sides over problems; null where a side does not vary
    "level": pl.Float64,  # of the side by itself
    "against_level": pl.Float64,
    "boxed_rate": pl.Float64,  # share of the side's answers in the asked form
    "against_boxed_rate": pl.Float64,
    "chosen": pl.String,  # of fair comparisons: how often resampled dev problems choose each decode
    "against_chosen": pl.String,
    "gained": pl.Float64,  # of a share: the mean gain and loss by problem, and the single pairs that tell as much
    "lost": pl.Float64,
    "pairs": pl.Float64,
    "band_low": pl.Float64,  # along the checkpoints of one training: a band that holds for all of them at once
    "band_high": pl.Float64,
}

# The 2×2: ESTIMATES and what a difference has.
EFFECTS: Schema = {**ESTIMATES, **PAIRED}

# Where the error of a paired difference comes from: of each comparison at the end of training one row per part. With the
# design that the row names, and the formula of `statistics/components.py`, the parts give the squared standard error.
VARIANCE: Schema = {
    **{k: COMPARISONS[k] for k in ("estimand", "arm", "decode_id", "against", "against_decode_id", "comparison")},
    **{k: COMPARISONS[k] for k in ("split", "budget")},
    "part": pl.String,  # between trainings | between problems | … : words.py
    "of": pl.String,  # the arm | the other side | both sides
    "variance": pl.Float64,  # unbiased, so that it may be below 0; null: this study cannot tell
    "low": pl.Float64,
    "high": pl.Float64,
    "how": pl.String,  # estimated | assumed … | unknown … : words.py
    "adds": pl.Float64,  # to the squared standard error of this design, of the method for the trainings
    "problems": pl.Int64,
    "families": pl.Float64,  # that the degrees of freedom of the error count
    "family_size": pl.Float64,  # of the family that a problem is in, on average over problems
    "noises": pl.List(pl.Int32),  # of each answer to a problem the number of its noise, of all trainings of the arm
    "against_noises": pl.List(pl.Int32),
    "trainings": pl.Int64,
    "against_trainings": pl.Int64,
    "coupled": pl.Boolean,  # whether equal numbers are the same noise on both sides
    "tells_draws": pl.Boolean,  # no: one draw on both sides, counted with the problems
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

# What it would take to settle a hypothesis at its margin, of the verdicts; null: no number would, or nobody can tell.
SETTLING: Schema = {
    "settle_problems": pl.Int64,  # in all, with these draws and trainings
    "settle_draws": pl.Int64,  # times as many of both sides, of these problems
    "settle_trainings": pl.Int64,  # with these problems and draws
    "mix_problems": pl.Int64,  # of the mix that costs least
    "mix_draws": pl.Int64,  # answers to each problem, of each training
    "mix_against_draws": pl.Int64,
    "mix_trainings": pl.Int64,
    "mix_tokens": pl.Float64,  # of answers, and of trainings beyond those that there were
    "spent_tokens": pl.Float64,  # of the answers of this comparison
    "settling": pl.String,  # all of it for a reader
}

# One row per hypothesis of the analysis plan, and one per control.
VERDICTS: Schema = {
    "hypothesis": pl.String,
    "role": pl.String,  # hypothesis | control (untrained against untrained: should find nothing)
    "question": pl.String,  # different | not_worse
    **{
        k: COMPARISONS[k]
        for k in ("arm", "against", "comparison", "decode_id", "against_decode_id", "estimand", "claim")
    },
    "family": pl.String,  # p-values are adjusted (Holm) within it
    **{k: COMPARISONS[k] for k in ("estimate", "low", "high", "method", "unit", "n", "training_seeds")},
    **{k: COMPARISONS[k] for k in ("standard_error", "degrees_of_freedom", "gained", "lost", "pairs")},
    **{
        k: COMPARISONS[k]
        for k in ("level", "against_level", "boxed_rate", "against_boxed_rate", "chosen", "against_chosen")
    },
    "p_value": pl.Float64,  # of the question that was asked
    "p_adjusted": pl.Float64,
    "margin": pl.Float64,
    "equivalence_p": pl.Float64,  # TOST
    "equivalence_p_adjusted": pl.Float64,
    "alpha": pl.Float64,  # Holm's first step: the level that the smallest p of the family must beat
    "mde80": pl.Float64,  # the true difference found at that level with 80 % power
    "verdict": pl.String,  # improved | worse | equivalent within the margin | not resolved | … : words.py
    "sentence": pl.String,  # the verdict for a reader who sees only this line
    "estimand_line": pl.String,  # population, decoding rule, token cap, how unfinished answers count
    **SETTLING,
}

# Where a study has looks, one row per hypothesis: how it was judged at its latest look.
LOOKS: Schema = {
    "hypothesis": pl.String,
    "family": pl.String,
    "look": pl.Int32,  # from 1
    "looks": pl.Int32,
    "problems": pl.Int64,  # of that look, dev and test
    "problems_of_all_looks": pl.Int64,
    "information": pl.Float64,  # families of test problems, as a share of those of the last look
    "p_value": pl.Float64,
    "p_of_looks": pl.Float64,  # the level, over all looks, at which this look just finds a difference; Holm takes it
    "bar": pl.Float64,  # what p_value must be below at this look, after Holm
    "equivalence_p": pl.Float64,
    "equivalence_p_of_looks": pl.Float64,
    "equivalence_bar": pl.Float64,
    "interval_level": pl.Float64,  # at this look, so that the intervals of all looks cover together in 95 %
    "chance": pl.Float64,  # of a verdict at the last look, under the truth most favourable to one; null at that look
    "verdict": pl.String,
    "state": pl.String,  # goes on | settled | given up | last look
    "sentence": pl.String,
}

# Truncation as missing data, finished arms against the base at one decode: where a difference in accuracy comes from. Rows
# without `against` are of one model.
TRUNCATION: Schema = {
    **{
        k: COMPARISONS[k] for k in ("estimand", "model_id", "arm", "percent", "decode_id", "against", "split", "budget")
    },
    "base_answer": pl.String,  # was cut | finished and was wrong | finished and was right; null: all
    **{
        k: COMPARISONS[k]
        for k in ("estimate", "low", "high", "standard_error", "method", "unit", "n", "training_seeds")
    },
}

# The same answers under smaller token caps: accuracy and the share of cut answers, of each model and as a difference.
TOKEN_BUDGETS: Schema = {
    **{k: TRUNCATION[k] for k in ("estimand", "model_id", "arm", "percent", "decode_id", "against", "split", "budget")},
    "cap": pl.Int32,  # tokens; an answer counts if it is shorter
    **{k: TRUNCATION[k] for k in ("estimate", "low", "high")},  # of this cap alone
    "band_low": pl.Float64,  # of all caps at once; null for one model
    "band_high": pl.Float64,
    **{k: TRUNCATION[k] for k in ("method", "unit", "n", "training_seeds")},
}

# Effects by kind of problem: COMPARISONS of accuracy within a group, and whether the groups of a grouping differ.
DIFFICULTY: Schema = {
    **COMPARISONS,
    "grouping": pl.String,  # by the base's solve rate | by level | by source
    "group": pl.String,
    "problems": pl.Float64,  # in the group; by the solve rate, a problem is in each with the share of the splits that put it there
    "groups_p": pl.Float64,  # Welch's test that the effect is the same in all groups of this grouping, arm and decode
    "groups_p_adjusted": pl.Float64,  # Benjamini–Hochberg over all of these tests
}

# pass@k and maj@k of finished models: ESTIMATES of the reported split and the widest budget.
SOLVING: Schema = {**ESTIMATES, "k": pl.Int32, "draws": pl.Int32}

# How the grader fares with each arm: COMPARISONS of its rates, and bounds of the effect on accuracy.
GRADER: Schema = COMPARISONS

# Which answer is behind a row of the audit's sheet. Not for who fills it.
AUDIT_KEY: Schema = {
    "row": pl.String,
    "request_id": pl.String,
    "side": pl.String,  # base or an arm
    "kind": pl.String,  # what the grader made of it
    "answers": pl.Int64,  # in the stratum (side and kind)
    "weight": pl.Float64,  # answers of the stratum for each of its rows on the sheet
}

# What the audit found in each stratum. No row before the sheet is filled.
GRADER_ERRORS: Schema = {
    "side": pl.String,
    "kind": pl.String,
    "answers": pl.Int64,
    "share": pl.Float64,  # of all answers of the side
    "audited": pl.Int64,  # rows with yes or no
    "unclear": pl.Int64,
    "wrongly_credited": pl.Int64,
    "wrongly_refused": pl.Int64,
    "error_rate": pl.Float64,
    "low": pl.Float64,  # Wilson
    "high": pl.Float64,
}

# Effects on accuracy with the grader's errors taken out. No row before the sheet is filled.
CORRECTED: Schema = {
    "arm": pl.String,
    "against": pl.String,
    "decode_id": pl.String,  # or all final decodes
    "split": pl.String,
    "budget": pl.String,
    "graded": pl.Float64,  # the difference as the grader has it
    "graded_low": pl.Float64,
    "graded_high": pl.Float64,
    "estimate": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "standard_error": pl.Float64,
    "degrees_of_freedom": pl.Float64,
    "worst": pl.Float64,  # if whatever the audit left open were against the arm
    "worst_low": pl.Float64,
    "best": pl.Float64,
    "best_high": pl.Float64,
    "audited": pl.Int64,  # rows of both sides
}

# What the user's own analyses give: one row per cell of their tables, which have columns of their own.
PLUGGED: Schema = {
    "analysis": pl.String,  # its name in the plugin
    "digest": pl.String,  # of the plugin's file
    "row": pl.Int32,  # from 0
    "column": pl.String,
    "text": pl.String,  # of a column of text, or of true and false
    "number": pl.Float64,  # of a column of numbers
    "whole": pl.Boolean,  # whether those are whole numbers
}
