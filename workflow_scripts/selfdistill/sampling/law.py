"""The sampling law, for a batch of rows that may each have another decode, and the random numbers behind it.

Order of operations is vLLM's: presence penalty, temperature, min-p, top-k, then top-p inside the top-k set. All three
truncations come down to one floor a row: tokens with less than it are out, and tokens of equal logits stay or go together.
What stays is drawn from by inversion, in the order of token ids. A row's random number for its n-th token is a hash of
the row's own seed and n, so that a draw does not depend on who else is in the batch.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from selfdistill.sampling.requests import Request
from selfdistill.study.sampling import Decode

_GOLDEN = 0x9E3779B97F4A7C15 - (1 << 64)
_MIX_1 = 0xBF58476D1CE4E5B9 - (1 << 64)
_MIX_2 = 0x94D049BB133111EB - (1 << 64)


def uniform(seeds: Tensor, counts: Tensor) -> Tensor:
    """Uniform numbers in (0, 1], one per row: splitmix64 (Steele et al. 2014) of seed and count. int64 wraps around."""
    z = _mix(_mix(seeds) + (counts + 1) * _GOLDEN)
    return (_shift(z, 11) + 1).to(torch.float64) * 2.0**-53


def _mix(z: Tensor) -> Tensor:
    z = (z ^ _shift(z, 30)) * _MIX_1
    z = (z ^ _shift(z, 27)) * _MIX_2
    return z ^ _shift(z, 31)


def _shift(z: Tensor, bits: int) -> Tensor:
    """Logical right shift; torch shifts signed integers arithmetically."""
    return (z >> bits) & ((1 << (64 - bits)) - 1)


def shares(requests: Sequence[Request], length: int) -> Tensor:
    """The random numbers of each request's first tokens, [requests, length]. Greedy decoding takes the smallest there is,
    which among equals finds the first."""
    seeds = torch.tensor([[request.seed] for request in requests])
    greedy = torch.tensor([[request.temperature == 0] for request in requests])
    return uniform(seeds, torch.arange(length)).masked_fill(greedy, 2.0**-53).float()


class Law(NamedTuple):
    """The decode of every row, as columns."""

    temperature: Tensor
    top_k: Tensor
    top_p: Tensor
    log_min_p: Tensor
    presence_penalty: Tensor
    off_rank: Tensor


def law_numbers(request: Request | Decode) -> list[float]:
    """A request's row in a Law; what is off is infinite. Greedy decoding is top-k with k = 1."""
    greedy = request.temperature == 0
    top_k = 1 if greedy else request.top_k or math.inf
    top_p = request.top_p if request.top_p < 1 else math.inf
    return [
        1.0 if greedy else request.temperature,
        top_k,
        top_p,
        math.log(request.min_p) if request.min_p else -math.inf,
        request.presence_penalty,
        0.0 if min(top_k, top_p) < math.inf else -math.inf,
    ]


@dataclass(frozen=True)
class Steps:
    """The steps of the law that some row of a batch takes; the others are left out. Known without asking the device."""

    penalty: bool
    min_p: bool
    ranks: int  # how many of the largest logits top-k and top-p look at


def steps_of(requests: Sequence[Request | Decode], vocabulary: int) -> Steps:
    def ranks(request: Request | Decode) -> int:
        if request.temperature == 0:
            return 1
        return request.top_k or (vocabulary if request.top_p < 1 else 0)

    return Steps(
        penalty=any(request.presence_penalty != 0 for request in requests),
        min_p=any(request.min_p > 0 for request in requests),
        ranks=min(vocabulary, max(map(ranks, requests))),
    )


def draw(logits: Tensor, law: Law, steps: Steps, seen: Tensor, shares: Tensor) -> Tensor:
    """One token per row. `seen` marks the tokens that a row has already produced."""
    if steps.penalty:
        logits = logits - law.presence_penalty[:, None] * seen
    cumulative = token_weights(logits, law, steps).cumsum(-1)
    # A share is never 0, so the first token to reach its share of the total is one that has weight.
    return torch.searchsorted(cumulative, shares[:, None] * cumulative[:, -1:])[:, 0]


def token_weights(logits: Tensor, law: Law, steps: Steps) -> Tensor:
    """What the probabilities are proportional to, after any penalty: 0 for every token that the truncations leave out."""
    scaled = logits / law.temperature[:, None]
    largest = scaled.amax(-1, keepdim=True)
    weights = (scaled - largest).exp()
    if steps.min_p or steps.ranks:
        weights = torch.where(scaled >= _floor(scaled, largest, law, steps), weights, 0.0)
    return weights


def _floor(scaled: Tensor, largest: Tensor, law: Law, steps: Steps) -> Tensor:
    """The smallest logit that the truncations of each row leave."""
    floor = largest + law.log_min_p[:, None]
    if not steps.ranks:
        return floor
    best = _best(scaled, steps.ranks)
    keep = (best >= floor) & (torch.arange(steps.ranks, device=best.device) < law.top_k[:, None])
    weights = (best - largest).exp() * keep
    # Nucleus: the smallest prefix with at least top_p of the mass, so a token stays while the mass before it is less.
    mass = weights.cumsum(-1)
    keep &= mass - weights < law.top_p[:, None] * mass[:, -1:]
    lowest = best.masked_fill(~keep, math.inf).amin(-1, keepdim=True)
    return torch.maximum(floor, lowest + law.off_rank[:, None])


def _best(scaled: Tensor, count: int) -> Tensor:
    """The `count` largest of every row, in falling order."""
    if scaled.device.type != "cpu":
        return scaled.topk(count).values
    # On a CPU NumPy sorts all of them several times faster than torch finds the largest.
    return torch.from_numpy(np.sort(scaled.numpy())[:, : -count - 1 : -1].copy())
