"""Columns of the tidy tables that the report is made of.

Every one is long. Rows that compare two things name both; `unit` says what n counts. The words that stand in them are in
`words.py`.
"""

import polars as pl

from selfdistill.tables.schema import Schema

# Gradient noise of every training, one row a step, geometry and layer group. Ratios are left to the summary, which
# pools.
NOISE_STEPS: Schema = {
    "geometry": pl.String,  # euclidean | adam | update: how a gradient's length is taken: plain, in Adam's own norm, or of Adam's update
    "step": pl.Int32,
    "group": pl.String,
    "micro_batches": pl.Int32,  # [backward passes] of this step
    "tokens": pl.Int64,  # [tokens] supervised, in this step
    "sequences": pl.Int32,  # [sequences] of this step
    "step_norm_squared": pl.Float64,  # [gradient²] |g|², before clipping
    "micro_norms_squared": pl.Float64,  # [gradient²] Σ_k |δ_k|²
    "mean_loss_norm_squared": pl.Float64,  # [gradient²] mean over micro-batches of |∇ of their own mean loss|²
    "pair_sum": pl.Float64,  # [gradient² × tokens²] Σ_{k≠l} s_k·s_l, the numerator of the pooled |G|²
    "pair_weight": pl.Float64,  # [tokens², or sequences²] Σ_{k≠l} T_k T_l, its denominator, T being sequences where the loss is their mean; 0 with one micro-batch
    "signal": pl.Float64,  # [gradient²] U_t: unbiased for |G|² of this step, often negative; null for a step of one micro-batch
}

# Gradient noise of every training, one row a window of steps, geometry and layer group; the whole run is the window
# "run".
NOISE_SUMMARY: Schema = {
    "geometry": pl.String,  # euclidean | adam | update: how a gradient's length is taken: plain, in Adam's own norm, or of Adam's update
    "window": pl.String,  # run | 1, 2, …: the whole run, or one of the windows that it is cut into
    "group": pl.String,
    "first_step": pl.Int32,
    "last_step": pl.Int32,
    "steps": pl.Int32,  # [steps] that hold at least two micro-batches
    "micro_batches": pl.Float64,  # [backward passes] mean per step
    "sequences": pl.Float64,  # [sequences] mean per step: the batch
    "tokens": pl.Float64,  # [tokens] supervised, mean per step
    "step_norm_squared": pl.Float64,  # [gradient²] mean |g|²
    "signal": pl.Float64,  # [gradient²] |G|²: a ratio of sums over the steps, never clipped at 0
    "signal_low": pl.Float64,  # [gradient²] lower end of the signal's 95 % interval
    "signal_high": pl.Float64,  # [gradient²] upper end of it
    "trace_per_sequence": pl.Float64,  # [gradient² × sequences] tr Σ of one sequence
    "trace_per_token": pl.Float64,  # [gradient² × tokens] tr Σ of one token
    "signal_fraction": pl.Float64,  # [share] f = |G|² / mean |g|²
    "signal_fraction_low": pl.Float64,  # [share] lower end of its 95 % interval
    "signal_fraction_high": pl.Float64,  # [share] upper end of it
    "momentum_fraction": pl.Float64,  # [share] f of Adam's averaged direction; null when f is not positive
    "momentum_fraction_high": pl.Float64,  # [share] upper end of its 95 % interval
    "signal_to_noise": pl.Float64,  # [1/sequences] ρ = |G|² / tr Σ per sequence: the interval lives here
    "signal_to_noise_low": pl.Float64,  # [1/sequences] lower end of its 95 % interval
    "signal_to_noise_high": pl.Float64,  # [1/sequences] upper end of it
    "noise_scale": pl.Float64,  # [sequences] B_simple = 1/ρ; null: unbounded
    "noise_scale_low": pl.Float64,  # [sequences] lower end of its 95 % interval
    "noise_scale_high": pl.Float64,  # [sequences] upper end of it; null: unbounded
    "noise_scale_text": pl.String,  # the noise scale and its interval, for a reader
    "noise_scale_lower_bound": pl.Float64,  # [sequences] one-sided 95 %, bootstrap-t
    "noise_scale_tokens": pl.Float64,  # [tokens] B_simple in tokens, which are not independent samples
    "detection_limit": pl.Float64,  # [sequences] the largest noise scale that is told from no signal with 80 % power
    "effective_rank": pl.Float64,  # [directions] (tr Σ)² / tr Σ², from the scatter of the steps
    "signal_share": pl.Float64,  # [share] of the total |G|², in this group
    "noise_share": pl.Float64,  # [share] of the total tr Σ, in this group
    "autocorrelation": pl.Float64,  # [correlation] of successive steps' signal; far from 0 the interval is too narrow
    "two_batch_signal": pl.Float64,  # [gradient²] the signal as is often taken from the same log: two batch sizes, sequences taken for equally long; off, and without an interval
    "two_batch_trace": pl.Float64,  # [gradient² × sequences] by the same shortcut, per sequence
    "two_batch_noise_scale": pl.Float64,  # [sequences] by the same shortcut; null: not positive
}

# Weights changed by every training, one row a step and layer group.
WEIGHT_CHANGE: Schema = {
    "step": pl.Int32,
    "group": pl.String,
    "weights": pl.Int64,  # [weights] of the group
    "changed_fraction": pl.Float64,  # [share] of weights whose bf16 value differs from the step before
    "predicted_fraction": pl.Float64,  # [share] of weights that would change from rounding alone
    "changed_to_predicted": pl.Float64,  # [ratio] near 1: rounding explains everything; null when nothing was predicted
    "on_grid_fraction": pl.Float64,  # [share] of weights that would have moved if they were kept in bf16
    "kept_in_bf16": pl.Float64,  # [share] of the update that weights kept in bf16 would have kept
    "changed_since_start_fraction": pl.Float64,  # [share] of weights whose bf16 value differs from the base's; null at steps where it was not measured
    "relative_update": pl.Float64,  # [ratio] |update| / |weights|
    "relative_distance": pl.Float64,  # [ratio] |weights - base| / |weights|; null at steps where it was not measured
}

# Whether the steps of a window add up, one row a window of steps and layer group.
PATH_COHERENCE: Schema = {
    "first_step": pl.Int32,
    "last_step": pl.Int32,
    "steps": pl.Int32,  # [steps] of the window
    "group": pl.String,
    "coherence": pl.Float64,  # [ratio] C_N = |θ_{t+N} - θ_t|² / Σ |Δθ|²
    "of_noise": pl.Float64,  # [ratio] C_N of pure noise under momentum
    "signal_fraction": pl.Float64,  # [share] of the averaged direction: (C_N - of_noise) / (N - of_noise)
}

# How each model does by itself, one row an estimand, model, decode, split and budget. Tables of differences have the
# same columns: rows that compare two things name both, and `unit` says what n counts.
ESTIMATES: Schema = {
    "estimand": pl.String,  # what is estimated: accuracy, cut_rate, mean_tokens, pass@4, interaction, …
    "model_id": pl.String,
    "arm": pl.String,
    "training_seed": pl.Int64,  # [seed] of the training; null: nothing was trained, or pooled over seeds
    "percent": pl.Int32,  # [% of training] share of training done; 0 for untrained weights
    "decode_id": pl.String,
    "against": pl.String,  # null for a level, else the model or arm that it is compared with
    "against_decode_id": pl.String,  # null for a level, else the decode of the other side
    "split": pl.String,
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
    "claim": pl.String,  # these checkpoints | the method: what the interval speaks of
    "training_seeds": pl.Int64,  # [trainings] how many trainings stand behind the row; 0 when nothing was trained
    "standard_error": pl.Float64,  # [the estimand's] standard error of the claim: cluster-robust over problems, with the variance between trainings for the method
    "degrees_of_freedom": pl.Float64,  # [number] degrees of freedom of the t law that the interval takes
    "mde80": pl.Float64,  # [the estimand's] the true difference found with 80 % power, at the level that the row's smallest p would have to beat
}

# Paired differences by problem, one row an estimand, pair of sides, split and budget. The estimand is the name of the
# level that is compared.
COMPARISONS: Schema = {
    **ESTIMATES,
    "comparison": pl.String,  # matched: one decode | fair: each side's best on dev | decoding alone: the base twice
    **PAIRED,
    "leads": pl.Boolean,  # over all trainings, and of the strongest claim that they allow: the row that verdicts rest on
    "correlation": pl.Float64,  # [correlation] of the two sides over problems; null where a side does not vary
    "level": pl.Float64,  # [the estimand's] of the arm's side by itself
    "against_level": pl.Float64,  # [the estimand's] of the other side by itself
    "boxed_rate": pl.Float64,  # [share] of the side's answers in the asked form
    "against_boxed_rate": pl.Float64,  # [share] of the other side's answers in the asked form
    "chosen": pl.String,  # of fair comparisons: how often resampled dev problems choose each decode
    "against_chosen": pl.String,  # the same of the other side
    "gained": pl.Float64,  # [share] where the estimand is a share: what was gained, the mean over problems of the difference where it is above 0
    "lost": pl.Float64,  # [share] where the estimand is a share: what was lost, the same where it is below 0
    "pairs": pl.Float64,  # [pairs] single pairs of one answer each that would tell as much as gained and lost do
    "band_low": pl.Float64,  # [the estimand's] along the checkpoints of one training: lower edge of a band that holds for all of them at once
    "band_high": pl.Float64,  # [the estimand's] upper edge of that band
}

# The 2×2 of decode and filter, one row an effect, outcome and training.
EFFECTS: Schema = {**ESTIMATES, **PAIRED}

# Where the error of a paired difference comes from, one row a part of each comparison at the end of training. With the
# design that the row names, and the formula of `statistics/components.py`, the parts give the squared standard error.
VARIANCE: Schema = {
    **{k: COMPARISONS[k] for k in ("estimand", "arm", "decode_id", "against", "against_decode_id", "comparison")},
    **{k: COMPARISONS[k] for k in ("split", "budget")},
    "part": pl.String,  # between trainings | between problems | …: which part of the variance
    "of": pl.String,  # the arm | the other side | both sides: whose part it is
    "variance": pl.Float64,  # [the estimand's²] unbiased, so that it may be below 0; null: this study cannot tell
    "low": pl.Float64,
    "high": pl.Float64,
    "how": pl.String,  # estimated | assumed … | unknown …: how the part is known
    "adds": pl.Float64,  # [the estimand's²] what the part adds to the squared standard error of this design, of the method for the trainings
    "problems": pl.Int64,  # [problems] of both sides
    "families": pl.Float64,  # [families] that the degrees of freedom of the error count
    "family_size": pl.Float64,  # [problems] of the family that a problem is in, on average over problems
    "noises": pl.List(
        pl.Int32
    ),  # [number] the noise that each answer to a problem was drawn with, of all trainings of the arm
    "against_noises": pl.List(pl.Int32),  # [number] the same of the other side
    "trainings": pl.Int64,  # [trainings] of the arm
    "against_trainings": pl.Int64,  # [trainings] of the other side
    "coupled": pl.Boolean,  # whether equal numbers are the same noise on both sides
    "tells_draws": pl.Boolean,  # whether draws are told apart from problems; no: one draw on both sides, counted with the problems
}

# Problems on which two sides disagree, one row a problem and comparison.
FLIPS: Schema = {
    **{k: COMPARISONS[k] for k in ("arm", "training_seed", "percent", "decode_id", "against", "against_decode_id")},
    **{k: COMPARISONS[k] for k in ("comparison", "split", "budget")},
    "problem_id": pl.String,
    "direction": pl.String,  # gained | lost: the arm is right where the other was wrong, or the other way round
    "accuracy": pl.Float64,  # [share] of the arm's answers to the problem that are right
    "against_accuracy": pl.Float64,  # [share] of the other side's
    "cut_rate": pl.Float64,  # [share] of the arm's answers to the problem that did not end by themselves
    "against_cut_rate": pl.Float64,  # [share] of the other side's
}

# What it would take to settle a hypothesis at its margin, of the verdicts; null: no number would, or nobody can tell.
SETTLING: Schema = {
    "settle_problems": pl.Int64,  # [problems] in all, with these draws and trainings
    "settle_draws": pl.Int64,  # [times] as many draws of both sides, of these problems
    "settle_trainings": pl.Int64,  # [trainings] of the arm, with these problems and draws
    "mix_problems": pl.Int64,  # [problems] of the mix that costs least
    "mix_draws": pl.Int64,  # [answers] to each problem, of each training, in that mix
    "mix_against_draws": pl.Int64,  # [answers] to each problem of the other side, in that mix
    "mix_trainings": pl.Int64,  # [trainings] of the arm, in that mix
    "mix_tokens": pl.Float64,  # [tokens] that the mix costs: of answers, and of trainings beyond those that there were
    "spent_tokens": pl.Float64,  # [tokens] of the answers of this comparison
    "settling": pl.String,  # all of it for a reader
}

# What became of the analysis plan, one row a hypothesis and a control.
VERDICTS: Schema = {
    "hypothesis": pl.String,  # its name in the study file
    "role": pl.String,  # hypothesis | control (untrained against untrained: should find nothing)
    "question": pl.String,  # different | not_worse: what the hypothesis asks
    **{
        k: COMPARISONS[k]
        for k in ("arm", "against", "comparison", "decode_id", "against_decode_id", "estimand", "claim")
    },
    "family": pl.String,  # of hypotheses: p-values are adjusted (Holm) within it
    **{k: COMPARISONS[k] for k in ("estimate", "low", "high", "method", "unit", "n", "training_seeds")},
    **{k: COMPARISONS[k] for k in ("standard_error", "degrees_of_freedom", "gained", "lost", "pairs")},
    **{
        k: COMPARISONS[k]
        for k in ("level", "against_level", "boxed_rate", "against_boxed_rate", "chosen", "against_chosen")
    },
    "p_value": pl.Float64,  # [probability] of the question that was asked
    "p_adjusted": pl.Float64,  # [probability] after Holm, within the family
    "margin": pl.Float64,  # [the estimand's] differences smaller than this count as equivalent
    "equivalence_p": pl.Float64,  # [probability] of two one-sided tests (TOST) at the margin
    "equivalence_p_adjusted": pl.Float64,  # [probability] after Holm, within the family
    "alpha": pl.Float64,  # [probability] Holm's first step: the level that the smallest p of the family must beat
    "mde80": pl.Float64,  # [the estimand's] the true difference found at that level with 80 % power
    "verdict": pl.String,  # improved | worse | equivalent within the margin | not resolved | …
    "sentence": pl.String,  # the verdict for a reader who sees only this line
    "estimand_line": pl.String,  # population, decoding rule, token cap, how unfinished answers count
    **SETTLING,
}

# Where a study has looks, one row a hypothesis: how it was judged at its latest look.
LOOKS: Schema = {
    "hypothesis": pl.String,  # its name in the study file
    "family": pl.String,  # of hypotheses: p-values are adjusted within it
    "look": pl.Int32,  # [number] of the latest look, from 1
    "looks": pl.Int32,  # [looks] that the study has
    "problems": pl.Int64,  # [problems] of that look, dev and test
    "problems_of_all_looks": pl.Int64,  # [problems] of the last look, dev and test
    "information": pl.Float64,  # [share] families of test problems, as a share of those of the last look
    "p_value": pl.Float64,  # [probability] at this look, before it is adjusted for several looks
    "p_of_looks": pl.Float64,  # [probability] the level, over all looks, at which this look just finds a difference; Holm takes it
    "bar": pl.Float64,  # [probability] what p_value must be below at this look, after Holm
    "equivalence_p": pl.Float64,  # [probability] of equivalence at this look
    "equivalence_p_of_looks": pl.Float64,  # [probability] the level, over all looks, at which this look just finds equivalence
    "equivalence_bar": pl.Float64,  # [probability] what equivalence_p must be below at this look, after Holm
    "interval_level": pl.Float64,  # [share] at this look, so that the intervals of all looks cover together in 95 %
    "chance": pl.Float64,  # [probability] of a verdict at the last look, under the truth most favourable to one; null at that look
    "verdict": pl.String,  # improved | worse | equivalent within the margin | not resolved | …: at this look
    "state": pl.String,  # goes on | settled | given up | last look: what becomes of the hypothesis
    "sentence": pl.String,  # how it was judged, for a reader
}

# Truncation as missing data, finished arms against the base at one decode: where a difference in accuracy comes from.
# One row a part and comparison; rows without `against` are of one model.
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

# The same answers under smaller token caps, one row a cap, estimand and model or comparison.
TOKEN_BUDGETS: Schema = {
    **{k: TRUNCATION[k] for k in ("estimand", "model_id", "arm", "percent", "decode_id", "against", "split", "budget")},
    "cap": pl.Int32,  # [tokens] an answer counts if it is shorter
    **{k: TRUNCATION[k] for k in ("estimate", "low", "high")},  # of this cap alone
    "band_low": pl.Float64,  # [the estimand's] lower edge of a band that holds for all caps at once; null for one model
    "band_high": pl.Float64,  # [the estimand's] upper edge of that band
    **{k: TRUNCATION[k] for k in ("method", "unit", "n", "training_seeds")},
}

# Effects on accuracy by kind of problem, one row a comparison and group, and whether the groups of a grouping differ.
DIFFICULTY: Schema = {
    **COMPARISONS,
    "grouping": pl.String,  # by the base's solve rate | by level | by source
    "group": pl.String,  # which group of that grouping: a solve rate, a level or a source
    "problems": pl.Float64,  # [problems] in the group; by the solve rate, a problem is in each with the share of the splits that put it there
    "groups_p": pl.Float64,  # [probability] Welch's test that the effect is the same in all groups of this grouping, arm and decode
    "groups_p_adjusted": pl.Float64,  # [probability] Benjamini–Hochberg over all of these tests
}

# What several draws are worth: pass@k and maj@k of finished models, one row a model, decode and k, of the reported
# split and the widest budget.
SOLVING: Schema = {
    **ESTIMATES,
    "k": pl.Int32,  # [answers] the k of pass@k or maj@k
    "draws": pl.Int32,  # [answers] to each problem
}

# How the grader fares with each arm, one row a rate, or a bound of the effect on accuracy, and comparison.
GRADER: Schema = COMPARISONS

# Which answer is behind a row of the audit's sheet, one row a row of it. Not for who fills it.
AUDIT_KEY: Schema = {
    "row": pl.String,  # name of the row on the sheet, which tells nothing
    "request_id": pl.String,
    "side": pl.String,  # base or an arm: whose answer it is
    "kind": pl.String,  # what the grader made of it: disputed by the readers | credited, undisputed | refused, undisputed | …
    "answers": pl.Int64,  # [answers] in the stratum (side and kind)
    "weight": pl.Float64,  # [answers] answers of the stratum for each of its rows on the sheet
}

# What the audit found, one row a stratum. No row before the sheet is filled.
GRADER_ERRORS: Schema = {
    "side": pl.String,  # base or an arm: whose answers they are
    "kind": pl.String,  # what the grader made of them: disputed by the readers | credited, undisputed | …
    "answers": pl.Int64,  # [answers] in the stratum (side and kind)
    "share": pl.Float64,  # [share] of all answers of the side
    "audited": pl.Int64,  # [answers] rows with yes or no
    "unclear": pl.Int64,  # [answers] of which the person could not tell
    "wrongly_credited": pl.Int64,  # [answers] called right that are wrong
    "wrongly_refused": pl.Int64,  # [answers] called wrong that are right
    "error_rate": pl.Float64,  # [share] of the audited that the grader judged wrongly
    "low": pl.Float64,  # [share] lower end of its 95 % interval (Wilson)
    "high": pl.Float64,  # [share] upper end of it
}

# Effects on accuracy with the grader's errors taken out, one row a comparison. No row before the sheet is filled.
CORRECTED: Schema = {
    "arm": pl.String,
    "against": pl.String,
    "decode_id": pl.String,  # of the answers, or all final decodes
    "split": pl.String,
    "budget": pl.String,
    "graded": pl.Float64,  # [share] the difference as the grader has it
    "graded_low": pl.Float64,  # [share] lower end of its 95 % interval
    "graded_high": pl.Float64,  # [share] upper end of it
    "estimate": pl.Float64,  # [share] the difference with the grader's errors taken out
    "low": pl.Float64,  # [share] lower end of its 95 % interval
    "high": pl.Float64,  # [share] upper end of it
    "standard_error": pl.Float64,  # [share] standard error of the estimate, with that of the audit
    "degrees_of_freedom": pl.Float64,  # [number] degrees of freedom of the t law that the interval takes
    "worst": pl.Float64,  # [share] the difference if whatever the audit left open were against the arm
    "worst_low": pl.Float64,  # [share] lower end of its 95 % interval
    "best": pl.Float64,  # [share] the difference if whatever the audit left open were for the arm
    "best_high": pl.Float64,  # [share] upper end of its 95 % interval
    "audited": pl.Int64,  # [answers] rows of both sides that were judged
}

# Studies side by side, as `forklock compare --table` writes them: one row a study, what is held against the first, arm, decode
# and estimand, on the test problems that all of them asked.
ACROSS_STUDIES: Schema = {
    "study": pl.String,  # the study that is held against another
    "against": pl.String,  # the study that it is held against: the first that was named
    "what": pl.String,  # level of the arm | effect of training: over each study's own base | difference of two arms: over each study's own
    "estimand": pl.String,  # accuracy | cut_rate | mean_tokens
    "arm": pl.String,
    "over": pl.String,  # what the arm is held against within each study: base, or another arm; null for a level
    "decode_id": pl.String,  # the decode as the other study calls it
    "study_decode_id": pl.String,  # the decode of the same settings as this study calls it
    "level": pl.Float64,  # [the estimand's] level or effect in this study
    "against_level": pl.Float64,  # [the estimand's] level or effect in the other study
    "estimate": pl.Float64,  # [the estimand's] the first less the second
    "low": pl.Float64,
    "high": pl.Float64,
    "method": pl.String,
    "claim": pl.String,  # these checkpoints | the method: what the interval speaks of
    "training_seeds": pl.Int64,  # [trainings] of this study's arm; 0 when nothing was trained; the fewer of two arms
    "against_training_seeds": pl.Int64,  # [trainings] the same of the other study
    "standard_error": pl.Float64,  # [the estimand's] standard error of the claim
    "degrees_of_freedom": pl.Float64,  # [number] degrees of freedom of the t law that the interval takes
    "p_value": pl.Float64,
    "n": pl.Int32,
    "unit": pl.String,
    "problems": pl.Int32,  # [problems] that all of the studies asked
}

# What the user's own analyses give: one row per cell of their tables, which have columns of their own.
PLUGGED: Schema = {
    "analysis": pl.String,  # its name in the plugin
    "digest": pl.String,  # of the plugin's file: the first 16 digits of its SHA-256
    "row": pl.Int32,  # [index] of the row in its table, from 0
    "column": pl.String,  # its name in that table
    "text": pl.String,  # of a column of text, or of true and false; else null
    "number": pl.Float64,  # [the plugin's] value in a column of numbers; else null
    "whole": pl.Boolean,  # whether those are whole numbers
}
