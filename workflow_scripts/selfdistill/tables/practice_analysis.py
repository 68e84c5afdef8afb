"""Columns of what the analysis makes of training on one's own answers. The words that stand in them are in `words.py`."""

import polars as pl

from selfdistill.tables.analysis import COMPARISONS, NOISE_SUMMARY
from selfdistill.tables.schema import Schema

# How a practice went, one row a measure and generation. A generation is answered by the policy before its updates: the
# first one by the base.
PRACTICE: Schema = {
    **{k: COMPARISONS[k] for k in ("arm", "training_seed")},  # null: all trainings of the arm
    "generation": pl.Int32,  # [number] of the round of answering and learning, from 1
    "step": pl.Int32,  # [steps] of the optimiser behind the policy that answered
    "measure": pl.String,  # what was measured: accuracy, mean_tokens, …
    **{k: COMPARISONS[k] for k in ("estimate", "low", "high", "method", "claim", "unit", "n")},
    "counted": pl.Int64,  # [answers, or groups] behind the row; null where a step has one number
}

# From the first generation, which the base answered, to the last ones: one row a measure and training.
PRACTICE_CHANGES: Schema = {
    **{k: COMPARISONS[k] for k in ("arm", "training_seed")},
    "measure": pl.String,  # what was measured: accuracy, mean_tokens, …
    "generations": pl.Int32,  # [rounds] that count as the last ones
    "first": pl.Float64,  # [the measure's] of the first generation
    "last": pl.Float64,  # [the measure's] mean of the last generations
    **{k: COMPARISONS[k] for k in ("estimate", "low", "high", "method", "claim", "unit", "n")},
}

# What each training took, one row a training.
PRACTICE_COST: Schema = {
    **{k: COMPARISONS[k] for k in ("arm", "training_seed")},
    "generations": pl.Int32,  # [rounds] of answering and learning
    "steps": pl.Int32,  # [steps] of the optimiser
    "questions": pl.Int64,  # [questions] different ones
    "rollouts": pl.Int64,  # [rollouts] learnt from; of an arm that replays, another's
    "sampled": pl.Int64,  # [rollouts] of them, by this training
    "tokens": pl.Int64,  # [tokens] of the rollouts
    "teacher_tokens": pl.Int64,  # [tokens] that the teacher read: its prompts, and the rollouts behind them
    "seconds_answering": pl.Float64,  # [seconds] of answering, over all generations
    "seconds_learning": pl.Float64,  # [seconds] of learning, over all steps
    "peak_bytes": pl.Int64,  # [bytes] most memory in use on the device
}

# Signal and noise of the gradient over all trainings of an arm, the sequence being the unit: one row a window of steps.
# The whole training is the window "run".
PRACTICE_SIGNAL: Schema = {
    "arm": pl.String,
    "trainings": pl.Int32,  # [trainings] of the arm
    **{
        k: NOISE_SUMMARY[k] for k in ("window", "first_step", "last_step", "steps", "sequences")
    },  # steps of all trainings
    **{k: NOISE_SUMMARY[k] for k in ("signal", "signal_low", "signal_high", "trace_per_sequence")},
    **{k: NOISE_SUMMARY[k] for k in ("signal_fraction", "signal_fraction_low", "signal_fraction_high")},
    **{k: NOISE_SUMMARY[k] for k in ("signal_to_noise", "signal_to_noise_low", "signal_to_noise_high")},
    **{k: NOISE_SUMMARY[k] for k in ("noise_scale", "noise_scale_low", "noise_scale_high", "noise_scale_text")},
    **{k: NOISE_SUMMARY[k] for k in ("noise_scale_lower_bound", "detection_limit")},
}
