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
    "probe_id": pl.String,  # content key: of the tokens before the position, and of the token that stands there
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
    "log_sum_exp": pl.Float64,  # of the logits
    "entropy": pl.Float64,  # of the whole law, in nats; null where an engine cannot tell
    "rank": pl.Int32,  # of the token that stood there; 1 is the likeliest
    "logprob": pl.Float64,  # of the token that stood there
    "engine": pl.String,
    "engine_version": pl.String,
}

# The layer from which the law, read through the final norm and head, stays near the last one.
DEPTHS: Schema = {
    "probe_id": pl.String,
    "model_id": pl.String,
    "layers": pl.Int32,  # of the model
    "depth": pl.Int32,  # 1 … layers
    "distances": pl.List(pl.Float32),  # Jensen–Shannon distance to the last layer's law, one a layer
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
