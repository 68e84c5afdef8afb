"""The sampling law, for a batch of rows that may each have another decode, and the random numbers behind it.

Order of operations is vLLM's: presence penalty, temperature, min-p, top-k, then top-p inside the top-k set. All three
truncations come down to one floor a row: tokens below it are out. What stays is drawn from by inversion, in the order of
token ids. A row's random number for its n-th token is a hash of the row's own seed and n, so that a draw does not depend
on who else is in the batch.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from selfdistill.sampling.requests import Request

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
