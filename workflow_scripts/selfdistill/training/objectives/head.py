"""A model's head in chunks: logits for a few positions at a time, and their gradients while they are there.

Logits are never made all at once: 32k tokens × 248k words would be 30 GiB.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor


def whole(parameter: Tensor | None) -> Any:
    """A parameter of the head, also where FSDP has shared it out."""
    gathered = getattr(parameter, "full_tensor", None)
    return gathered() if gathered else parameter


def position_chunks(positions: int, vocabulary: int, together: int) -> Iterator[slice]:
    """Positions whose logits, so many numbers, are made at once."""
    size = max(1, together // vocabulary)
    return (slice(begin, min(begin + size, positions)) for begin in range(0, positions, size))


def head_precision(hidden: Tensor) -> torch.dtype:
    device = hidden.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else hidden.dtype


def float32_logits(hidden: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Logits as they were summed: rounded to bf16, probabilities would be off by more than q differs from p."""
    logits = torch.zeros(len(hidden), len(weight), device=hidden.device)
    if bias is not None:
        logits += bias
    _add_product(logits, hidden, weight.t())
    return logits


class HeadGradients:
    """The gradients of the head, made on the way forward, where the logits are, and only scaled on the way back."""

    def __init__(self, hidden: Tensor, weight: Tensor, bias: Tensor | None, needed: tuple[bool, ...]) -> None:
        self.precisions = hidden.dtype, weight.dtype, weight.dtype
        self.hidden, self.weight, self.bias = (
            torch.zeros(each.shape, device=hidden.device) if each is not None and needs else None
            for each, needs in zip((hidden, weight, bias), needed, strict=False)
        )

    def add(self, chunk: slice, of_logits: Tensor, hidden: Tensor, weight: Tensor) -> None:
        """`hidden` of the chunk and `weight` as they were multiplied."""
        short = of_logits.to(weight.dtype)
        if self.hidden is not None:
            _add_product(self.hidden[chunk], short, weight)
        if self.weight is not None:
            _add_product(self.weight, short.t(), hidden)
        if self.bias is not None:
            self.bias += of_logits.sum(0)

    def scaled(self, scale: Tensor) -> list[Tensor | None]:
        """Once: they are scaled in place, to save their memory."""
        return [
            None if each is None else each.mul_(scale).to(precision)
            for each, precision in zip((self.hidden, self.weight, self.bias), self.precisions, strict=True)
        ]


def _add_product(total: Tensor, a: Tensor, b: Tensor) -> None:
    """total += a @ b in float32."""
    if total.is_cuda and a.dtype != torch.float32:
        torch.addmm(total, a, b, out_dtype=torch.float32, out=total)
    else:
        total.addmm_(a.float(), b.float())


@torch.no_grad()
def head_makes_the_logits(model: Any, token_ids: list[int]) -> bool:
    """Some models scale or cap what their head gives, which losses that use the head know nothing of."""
    ids = torch.tensor([token_ids], device=model.device)
    own = model(input_ids=ids, use_cache=False).logits[0].float()
    hidden, head = model.base_model(input_ids=ids, use_cache=False).last_hidden_state[0], model.get_output_embeddings()
    precision = head_precision(hidden)
    ours = float32_logits(hidden.to(precision), head.weight.to(precision), head.bias)
    return torch.allclose(own, ours, rtol=1e-3, atol=1e-3 * float(own.abs().max()))
