"""Columns of the probes of next-token distributions, and of what they say: locks and forks, the target of self-distillation,
the depth of a thought, gradients at a frozen checkpoint.

A probe is arithmetic's raw material: the base's and a trained model's law at one position of one text. Any decode and any
temperature follow from it without another forward pass.
"""

import polars as pl

from selfdistill.tables.problems import PROBLEMS
from selfdistill.tables.sampling import GRADED
from selfdistill.tables.schema import Schema

# The texts that are probed, the same for every model.
CARRIERS: Schema = {
    "carrier_id": pl.String,  # the request that sampled it
    "model_id": pl.String,  # who wrote it: base, a resample arm, a checkpoint
    **{k: PROBLEMS[k] for k in ("problem_id", "source", "family")},
    "half": pl.String,  # words.SELECTING | words.MEASURING: of the family, so that a class is never measured where it was chosen
    **{k: GRADED[k] for k in ("decode_id", "prompt_ids", "token_ids", "text", "n_tokens", "verdict", "finish_class")},
}

# One row a position: the law asked for is that of `token_ids[position]` given all before it.
PROBE_PLAN: Schema = {
    "probe_id": pl.String,  # content key: of the carrier, the tokens before the position, and the token that stands there
    "carrier_id": pl.String,
    "position": pl.Int32,  # index in the carrier's token_ids
    "token_id": pl.Int32,  # that stands there
    "kinds": pl.List(pl.String),  # words.POSITION_KINDS
}

# What a model says at every position of the plan.
DISTRIBUTIONS: Schema = {
    "probe_id": pl.String,
    "model_id": pl.String,  # who was asked
    "ids": pl.List(
        pl.Int32
    ),  # the likeliest tokens, in falling order: 256, or fewer where the engine or vocabulary gives fewer
    "logprobs": pl.List(pl.Float32),  # theirs, at temperature 1
    "log_sum_exp": pl.Float64,  # of the logits; null where an engine cannot tell
    "entropy": pl.Float64,  # of the whole law, in nats; null where an engine cannot tell
    "rank": pl.Int32,  # of the token that stood there; 1 is the likeliest
    "logprob": pl.Float64,  # of the token that stood there
    "engine": pl.String,
    "engine_version": pl.String,
}

# How far two laws lie apart at each token of a text: KL of the one that wrote it from the other, in nats.
DISAGREEMENTS: Schema = {
    "reader": pl.String,  # base/in-{context} or a checkpoint
    **{k: PROBE_PLAN[k] for k in ("carrier_id", "position", "token_id")},
    "family": PROBLEMS["family"],
    "piece": pl.String,  # what the token adds to the text
    "word": pl.String,  # the word that it stands in, in small letters; words.NUMBER of any number
    "first": pl.Boolean,  # of that word's tokens
    "marker": pl.String,  # the word of doubt that it stands in; null elsewhere
    "first_of_marker": pl.Boolean,
    "kl": pl.Float64,  # a lower bound where `rest` is not 0
    "rest": pl.Float64,  # mass of the writer's law on tokens that not both laws keep
}

# Where the disagreement lies: by token, by word and by word of doubt.
CONTEXT_KL: Schema = {
    "reader": pl.String,
    "grouping": pl.String,  # words.BY_TOKEN | words.BY_WORD | words.BY_DOUBT
    "name": pl.String,  # the token's piece, the word or the marker; or words.EVERY_TOKEN, …
    "place": pl.String,  # words.WHOLE_WORD | words.FIRST_TOKEN
    "positions": pl.Int32,
    "n": pl.Int32,  # families of problems in whose texts it stands
    "estimate": pl.Float64,  # mean KL, in nats a token
    "low": pl.Float64,
    "high": pl.Float64,
    "times_mean": pl.Float64,  # that of every token
    "share": pl.Float64,  # of all KL
    "share_low": pl.Float64,
    "share_high": pl.Float64,
    "rest": pl.Float64,  # mean
    "method": pl.String,
}

# The layer from which the law, read through the final norm and head, stays near the last one.
DEPTHS: Schema = {
    "probe_id": pl.String,
    "model_id": pl.String,
    "layers": pl.Int32,  # of the model
    "depth": pl.Int32,  # 1 … layers
    "distances": pl.List(pl.Float32),  # Jensen–Shannon divergence (bits) from the last layer's law, one a layer
}

# One row a position: what it is, by the base alone.
TOKEN_CLASSES: Schema = {
    **{k: PROBE_PLAN[k] for k in ("probe_id", "carrier_id", "position", "token_id", "kinds")},
    **{k: CARRIERS[k] for k in ("problem_id", "family", "half")},
    "written_by": pl.String,  # the carrier's model_id
    "token_class": pl.String,  # words.TOKEN_CLASSES
    "top": pl.Float64,  # the base's largest probability
    "entropy": pl.Float64,
    "tail": pl.Float64,  # the base's mass outside the kept set of the mechanism's decode
}

# Who is compared with whom, and on which positions; shared by the tables below.
_COMPARED: Schema = {
    "arm": pl.String,
    "training_seeds": pl.Int64,
    "carriers": pl.String,  # words.BY_THE_BASE | words.BY_TRAINED | words.BY_ALL: whose texts
    "token_class": pl.String,  # words.TOKEN_CLASSES, their finer ones, or words.EVERY_CLASS
    "position_kind": pl.String,  # words.POSITION_KINDS, or words.EVERY_KIND
}

_INTERVAL: Schema = {
    "estimate": pl.Float64,
    "low": pl.Float64,  # null: too few positions, and `method` says so
    "high": pl.Float64,
    "method": pl.String,
    "positions": pl.Int64,
    "n": pl.Int64,  # problems, the clusters
}

# How a law moved. One row an estimand.
MECHANISM: Schema = {
    **_COMPARED,
    "measure": pl.String,
    "decode_id": pl.String,  # null: the law before any decode
    "temperature": pl.Float64,  # null likewise
    "base": pl.Float64,  # the base's mean
    "trained": pl.Float64,
    **_INTERVAL,  # of trained - base
    "null": pl.String,  # the arm that should not have moved; null where a study has none
    "beyond_null": pl.Float64,  # the difference less the null's
    "beyond_null_low": pl.Float64,
    "beyond_null_high": pl.Float64,
}

# How far training moved a model towards the target of self-distillation, and how much of its movement is something else.
SSD_FIT: Schema = {**_COMPARED, "measure": pl.String, "decode_id": pl.String, **_INTERVAL}

# Mean cumulative mass by rank, and other curves.
CURVES: Schema = {
    **_COMPARED,
    "curve": pl.String,
    "model": pl.String,  # the base, or the arm
    "decode_id": pl.String,
    "x": pl.Float64,
    **_INTERVAL,
}

# Does depth go with the class? By the base's classes; `token_class` is words.EVERY_CLASS where two of them are told apart.
DEPTH: Schema = {
    "model_id": pl.String,  # whose depth
    **{k: _COMPARED[k] for k in ("carriers", "token_class", "position_kind")},
    "measure": pl.String,
    **_INTERVAL,
}

# What the report shows of a few carriers: one row for each of their tokens and each model that was asked there.
STRIPS: Schema = {
    **{k: TOKEN_CLASSES[k] for k in ("carrier_id", "problem_id", "written_by")},
    **{k: CARRIERS[k] for k in ("decode_id", "verdict", "finish_class")},
    **{k: TOKEN_CLASSES[k] for k in ("position", "token_id", "token_class")},
    "text": pl.String,  # of the token that stood there; U+FFFD where it writes part of a character
    "model_id": pl.String,  # who was asked
    "candidates": pl.List(pl.String),  # texts of the likeliest tokens, in falling order
    "candidate_ids": pl.List(pl.Int32),
    "probabilities": pl.List(pl.Float64),  # theirs, at temperature 1
    "rank": pl.Int32,  # of the token that stood there
    "probability": pl.Float64,
}

# Gradients at a frozen checkpoint, one row a sequence and part: its products with those of every sequence and part, in the
# order of the rows. A gradient is the sum over the part's tokens, folded into a sketch that keeps products on average.
GRADIENT_PRODUCTS: Schema = {
    "request_id": pl.String,
    "problem_id": pl.String,
    "fresh": pl.Boolean,  # no training of the arm was shown it
    "part": pl.String,  # words.GRADIENT_PARTS
    "tokens": pl.Int64,  # supervised ones of the part
    "products": pl.List(pl.Float64),
    "sketch": pl.Int64,  # numbers that a gradient was folded into
    "parameters": pl.Int64,
}

# What they say. One row a checkpoint and part.
NOISE_PROBE: Schema = {
    "arm": pl.String,
    "training_seed": pl.Int64,  # null: the base
    "percent": pl.Int32,
    "part": pl.String,  # words.TOTAL, words.GRADIENT_PARTS, or two of these joined by ×: their cross term
    "sequences": pl.Int64,
    "fresh": pl.Int64,  # of them, not trained on by the checkpoint
    "tokens": pl.Int64,
    "token_share": pl.Float64,
    "signal": pl.Float64,  # |G_part|², unbiased, never clipped at 0; of a cross term 2 G_a·G_b
    "signal_low": pl.Float64,
    "signal_high": pl.Float64,
    "square_share": pl.Float64,  # of |G|²; parts and cross terms add up to 1
    "square_share_low": pl.Float64,
    "square_share_high": pl.Float64,
    "signal_share": pl.Float64,  # G_part·G / |G|²; the parts add up to 1; null for a cross term
    "signal_share_low": pl.Float64,
    "signal_share_high": pl.Float64,
    "trace_per_sequence": pl.Float64,  # tr Σ
    "noise_share": pl.Float64,  # the part's covariance with the whole, of tr Σ; the parts add up to 1
    "noise_share_low": pl.Float64,
    "noise_share_high": pl.Float64,
    "signal_to_noise": pl.Float64,  # ρ = |G|² / tr Σ: the interval lives here
    "signal_to_noise_low": pl.Float64,
    "signal_to_noise_high": pl.Float64,
    "noise_scale": pl.Float64,  # 1/ρ in sequences; null: unbounded
    "noise_scale_low": pl.Float64,
    "noise_scale_high": pl.Float64,
    "noise_scale_text": pl.String,
    "noise_scale_lower_bound": pl.Float64,  # one-sided 95 %, bootstrap without pairs of one sequence with itself
    "z": pl.Float64,  # of the martingale test of no signal
    "p_value": pl.Float64,  # one-sided
    "effective_rank": pl.Float64,  # (tr Σ)² / tr Σ²; null where the sketch is too small to tell
    "detection_limit": pl.Float64,  # the largest noise scale that is told from no signal with 80 % power
    "method": pl.String,
}

# Short trainings at several batch sizes: the loss of every held-out example along each.
BRANCH_LOSSES: Schema = {
    "batch": pl.Int64,
    "seed": pl.Int64,  # of the order of the data
    "step": pl.Int64,
    "examples": pl.Int64,  # shown so far
    "learning_rate": pl.Float64,  # the branch's
    "request_id": pl.String,
    "tokens": pl.Int64,
    "loss": pl.Float64,  # nats, summed over the tokens
}

# What they say.
BRANCHES: Schema = {
    "estimand": pl.String,
    "batch": pl.Int64,  # null: of the fit to all
    "examples": pl.Int64,  # shown so far; null likewise, and where it is the estimand
    "seed": pl.Int64,  # null: over all of them
    "estimate": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,  # null with a low: unbounded
    "method": pl.String,
    "n": pl.Int64,  # data orders
}

# Weights of finished models against the base, one row a run, partner, layer group and measure.
WEIGHT_OVERLAP: Schema = {
    "run": pl.String,
    "against": pl.String,  # another training of the arm; null: the arm has one, and the null is made of the run alone
    "group": pl.String,  # layer group, or words.TOTAL
    "measure": pl.String,
    "estimate": pl.Float64,
    "expected": pl.Float64,  # if there were noise and rounding alone; null where nothing says
    "excess": pl.Float64,
    "low": pl.Float64,  # of the excess; null where the tensors are too few
    "high": pl.Float64,
    "null": pl.String,  # how what was expected is made
    "method": pl.String,
    "tensors": pl.Int64,
    "weights": pl.Int64,
}
