"""The loss of soft targets: Σ_t Σ_v −q_t(v) log p_t(v), q from the teacher's table and p the student's whole softmax.

Its gradient is what the one-hot loss has in expectation over the samples, without their noise (docs/how-it-works.md).
Logits are made for a few positions at a time and never all at once: 32k tokens × 248k words would be 30 GiB.
"""

import functools
import types
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor

from selfdistill.training.examples.rows import IGNORED
from selfdistill.training.objectives import head as heads
from selfdistill.training.objectives.head import HeadGradients, float32_logits, head_precision, whole

LOGITS_TOGETHER = 2**26  # 256 MiB in float32


class SoftTargets(NamedTuple):
    """q at some positions, one position after the other."""

    retained: Tensor  # how many tokens q gives weight to, at each position
    token_ids: Tensor
    probabilities: Tensor


def add_soft_loss(model: Any) -> None:
    """`model(..., soft_targets=…)` answers like TRL's fused head, with sums: log-probabilities in expectation over q.

    Within the model's own forward, where wrappers (autocast, adapters, several processes) see it as any other.
    """
    from selfdistill.training.trainer.stock import FusedCausalLMOutput

    one_hot_forward = model.forward

    @functools.wraps(one_hot_forward)
    def forward(self: Any, *args: Any, soft_targets: dict[str, Tensor] | None = None, **kwargs: Any) -> Any:
        if soft_targets is None:
            return one_hot_forward(*args, **kwargs)
        supervised = kwargs.pop("labels")[:, 1:] != IGNORED
        kwargs.pop("fused_lm_head", None)
        hidden = self.base_model(*args, **kwargs).last_hidden_state[:, :-1][supervised]
        loss, entropy = soft_cross_entropy(hidden, self.get_output_embeddings(), SoftTargets(**soft_targets))
        return FusedCausalLMOutput(log_probs=-loss, entropy=entropy, label_mask=supervised)

    model.forward = types.MethodType(forward, model)


class SoftLoss(NamedTuple):
    """Sums over positions."""

    loss: Tensor
    entropy: Tensor  # of the student


def soft_cross_entropy(hidden: Tensor, head: Any, targets: SoftTargets) -> SoftLoss:
    """`hidden` has a row for each position."""
    return SoftLoss(*_SoftCrossEntropy.apply(hidden, whole(head.weight), whole(head.bias), *targets))


class _SoftCrossEntropy(torch.autograd.Function):
    """The gradients of the head are made on the way forward, where the logits are, and only scaled on the way back."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        retained: Tensor,
        token_ids: Tensor,
        probabilities: Tensor,
    ) -> tuple[Tensor, Tensor]:
        precision = head_precision(hidden)
        short_hidden, short_weight = hidden.to(precision), weight.to(precision)
        gradients = HeadGradients(hidden, weight, bias, ctx.needs_input_grad)
        ends = [0, *retained.cumsum(0).tolist()]
        loss, entropy = torch.zeros((), device=hidden.device), torch.zeros((), device=hidden.device)
        for chunk in position_chunks(len(hidden), len(weight)):
            entries = slice(ends[chunk.start], ends[chunk.stop])
            targets = SoftTargets(retained[chunk], token_ids[entries], probabilities[entries])
            of_logits, *sums = _at_positions(float32_logits(short_hidden[chunk], short_weight, bias), targets)
            loss += sums[0]
            entropy += sums[1]
            gradients.add(chunk, of_logits, short_hidden[chunk], short_weight)
            del of_logits  # before there are the next
        ctx.gradients = gradients
        ctx.mark_non_differentiable(entropy)
        return loss, entropy

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> Any:
        gradients = ctx.gradients.scaled(grad_outputs[0])
        del ctx.gradients  # a second pass would be wrong
        return *gradients, None, None, None


def _at_positions(logits: Tensor, targets: SoftTargets) -> tuple[Tensor, Tensor, Tensor]:
    """The loss's gradient by logit, p − q; the loss and the student's entropy, summed. The logits are used up."""
    rows = torch.arange(len(logits), device=logits.device).repeat_interleave(targets.retained)
    places = rows, targets.token_ids.long()
    log_p = logits.sub_(logits.logsumexp(-1, keepdim=True))
    loss = -(targets.probabilities * log_p[places]).sum()
    p = log_p.exp()
    entropy = -torch.dot(p.flatten(), log_p.flatten())
    p[places] -= targets.probabilities
    return p, loss, entropy


def position_chunks(positions: int, vocabulary: int) -> Iterator[slice]:
    """Positions whose logits are made at once."""
    return heads.position_chunks(positions, vocabulary, LOGITS_TOGETHER)
