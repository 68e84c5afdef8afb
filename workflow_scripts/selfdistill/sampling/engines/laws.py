"""What is kept of next-token laws: from logits to the likeliest tokens and a few numbers, some positions at a time."""

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from selfdistill.sampling.requests import NextTokens

LOGITS_TOGETHER = 2**25  # numbers; 128 MiB, and the statistics take a few times that


def next_tokens(
    carrier_id: str, logits_of: Callable[[slice], Tensor], stood: Tensor, top: int, together: int
) -> NextTokens:
    """`logits_of` gives the float32 logits of some of the positions, `together` at most; `stood` are the tokens there."""
    parts = [_kept(logits_of(part), stood[part], top) for part in parts_of(len(stood), together)]
    ids, logprobs, log_sum_exp, entropy, ranks, given = (
        torch.cat(each).cpu().numpy() for each in zip(*parts, strict=True)
    )
    return NextTokens(carrier_id, ids, logprobs, log_sum_exp, entropy, ranks, given)


def parts_of(length: int, together: int) -> Iterator[slice]:
    for begin in range(0, length, together):
        yield slice(begin, min(begin + together, length))


def positions_together(vocabulary: int) -> int:
    return max(1, LOGITS_TOGETHER // vocabulary)


def _kept(logits: Tensor, stood: Tensor, top: int) -> Sequence[Tensor]:
    total = logits.logsumexp(-1)
    best = logits.topk(min(top, logits.shape[-1]))
    given = logits.gather(1, stood[:, None])
    ranks = 1 + (logits > given).sum(-1)
    # The mean surprise, as it is: log-sum-exp less the mean logit would lose the digits that both share.
    surprise = total[:, None] - logits
    entropy = (surprise.neg().exp() * surprise).sum(-1)
    return (
        best.indices.int(), best.values - total[:, None], total.double(), entropy.double(), ranks.int(),
        (given[:, 0] - total).double(),
    )  # fmt: skip
