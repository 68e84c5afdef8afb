"""The sampling law, for a batch of rows that may each have another decode, and the random numbers behind it.

Order of operations is vLLM's: presence penalty, temperature, min-p, top-k, then top-p inside the top-k set. A row's
random number for its n-th token is a hash of the row's own seed and n, so that a draw does not depend on who else is
in the batch.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

_GOLDEN = 0x9E3779B97F4A7C15 - (1 << 64)
_MIX_1 = 0xBF58476D1CE4E5B9 - (1 << 64)
_MIX_2 = 0x94D049BB133111EB - (1 << 64)


def uniform(seeds: Tensor, counts: Tensor) -> Tensor:
    """Uniform numbers in [0, 1), one per row: splitmix64 (Steele et al. 2014) of seed and count. int64 wraps around."""
    z = _mix(_mix(seeds) + (counts + 1) * _GOLDEN)
    return _shift(z, 11).to(torch.float64) * 2.0**-53


def _mix(z: Tensor) -> Tensor:
    z = (z ^ _shift(z, 30)) * _MIX_1
    z = (z ^ _shift(z, 27)) * _MIX_2
    return z ^ _shift(z, 31)


def _shift(z: Tensor, bits: int) -> Tensor:
    """Logical right shift; torch shifts signed integers arithmetically."""
    return (z >> bits) & ((1 << (64 - bits)) - 1)


@dataclass
class Law:
    """The decode of every row, as columns."""

    temperature: Tensor
    top_k: Tensor  # 0: off
    top_p: Tensor
    min_p: Tensor
    presence_penalty: Tensor


def draw(logits: Tensor, law: Law, seen: Tensor | None, seeds: Tensor, counts: Tensor) -> Tensor:
    """One token per row. `seen` marks the tokens a row has already produced; None when no row has a penalty."""
    if seen is not None:
        logits = logits - law.presence_penalty[:, None] * seen
    greedy = law.temperature == 0
    scaled = logits / torch.where(greedy, 1.0, law.temperature)[:, None]
    chance = uniform(seeds, counts).to(logits.dtype if logits.dtype == torch.float64 else torch.float32)
    truncated = (law.top_k > 0) | (law.top_p < 1) | (law.min_p > 0)
    if bool(truncated.any()):
        drawn = _draw_truncated(scaled, law, chance)
    else:
        drawn = _invert(scaled.softmax(-1), chance)
    return torch.where(greedy, logits.argmax(-1), drawn)


def _draw_truncated(scaled: Tensor, law: Law, chance: Tensor) -> Tensor:
    width = scaled.shape[-1]
    if bool((law.top_k > 0).all()):
        width = min(width, int(law.top_k.max()))
    top, tokens = scaled.topk(width, dim=-1)
    rank = torch.arange(width, device=scaled.device)
    keep = (top - top[:, :1]).exp() >= law.min_p[:, None]
    keep &= (rank < law.top_k[:, None]) | (law.top_k[:, None] == 0)
    probability = top.masked_fill(~keep, float("-inf")).softmax(-1)
    # Nucleus: the smallest prefix with at least top_p of the mass, so a token stays while the mass before it is less.
    before = probability.cumsum(-1) - probability
    keep &= (before < law.top_p[:, None]) | (law.top_p[:, None] >= 1)
    probability = probability.masked_fill(~keep, 0.0)
    return tokens.gather(-1, _invert(probability, chance)[:, None])[:, 0]


def _invert(weights: Tensor, chance: Tensor) -> Tensor:
    """Inverse of the cumulative distribution: the first index whose cumulative weight exceeds chance times the total."""
    cumulative = weights.cumsum(-1)
    target = chance[:, None].clamp(max=1 - 2**-24) * cumulative[:, -1:]
    return torch.searchsorted(cumulative, target, right=True)[:, 0].clamp(max=weights.shape[-1] - 1)
