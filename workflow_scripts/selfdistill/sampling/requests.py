"""What an engine is asked for, what it gives back, and how both get their names and seeds."""

import hashlib
import json
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SAMPLER_VERSION = 2  # raise it when the same request would give another sample
COUPLED = "coupled"


@dataclass(frozen=True)
class Request:
    request_id: str
    prompt_ids: list[int]
    max_tokens: int
    seed: int
    temperature: float
    top_k: int
    top_p: float
    min_p: float
    presence_penalty: float


@dataclass(frozen=True)
class Sample:
    request_id: str
    token_ids: list[int]  # with the end token when there was one
    finish_reason: str  # stop | length | loop (only where a study aborts loops)
    logprobs: list[float]  # of each token, under the model at temperature 1, without penalty or truncation
    seconds: float


@dataclass(frozen=True)
class Given:
    """A completion that an engine is asked to score."""

    request_id: str
    prompt_ids: list[int]
    completion_ids: list[int]


@dataclass(frozen=True)
class Probed:
    """A completion, and the positions in it at which an engine is asked for its whole law."""

    carrier_id: str
    prompt_ids: list[int]
    completion_ids: list[int]
    positions: list[int]  # in the completion


@dataclass(frozen=True)
class NextTokens:
    """The laws at the positions of one Probed, in their order, at temperature 1. What an engine cannot tell is None."""

    carrier_id: str
    ids: NDArray[np.int32]  # [positions, likeliest tokens], in falling order
    logprobs: NDArray[np.float32]
    log_sum_exp: NDArray[np.float64] | None  # of the logits
    entropy: NDArray[np.float64] | None  # in nats
    ranks: NDArray[np.int32]  # of the tokens that stood there: 1 and how many are strictly likelier
    given: NDArray[np.float64]  # their log-probabilities


def request_id(
    model_digest: str,
    dtype: str,
    prompt_ids: list[int],
    decode: dict[str, float],
    draw: int,
    stream: str,
    seed: int,
    abort_loops: dict[str, int] | None = None,
    noise: int | None = None,
) -> str:
    """A content key: whatever changes the law of the sample is in it. `stream` tells A/A twins apart; `noise` is the number
    of the shared noise that a coupled request draws with, whose seed is not from this key but from `noise_id`.

    The engine is not, for it draws from the same law; each row names its own, and a journal keeps to one.
    """
    content = [SAMPLER_VERSION, model_digest, dtype, prompt_ids, sorted(decode.items()), draw, stream, seed]
    if abort_loops:
        content.append(sorted(abort_loops.items()))
    if noise is not None:
        content.append([COUPLED, noise])
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:32]


def noise_id(
    dtype: str,
    prompt_ids: list[int],
    decode: dict[str, float],
    noise: int,
    stream: str,
    seed: int,
    abort_loops: dict[str, int] | None = None,
) -> str:
    """The key that coupled requests take their seed from: theirs without the model, so that all models draw with the same
    random numbers. Each answer is still one of its own model's law."""
    return request_id("", dtype, prompt_ids, decode, noise, stream, seed, abort_loops, noise)


def seed_of(key: str) -> int:
    """The seed of a sample, from its content key or its noise's: a non-negative 63-bit number."""
    return int(key[:16], 16) >> 1


def shard_of(request: str, shards: int) -> int:
    return int(request[16:], 16) % shards
