"""One pass over the weights for what `weights.change_sums` computes in twenty: a kernel for GPUs.

Imported only where there is a GPU, for Triton comes with torch's CUDA builds alone.
"""

from collections.abc import Sequence

import torch
import triton
import triton.language as tl

from selfdistill.training.instruments.bf16 import segment_sums
from selfdistill.training.instruments.update import Update

COLUMNS = 6
BLOCK = 4096


@triton.jit  # type: ignore[untyped-decorator]
def _sums(  # type: ignore[no-untyped-def]
    after, before, mean, square, out, size, rate, mean_left, square_left, eps, decay, first, apart, block: tl.constexpr
):  # fmt: skip
    offsets = tl.program_id(0).to(tl.int64) * block + tl.arange(0, block)
    there = offsets < size
    weight = tl.load(after + offsets, mask=there, other=0.0).to(tl.float32)
    bits = tl.load(before + offsets, mask=there, other=0)
    start = bits.to(tl.bfloat16, bitcast=True).to(tl.float32)
    root = tl.sqrt(tl.load(square + offsets, mask=there, other=0.0).to(tl.float32) / square_left) + eps
    update = -rate / mean_left * tl.load(mean + offsets, mask=there, other=0.0).to(tl.float32) / root - decay * start
    update = tl.where(there, update, 0.0)
    exponent = tl.maximum((bits.to(tl.int32) >> 7) & 0xFF, 8)
    ulp = ((exponent - 7) << 23).to(tl.float32, bitcast=True)
    moved = (start + update).to(tl.bfloat16).to(tl.float32) - start
    changed = (weight.to(tl.bfloat16).to(tl.int16, bitcast=True) != bits) & there
    place = out + first + tl.program_id(0)
    tl.store(place, tl.sum(changed.to(tl.float32)))
    tl.store(place + apart, tl.sum(tl.minimum(tl.abs(update) / ulp, 1.0)))
    tl.store(place + 2 * apart, tl.sum((moved != 0).to(tl.float32)))
    tl.store(place + 3 * apart, tl.sum(update * update))
    tl.store(place + 4 * apart, tl.sum(update * moved))
    tl.store(place + 5 * apart, tl.sum(weight * weight))


def fused_sums(updates: Sequence[Update]) -> torch.Tensor:
    """The columns of `change_sums` of the update that `adam_update` reads, a row for each parameter."""
    blocks = [triton.cdiv(update.after.numel(), BLOCK) for update in updates]
    out = torch.empty(COLUMNS, sum(blocks), dtype=torch.float32, device=updates[0].after.device)
    ends = torch.tensor(blocks).cumsum(0)
    for (after, before, mean, square, step, of), count, end in zip(updates, blocks, ends.tolist(), strict=True):
        beta1, beta2 = of["betas"]
        _sums[(count,)](
            after, before, mean, square, out, after.numel(), of["lr"], 1 - beta1**step, 1 - beta2**step, of["eps"],
            of["lr"] * of["weight_decay"], end - count, out.shape[1], block=BLOCK, num_warps=8,
        )  # fmt: skip
    return segment_sums(out, ends.to(out.device)).T
