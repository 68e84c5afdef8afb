"""How far the student's next word is from the teacher's, at every position of an answer, and the gradient of a weighted sum.

p is the student's law and q the teacher's, m = (1 − α) p + α q, D = (1 − α) KL(p‖m) + α KL(q‖m); at α = 0 it is KL(q‖p) and
at α = 1 KL(p‖q). Laws are compared in all words, or in the student's likeliest with the rest as one more word.

Logits are made for a few positions at a time, of both models, and the student's gradient with them. A position's weight in
the loss is its share, given, times the ratio of new to old probability, which is known only there: so a chunk first gives
log-probabilities and divergences, and then, weighted, its gradient.
"""

import functools
import types
from typing import Any, NamedTuple

import torch
from torch import Tensor

from selfdistill.training.objectives.head import (
    HeadGradients,
    float32_logits,
    head_precision,
    position_chunks,
    whole,
)
from selfdistill.training.objectives.ratios import ratio_of

LOGITS_TOGETHER = 2**24  # 64 MiB in float32
TABLES = 7  # so many of that are held at once, at most
SMALLEST_TAIL = 1e-7  # as in the reference: what float32 cannot tell from nothing


class Comparison(NamedTuple):
    """How two laws are compared, the same at all positions."""

    alpha: float
    support: int | None = None  # the student's so many likeliest words; None for all
    tail: bool = True  # the other words count as one more; without it, both laws are taken within the support
    token_clip: float | None = None  # no word's part of a divergence counts for more
    temperature: float = 1.0
    ratio_clip: float | None = None  # the largest ratio of new to old probability; None leaves divergences unweighted


class NextWords(NamedTuple):
    """A law at some positions by what it is made of."""

    hidden: Tensor  # position × width
    weight: Tensor
    bias: Tensor | None


class Positions(NamedTuple):
    """What is known of each position before its logits are."""

    tokens: Tensor  # that were sampled there
    shares: Tensor  # in the loss
    old_log_probs: Tensor  # of the tokens, when the answer was given


class Compared(NamedTuple):
    """The loss, a sum with a gradient; and of each position, without one:"""

    loss: Tensor
    divergence: Tensor
    reverse: Tensor  # KL(p‖q) on the same words
    ratio: Tensor  # new to old probability of the token, before it is clipped
    log_probs: Tensor  # of the token
    entropy: Tensor


def add_divergence(model: Any) -> None:
    """Two more ways to call `model`: `learnt=…` answers with its NextWords at these places, `against=…` as well compares.

    Places are numbers in the batch's tokens, one row after the other: a mask would make a GPU wait for their number.
    Within the model's own forward, where wrappers (autocast, adapters, several processes) see it as any other.
    """
    own_forward = model.forward

    @functools.wraps(own_forward)
    def forward(
        self: Any,
        *args: Any,
        learnt: Tensor | None = None,
        against: NextWords | None = None,
        positions: Positions | None = None,
        how: Comparison | None = None,
        **kwargs: Any,
    ) -> Any:
        if learnt is None:
            return own_forward(*args, **kwargs)
        hidden = self.base_model(*args, **kwargs, use_cache=False).last_hidden_state.flatten(0, 1)[learnt]
        head = self.get_output_embeddings()
        words = NextWords(hidden, whole(head.weight), whole(head.bias))
        if against is None or positions is None or how is None:
            return words
        return compare(words, against, positions, how)

    model.forward = types.MethodType(forward, model)


def compare(student: NextWords, teacher: NextWords, positions: Positions, how: Comparison) -> Compared:
    return Compared(*_Divergence.apply(*student, *teacher, *positions, how))


class _Divergence(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *given: Any) -> tuple[Tensor, ...]:
        student, teacher, positions, how = (
            NextWords(*given[:3]),
            NextWords(*given[3:6]),
            Positions(*given[6:9]),
            given[9],
        )
        gradients = HeadGradients(*student, ctx.needs_input_grad)
        short_student = _shortened(student)
        shared = teacher.weight.data_ptr() == student.weight.data_ptr()  # by adapters and the model without them
        short_teacher = _shortened(teacher._replace(weight=short_student.weight) if shared else teacher)
        found = []
        for chunk in position_chunks(len(student.hidden), len(student.weight), LOGITS_TOGETHER):
            here = Positions(*(each[chunk] for each in positions))
            own, told = _at(short_student, chunk), _at(short_teacher, chunk)
            of_logits, *numbers = _at_positions(float32_logits(*own), float32_logits(*told), here, how)
            gradients.add(chunk, of_logits, own.hidden, own.weight)
            del of_logits  # before there are the next
            found.append(torch.stack(numbers))
        ctx.gradients = gradients
        weighted, *numbers = torch.cat(found, 1) if found else student.hidden.new_zeros(6, 0, dtype=torch.float32)
        ctx.mark_non_differentiable(*numbers)
        return weighted.sum(), *numbers

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> Any:
        gradients = ctx.gradients.scaled(grad_outputs[0])
        del ctx.gradients  # a second pass would be wrong
        return *gradients, *(None,) * 7


def _shortened(words: NextWords) -> NextWords:
    return words._replace(weight=words.weight.to(head_precision(words.hidden)))


def _at(words: NextWords, chunk: slice) -> NextWords:
    """As they are multiplied: the hidden states of a few positions, for all of them would be another copy."""
    return words._replace(hidden=words.hidden[chunk].to(words.weight.dtype))


def _at_positions(student: Tensor, teacher: Tensor, here: Positions, how: Comparison) -> tuple[Tensor, ...]:
    """The gradient of the weighted sum by the student's logits, and the numbers of each position. Both logits are used up."""
    tokens = here.tokens[:, None]
    log_p, log_q = _log_law(student, how.temperature), _log_law(teacher, how.temperature)
    log_probs, p = log_p.gather(1, tokens)[:, 0], log_p.exp()
    entropy = -torch.linalg.vecdot(p, log_p)
    ratio = ratio_of(log_probs, here.old_log_probs)
    weight = here.shares if how.ratio_clip is None else here.shares * ratio.clamp(max=how.ratio_clip)
    if how.support is None or how.support >= p.shape[1]:
        divergence, reverse, of_entries = _entries(log_p, p, log_q, how)
        of_logits = of_entries.sub_(p.mul_(of_entries.sum(1, keepdim=True)))
    else:
        divergence, reverse, of_logits = _in_support(log_p, p, log_q, how)
    of_logits *= (weight / how.temperature)[:, None]
    return of_logits, weight * divergence, divergence, reverse, ratio, log_probs, entropy


def _log_law(logits: Tensor, temperature: float) -> Tensor:
    if temperature != 1:
        logits /= temperature
    logits -= logits.logsumexp(1, keepdim=True)
    return logits


def _in_support(log_p: Tensor, p: Tensor, log_q: Tensor, how: Comparison) -> tuple[Tensor, Tensor, Tensor]:
    """Divergence and KL(p‖q) of each position, and the gradient by its logits, where p was."""
    assert how.support is not None
    near_p, words = log_p.topk(how.support, 1)
    near_q = log_q.gather(1, words)
    if not how.tail:
        near_p, near_q = near_p.log_softmax(1), near_q.log_softmax(1)
        within = near_p.exp()
        divergence, reverse, of_entries = _entries(near_p, within, near_q, how)
        of_entries -= within * of_entries.sum(1, keepdim=True)
        return divergence, reverse, p.zero_().scatter_(1, words, of_entries)
    near_p, near_q = torch.cat([near_p, _tail(near_p)], 1), torch.cat([near_q, _tail(near_q)], 1)
    within = near_p.exp()
    divergence, reverse, of_entries = _entries(near_p, within, near_q, how)
    total = of_entries.sum(1, keepdim=True)
    p *= of_entries[:, -1:] / within[:, -1:] - total  # words of the rest move it by their part of it
    return divergence, reverse, p.scatter_(1, words, (of_entries - within * total)[:, :-1])


def _tail(near: Tensor) -> Tensor:
    """The logarithm of what a law gives to all words but those near."""
    log_sum = near.logsumexp(1, keepdim=True).clamp_(max=-SMALLEST_TAIL)
    return torch.log(-torch.expm1(log_sum))


def _entries(log_p: Tensor, p: Tensor, log_q: Tensor, how: Comparison) -> tuple[Tensor, Tensor, Tensor]:
    """Divergence and KL(p‖q) of each position, and its derivative by each log p, as if they were free.

    All the same may be added to a derivative in units of p, for p sums to 1. So that nothing is learnt where p = q, and not
    the rounding of something, it is what makes each part of it vanish there. The clip breaks that freedom.
    """
    alpha, clip = how.alpha, how.token_clip
    apart = log_q - log_p
    reverse_parts = -p * apart
    reverse = reverse_parts.sum(1)
    if alpha == 1:
        parts, of_entries = reverse_parts, reverse_parts if clip is None else reverse_parts + p
    elif alpha == 0:
        q = log_q.exp()
        parts, of_entries = q * apart, p - q if clip is None else -q
    else:
        to_mixture = _log_of_mixture(apart, alpha)  # log m/p
        of_entries = to_mixture * p * (alpha - 1)
        parts = apart.sub_(to_mixture).mul_(log_q.exp()).mul_(alpha).add_(of_entries)
    if clip is not None:
        of_entries = of_entries * (parts <= clip)
        parts = parts.clamp(max=clip)
    return parts.sum(1), reverse, of_entries


def _log_of_mixture(apart: Tensor, alpha: float) -> Tensor:
    """log((1 − α) + α e^apart), exact near 0 and finite far away."""
    smaller = torch.where(apart > 0, 1 - alpha, alpha)
    return smaller.mul_(apart.abs().neg_().expm1_()).log1p_().add_(apart.clamp(min=0))
