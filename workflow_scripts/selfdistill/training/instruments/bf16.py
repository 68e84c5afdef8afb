"""What bf16 makes of a weight and of an update to it: the view of its bits, the spacing of its grid, what rounding keeps.

bf16 has 8 significant bits: for 2^e ≤ |w| < 2^(e+1) neighbours lie 2^(e-7) apart. A weight on the grid moves when its
update is larger than half of that; a float32 weight lies anywhere in its cell and is seen to move with probability
min(1, |u| / ulp).
"""

from collections.abc import Iterable

import torch
from torch.nn import functional

EXACT = torch.float64
# Elements worked on at once, so that no temporary is as large as an embedding; a GPU minds the number of kernels more.
TOGETHER = {"cpu": 1 << 22, "cuda": 1 << 26}


def bits(weights: torch.Tensor) -> torch.Tensor:
    """The bf16 view of weights, as integers that differ when and only when it does."""
    return weights.detach().to(torch.bfloat16).view(torch.int16)


def spacing(view: torch.Tensor) -> torch.Tensor:
    """The distance of neighbours on the grid around each weight, from its bits."""
    power = (view & 0x7F80).to(torch.int32).clamp_(min=8 << 7) << 16  # the bits of 2^e as a float32
    return power.sub_(7 << 23).view(torch.float32)


def exponents(values: torch.Tensor) -> torch.Tensor:
    """floor(log2 |x|) + 127 of each; 0 of zeros (and of what float32 has no exponent for)."""
    return ((values.view(torch.int32) >> 23) & 0xFF).long()


def pieces(tensor: torch.Tensor) -> tuple[torch.Tensor, ...]:
    return tensor.flatten().split(TOGETHER[tensor.device.type])


def segment_sums(values: torch.Tensor, ends: torch.Tensor) -> torch.Tensor:
    """Sums along the last axis of consecutive segments, which end before `ends`: a handful of kernels for hundreds."""
    totals = functional.pad(values.cumsum(-1, dtype=EXACT), (1, 0))
    return totals[..., ends].diff(dim=-1, prepend=totals[..., :1])


@torch.no_grad()
def share_moved_in_bf16(parameters: Iterable[torch.Tensor], update: float) -> float:
    """The share of weights, as bf16 holds them, that an update of this size moves."""
    moved = total = 0
    for parameter in parameters:
        for part in pieces(parameter.detach()):
            moved += int((update > spacing(bits(part)) / 2).sum())
            total += part.numel()
    return moved / max(1, total)
