"""Columns of training on one's own answers: the questions, every rollout, every update."""

import polars as pl

from selfdistill.tables.sampling import COMPLETIONS
from selfdistill.tables.schema import TOKENS, Schema

# What an arm may practise on, one row a question in the order of the ranking; an arm's coverage is the first of them.
QUESTIONS: Schema = {
    "problem_id": pl.String,
    "family": pl.String,
    "problem": pl.String,
    "gold": pl.String,
    "prompt_ids": TOKENS,  # [token ids] what the student is asked
    "told": pl.String,  # the solution that the teacher is told; null where it is a sibling's, or there is none
}

# What the journal of rollouts keeps, one row a rollout: a completion, and the engine's log-probability of each of its
# tokens.
ROLLED: Schema = {**COMPLETIONS, "logprobs": pl.List(pl.Float32)}  # [nats] the engine's log-probability of each token

# Answers that were learnt from, one row a rollout in the order of learning: generation, question, draw.
ROLLOUTS: Schema = {
    "generation": pl.Int32,  # [number] of the round of answering and learning, from 1
    "step": pl.Int32,  # [step] the optimiser step that learnt from it
    "problem_id": pl.String,
    "draw": pl.Int32,  # [number] counted over the whole training: the same question asked again is drawn anew
    "policy": pl.String,  # digest of the exported weights that it was sampled from
    "prompt_ids": TOKENS,
    **ROLLED,
    "gold": pl.String,
    "finish_class": pl.String,
    "verdict": pl.String,
    "extracted": pl.String,
    "reward": pl.Float64,  # [number] 1.0 where the verdict is correct
    "advantage": pl.Float64,  # [number] reward less the group's mean, scaled as the study says; unscaled where the method is distil
    "doubts": pl.Int32,  # [words of doubt] by the study's markers
    "doubts_thought": pl.Int32,  # [words of doubt] of these, within the thought
    "looping": pl.Boolean,  # whether the answer ends in a loop
    "teacher_ids": TOKENS,  # [token ids] the teacher's prompt; null where there is no teacher or it has nothing to be told
    "told_by": pl.String,  # request of the rollout that the teacher was shown; null without one
}

# What each update did, one row an optimiser step. Means are over tokens unless said; what a method has not is null.
UPDATES: Schema = {
    "step": pl.Int32,
    "generation": pl.Int32,  # [number] of the round of answering and learning, from 1
    "clipped_low": pl.Float64,  # [share] of tokens whose ratio was clipped from below
    "clipped_high": pl.Float64,  # [share] of tokens whose ratio was clipped from above
    "is_clipped": pl.Float64,  # [share] share of tokens whose engine-to-trainer weight was cut
    "is_mean": pl.Float64,  # [ratio] mean engine-to-trainer weight of a token
    "engine_difference": pl.Float64,  # [nats] mean |trainer's log-probability − engine's|
    "engine_difference_largest": pl.Float64,  # [nats] the largest of these
    "teacher_kl": pl.Float64,  # [nats per token] KL(student‖teacher) on the same support, whatever the divergence that is learnt
    "divergence": pl.Float64,  # [nats per token] the one that is learnt, mean over learnt tokens
    "base_kl": pl.Float64,  # [nats per token] on sampled tokens, log student − log base
    "taught": pl.Float64,  # [share] share of rollouts that had a teacher
    "teacher_distance": pl.Float64,  # [ratio] relative distance of a moving teacher's weights from the base's
    "seconds_answering": pl.Float64,  # [seconds] of the generation, in its first step's row
    "seconds_learning": pl.Float64,  # [seconds] of this step
    "peak_bytes": pl.Int64,  # [bytes] most memory in use on the device so far
}
