"""Columns of the probes of next-token distributions, and of what they say: locks and forks, the target of self-distillation,
the depth of a thought, gradients at a frozen checkpoint.

A probe is arithmetic's raw material: the base's and a trained model's law at one position of one text. Any decode and any
temperature follow from it without another forward pass.
"""

import polars as pl

from selfdistill.tables.problems import PROBLEMS
from selfdistill.tables.sampling import GRADED
from selfdistill.tables.schema import Schema

# The texts that are probed, the same for every model: one row a text.
CARRIERS: Schema = {
    "carrier_id": pl.String,  # the request_id of the answer that is probed
    "model_id": pl.String,  # who wrote it: base, a resample arm, a checkpoint
    **{k: PROBLEMS[k] for k in ("problem_id", "source", "family")},
    "half": pl.String,  # selecting | measuring: of its family, so that a class is never measured where it was chosen
    **{k: GRADED[k] for k in ("decode_id", "prompt_ids", "token_ids", "text", "n_tokens", "verdict", "finish_class")},
}

# Where the texts are probed, one row a position: the law asked for is that of `token_ids[position]` given all before
# it.
PROBE_PLAN: Schema = {
    "probe_id": pl.String,  # content key: of the carrier, the tokens before the position, and the token that stands there
    "carrier_id": pl.String,  # the text that is probed
    "position": pl.Int32,  # [index] in the carrier's token_ids
    "token_id": pl.Int32,  # [token id] of the token that stands there
    "kinds": pl.List(pl.String),  # why it is probed: regular | random | in the box | line start | doubt begins | …
}

# What a model says at the positions of the plan, one row a position.
DISTRIBUTIONS: Schema = {
    "probe_id": pl.String,
    "model_id": pl.String,  # who was asked
    "ids": pl.List(pl.Int32),  # [token ids] of the likeliest tokens, in falling order: as many as mechanism.top
    "logprobs": pl.List(pl.Float32),  # [nats] log-probabilities of these, at temperature 1
    "log_sum_exp": pl.Float64,  # [nats] log-sum-exp of the logits; null where an engine cannot tell
    "entropy": pl.Float64,  # [nats] entropy of the whole law; null where an engine cannot tell
    "rank": pl.Int32,  # [rank] of the token that stood there; 1 is the likeliest
    "logprob": pl.Float64,  # [nats] log-probability of the token that stood there
    "engine": pl.String,
    "engine_version": pl.String,
}

# How far two laws lie apart, one row a token of a text and reader: KL of the law that wrote it from the reader's.
DISAGREEMENTS: Schema = {
    "reader": pl.String,  # who reads the text: base/in-{context} or a checkpoint
    **{k: PROBE_PLAN[k] for k in ("carrier_id", "position", "token_id")},
    "family": PROBLEMS["family"],
    "piece": pl.String,  # what the token adds to the text
    "word": pl.String,  # the word that the token stands in, in small letters; any number is "a number"
    "first": pl.Boolean,  # whether it is the first of that word's tokens
    "marker": pl.String,  # the word of doubt that it stands in; null elsewhere
    "first_of_marker": pl.Boolean,  # whether it is the first token of that word of doubt
    "kl": pl.Float64,  # [nats] KL of the law that wrote the text from the reader's; a lower bound where rest is not 0
    "rest": pl.Float64,  # [probability] mass of the writer's law on tokens that not both laws keep
}

# Where the disagreement lies, one row a reader and token, word or word of doubt.
CONTEXT_KL: Schema = {
    "reader": pl.String,  # who reads the texts: base/in-{context} or a checkpoint
    "grouping": pl.String,  # by token | by word | by word of doubt
    "name": pl.String,  # the token's piece, the word or the marker; or every token, every word of doubt, everything else
    "place": pl.String,  # all tokens | first token: of the word
    "positions": pl.Int32,  # [positions] that count
    "n": pl.Int32,  # [families] families of problems in whose texts it stands
    "estimate": pl.Float64,  # [nats per token] mean KL
    "low": pl.Float64,  # [nats per token] lower end of its 95 % interval
    "high": pl.Float64,  # [nats per token] upper end of it
    "times_mean": pl.Float64,  # [ratio] to the mean KL of every token
    "share": pl.Float64,  # [share] of all KL
    "share_low": pl.Float64,  # [share] lower end of its 95 % interval
    "share_high": pl.Float64,  # [share] upper end of it
    "rest": pl.Float64,  # [probability] mean mass of the writer's law that not both laws keep
    "method": pl.String,
}

# From which layer on the law, read through the final norm and head, stays near the last one: one row a position.
DEPTHS: Schema = {
    "probe_id": pl.String,
    "model_id": pl.String,  # who was asked
    "layers": pl.Int32,  # [layers] of the model
    "depth": pl.Int32,  # [layer] 1 … layers: from which on the law stays near the last layer's
    "distances": pl.List(pl.Float32),  # [bits] Jensen–Shannon divergence (bits) from the last layer's law, one a layer
}

# What a position is by the base alone, one row a position.
TOKEN_CLASSES: Schema = {
    **{k: PROBE_PLAN[k] for k in ("probe_id", "carrier_id", "position", "token_id", "kinds")},
    **{k: CARRIERS[k] for k in ("problem_id", "family", "half")},
    "written_by": pl.String,  # the model_id of who wrote the carrier
    "token_class": pl.String,  # lock | fork | diffuse | mixed: by the base's law alone
    "top": pl.Float64,  # [probability] the base's largest probability
    "entropy": pl.Float64,  # [nats] entropy of the base's law
    "tail": pl.Float64,  # [probability] the base's mass outside the kept set of the mechanism's decode
}

# Who is compared with whom, and on which positions; shared by the tables below.
_COMPARED: Schema = {
    "arm": pl.String,
    "training_seeds": pl.Int64,  # [trainings] of the arm that were probed
    "carriers": pl.String,  # written by the base | written by trained models | all carriers: whose texts
    "token_class": pl.String,  # lock | fork | diffuse | mixed, a finer class, or all classes
    "position_kind": pl.String,  # why the positions were probed, or all positions
}

_INTERVAL: Schema = {
    "estimate": pl.Float64,  # [the measure's] a mean over positions
    "low": pl.Float64,  # [the measure's] lower end of its 95 % interval; null: too few positions, and method says so
    "high": pl.Float64,  # [the measure's] upper end of it
    "method": pl.String,
    "positions": pl.Int64,  # [positions] that count
    "n": pl.Int64,  # [problems] that are the clusters
}

# How a law moved, one row a measure, arm, class and kind of position.
MECHANISM: Schema = {
    **_COMPARED,
    "measure": pl.String,  # top-1 probability | entropy of the law | kept mass | …
    "decode_id": pl.String,  # under which decode; null: the law before any
    "temperature": pl.Float64,  # [temperature] of that decode; null without one
    "base": pl.Float64,  # [the measure's] the base's mean
    "trained": pl.Float64,  # [the measure's] the trained model's mean; estimate is the difference
    **_INTERVAL,  # of trained - base
    "null": pl.String,  # the arm that should not have moved; null where a study has none
    "beyond_null": pl.Float64,  # [the measure's] the difference less the null's
    "beyond_null_low": pl.Float64,  # [the measure's] lower end of its 95 % interval
    "beyond_null_high": pl.Float64,  # [the measure's] upper end of it
}

# How far training moved a model towards the target of self-distillation, and how much of its movement is something
# else: one row a measure, arm, class and kind of position.
SSD_FIT: Schema = {
    **_COMPARED,
    "measure": pl.String,  # fit ratio | alignment of shifts | movement | …
    "decode_id": pl.String,  # whose target it is
    **_INTERVAL,
}

# Mean cumulative mass by rank, and other curves: one row a point.
CURVES: Schema = {
    **_COMPARED,
    "curve": pl.String,  # cumulative mass by rank | survivors by temperature | entropy after truncation by temperature
    "model": pl.String,  # whose curve: base, or the arm
    "decode_id": pl.String,
    "x": pl.Float64,  # [rank or temperature] as the curve says
    **_INTERVAL,
}

# Does depth go with the class? One row a measure, model and class; the class is "all classes" where two of them are
# told apart.
DEPTH: Schema = {
    "model_id": pl.String,  # whose depth
    **{k: _COMPARED[k] for k in ("carriers", "token_class", "position_kind")},
    "measure": pl.String,  # AUROC of depth, fork against lock | mean depth
    **_INTERVAL,
}

# What the report shows of a few carriers, one row for each of their tokens and each model that was asked there.
STRIPS: Schema = {
    **{k: TOKEN_CLASSES[k] for k in ("carrier_id", "problem_id", "written_by")},
    **{k: CARRIERS[k] for k in ("decode_id", "verdict", "finish_class")},
    **{k: TOKEN_CLASSES[k] for k in ("position", "token_id", "token_class")},
    "text": pl.String,  # of the token that stood there; U+FFFD where it writes part of a character
    "model_id": pl.String,  # who was asked
    "candidates": pl.List(pl.String),  # texts of the likeliest tokens, in falling order
    "candidate_ids": pl.List(pl.Int32),  # [token ids] of the likeliest tokens
    "probabilities": pl.List(pl.Float64),  # [probability] of these, at temperature 1
    "rank": pl.Int32,  # [rank] of the token that stood there; 1 is the likeliest
    "probability": pl.Float64,  # [probability] of the token that stood there
}

# Gradients at a frozen checkpoint, one row a sequence and part: its products with those of every sequence and part. A
# gradient is the sum over the part's tokens, folded into a sketch that keeps products on average.
GRADIENT_PRODUCTS: Schema = {
    "request_id": pl.String,
    "problem_id": pl.String,
    "fresh": pl.Boolean,  # whether no training of the arm was shown it
    "part": pl.String,  # lock | fork | rest: the class of the tokens whose gradient it is
    "tokens": pl.Int64,  # [tokens] supervised ones of the part
    "products": pl.List(
        pl.Float64
    ),  # [gradient²] inner products with the gradient of every row, in the order of the rows
    "sketch": pl.Int64,  # [numbers] that a gradient was folded into
    "parameters": pl.Int64,  # [weights] that a gradient has before it is folded
}

# What gradients at frozen checkpoints say of signal and noise, one row a checkpoint and part.
NOISE_PROBE: Schema = {
    "arm": pl.String,
    "training_seed": pl.Int64,  # [seed] of the checkpoint's training; null: the base
    "percent": pl.Int32,
    "part": pl.String,  # total | lock | fork | rest, or two of these joined by ×: their cross term
    "sequences": pl.Int64,  # [sequences] whose gradients were taken
    "fresh": pl.Int64,  # [sequences] of these, not trained on by the checkpoint
    "tokens": pl.Int64,  # [tokens] supervised ones of the part
    "token_share": pl.Float64,  # [share] of all supervised tokens
    "signal": pl.Float64,  # [gradient²] |G_part|², unbiased, never clipped at 0; of a cross term 2 G_a·G_b
    "signal_low": pl.Float64,  # [gradient²] lower end of its 95 % interval
    "signal_high": pl.Float64,  # [gradient²] upper end of it
    "square_share": pl.Float64,  # [share] of |G|²; parts and cross terms add up to 1
    "square_share_low": pl.Float64,  # [share] lower end of its 95 % interval
    "square_share_high": pl.Float64,  # [share] upper end of it
    "signal_share": pl.Float64,  # [share] G_part·G / |G|²; the parts add up to 1; null for a cross term
    "signal_share_low": pl.Float64,  # [share] lower end of its 95 % interval
    "signal_share_high": pl.Float64,  # [share] upper end of it
    "trace_per_sequence": pl.Float64,  # [gradient²] tr Σ of one sequence
    "noise_share": pl.Float64,  # [share] the part's covariance with the whole, of tr Σ; the parts add up to 1
    "noise_share_low": pl.Float64,  # [share] lower end of its 95 % interval
    "noise_share_high": pl.Float64,  # [share] upper end of it
    "signal_to_noise": pl.Float64,  # [1/sequences] ρ = |G|² / tr Σ: the interval lives here
    "signal_to_noise_low": pl.Float64,  # [1/sequences] lower end of its 95 % interval
    "signal_to_noise_high": pl.Float64,  # [1/sequences] upper end of it
    "noise_scale": pl.Float64,  # [sequences] 1/ρ; null: unbounded
    "noise_scale_low": pl.Float64,  # [sequences] lower end of its 95 % interval
    "noise_scale_high": pl.Float64,  # [sequences] upper end of it; null: unbounded
    "noise_scale_text": pl.String,  # the noise scale and its interval, for a reader
    "noise_scale_lower_bound": pl.Float64,  # [sequences] one-sided 95 %, bootstrap without pairs of one sequence with itself
    "z": pl.Float64,  # [standard errors] of the martingale test of no signal
    "p_value": pl.Float64,  # [probability] of that test, one-sided
    "effective_rank": pl.Float64,  # [directions] (tr Σ)² / tr Σ²; null where the sketch is too small to tell
    "detection_limit": pl.Float64,  # [sequences] the largest noise scale that is told from no signal with 80 % power
    "method": pl.String,
}

# Short trainings at several batch sizes, one row a branch, measured step and held-out example.
BRANCH_LOSSES: Schema = {
    "batch": pl.Int64,  # [sequences] of the branch: its batch size
    "seed": pl.Int64,  # [seed] of the order of the data
    "step": pl.Int64,
    "examples": pl.Int64,  # [examples] shown so far
    "learning_rate": pl.Float64,  # [rate] the branch's
    "request_id": pl.String,  # of the held-out example
    "tokens": pl.Int64,  # [tokens] supervised ones of the example
    "loss": pl.Float64,  # [nats] summed over these tokens
}

# What the branches say of the critical batch, one row an estimand, batch and seed.
BRANCHES: Schema = {
    "estimand": pl.String,  # held-out loss | examples to the target loss | critical batch | …
    "batch": pl.Int64,  # [sequences] of the branch; null: of the fit to all
    "examples": pl.Int64,  # [examples] shown so far; null of the fit to all, and where they are the estimand
    "seed": pl.Int64,  # [seed] of the order of the data; null: over all of them
    "estimate": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,  # [the estimand's] upper end of the 95 % interval; null with a low: unbounded
    "method": pl.String,
    "n": pl.Int64,  # [data orders] behind the row
}

# Weights of finished models against the base, one row a run, partner, layer group and measure.
WEIGHT_OVERLAP: Schema = {
    "run": pl.String,
    "against": pl.String,  # another training of the arm; null: the arm has one, and the null is made of the run alone
    "group": pl.String,  # layer group, or words.TOTAL
    "measure": pl.String,  # overlap of changed weights | cosine of the changes | stable rank | …
    "estimate": pl.Float64,  # [the measure's] of the weights as they are
    "expected": pl.Float64,  # [the measure's] if there were noise and rounding alone; null where nothing says
    "excess": pl.Float64,  # [the measure's] the estimate less what was expected
    "low": pl.Float64,  # [the measure's] lower end of the excess's 95 % interval; null where the tensors are too few
    "high": pl.Float64,  # [the measure's] upper end of it
    "null": pl.String,  # how what was expected is made
    "method": pl.String,
    "tensors": pl.Int64,  # [tensors] of the group
    "weights": pl.Int64,  # [weights] of the group
}
