"""What a token is weighted by because its engine is another program than the trainer, and the facts of an update."""

from typing import TYPE_CHECKING

import torch

from selfdistill.training.objectives.ratios import ratio_of
from selfdistill.training.practice.objective import Batch, Fact

if TYPE_CHECKING:
    from torch import Tensor


def token_fact(values: "Tensor", tokens: "Tensor") -> Fact:
    """A mean over the tokens where the mask is."""
    return Fact((values * tokens).sum().detach(), tokens.sum())


def engine_weights(batch: Batch, is_clip: float | None) -> tuple["Tensor | None", dict[str, Fact]]:
    """Trainer's over engine's probability of each token, cut at `is_clip`; both at the generation's start.

    A token that the engine gave no probability for counts once.
    """
    if is_clip is None:
        return None, {}
    known = torch.where(batch.engine_logps.isnan(), batch.old_plain_logps, batch.engine_logps)
    ratio = ratio_of(batch.old_plain_logps, known)
    weights, tokens = ratio.clamp(max=is_clip), batch.completion_mask
    return weights, {"is_clipped": token_fact(ratio > is_clip, tokens), "is_mean": token_fact(weights, tokens)}
