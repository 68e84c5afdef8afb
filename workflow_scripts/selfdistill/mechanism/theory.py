"""The theory of simple self-distillation (arXiv 2604.01193), as arithmetic on next-token laws, in float64.

A law is a row of log-probabilities, the likeliest first, and the mass of all tokens that are not in it, `rest`: a probe keeps
256 tokens. With the whole vocabulary the rest is 0 and all of this is exact. Else the rest is one bucket, reckoned as if it
held tokens as likely as the last one kept, `rest / p_K` of them. That is exact at temperature 1, and wherever a decode
keeps no more than the kept tokens and is renormalised within them (top-k up to 256). Elsewhere, which is in masses and
entropies before truncation, and in nuclei without top-k, `rest_bounds` says between which limits the bucket's weight lies.

The order of a decode is vLLM's: temperature, min-p, top-k, top-p inside the top-k set; tokens of equal probability stay or
go together. The presence penalty is left out: it belongs to a text, not to a law.
"""

import math
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


class Decoding(Protocol):
    """What of a decode counts here; `study/sampling.py: Decode` has it."""

    @property
    def temperature(self) -> float: ...
    @property
    def top_k(self) -> int: ...
    @property
    def top_p(self) -> float: ...
    @property
    def min_p(self) -> float: ...


class Rule(NamedTuple):
    """A decode by itself."""

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0


PLAIN = Rule()
ROUNDING = 1e-6  # of the sum of float32 probabilities
TIES = 8  # beyond top-k


def rule_of(decode: Decoding) -> Rule:
    """Greedy decoding is top-k with k = 1."""
    if decode.temperature == 0:
        return Rule(1.0, 1)
    return Rule(decode.temperature, decode.top_k, decode.top_p, decode.min_p)


def is_plain(rule: Rule) -> bool:
    """Whether sampling by it is sampling from the law itself."""
    return rule == PLAIN


@dataclass(frozen=True)
class Laws:
    """Some positions' laws: [positions, tokens] in falling order, and the mass beyond them. Rows may have fewer tokens than
    others, and −∞ in their place."""

    log_p: Array
    rest: Array
    last: Array  # of the least likely token that is kept

    @classmethod
    def of(cls, log_p: Array) -> "Laws":
        """The rest is what is missing from 1, and none where that is rounding."""
        missing = 1 - np.exp(log_p).sum(-1)
        last = log_p[:, -1]
        if not np.isfinite(last).all():
            last = np.where(np.isfinite(log_p), log_p, math.inf).min(-1)
        return cls(log_p, np.where(missing > ROUNDING, missing, 0.0), last)

    def narrow(self, rule: Rule) -> "Laws":
        """As much as a truncation to a few tokens looks at, without the mass of what it does not."""
        width = rule.top_k + TIES
        if not rule.top_k or width >= self.log_p.shape[1]:
            return self
        return Laws(self.log_p[:, :width], np.zeros(len(self.log_p)), self.log_p[:, width - 1])


@dataclass(frozen=True)
class Decoded:
    """A law as a decode samples from it."""

    kept: Array  # which of the tokens stay
    rest_kept: Array  # whether the bucket stays
    q: Array  # probabilities of the tokens, 0 of those that are out
    rest_q: Array  # of the bucket
    mass: Array  # of the tempered law, in what stays
    size: Array  # tokens that stay
    entropy: Array  # of q


def rest_weight(laws: Laws, temperature: float) -> Array:
    """log Σ p^(1/T) over the rest, if each of its tokens were as likely as the last one kept."""
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(laws.rest) + (1 / temperature - 1) * laws.last)


def rest_bounds(laws: Laws, temperature: float, vocabulary: int) -> tuple[Array, Array]:
    """Between what the logarithm of the rest's tempered weight lies, of all ways to share its mass among the tokens that there are.

    Each of the n tokens beyond has at most the last one's probability, so that at least m/p_K of them share the mass m; and
    Σ p^a is farthest from that where all n have m/n. At temperature 1 both are log m.
    """
    beyond = max(1, vocabulary - laws.log_p.shape[1])
    power = 1 / temperature
    with np.errstate(divide="ignore"):
        spread = (1 - power) * math.log(beyond) + power * np.log(laws.rest)
    packed = rest_weight(laws, temperature)
    return np.minimum(packed, spread), np.maximum(packed, spread)


def decoded(laws: Laws, rule: Rule) -> Decoded:
    """Temperature, then what each truncation leaves, renormalised."""
    scaled = laws.log_p / rule.temperature
    largest = scaled[:, :1]
    weights = np.exp(scaled - largest)
    rest = np.exp(rest_weight(laws, rule.temperature) - largest[:, 0])
    kept, rest_kept = _kept(scaled, weights, rest, rule)
    inside = np.where(kept, weights, 0.0)
    rest_inside = np.where(rest_kept, rest, 0.0)
    whole = inside.sum(-1) + rest_inside
    q = inside / whole[:, None]
    rest_q = rest_inside / whole
    of_last = laws.last / rule.temperature - largest[:, 0] - np.log(whole)
    return Decoded(
        kept=kept,
        rest_kept=rest_kept,
        q=q,
        rest_q=rest_q,
        mass=whole / (weights.sum(-1) + rest),
        size=kept.sum(-1) + np.where(rest_kept, laws.rest / np.exp(laws.last), 0.0),
        entropy=-_times_log(q).sum(-1) - np.where(rest_q > 0, rest_q * of_last, 0.0),
    )


def _kept(scaled: Array, weights: Array, rest: Array, rule: Rule) -> tuple[Array, Array]:
    count = scaled.shape[1]
    floor = scaled[:, :1] + (math.log(rule.min_p) if rule.min_p else -math.inf)
    there = np.isfinite(scaled)
    kept = there & (scaled >= floor)
    rest_there = (rest > 0) & (kept | ~there).all(-1) & (not rule.top_k or rule.top_k > count)
    if rule.top_k or rule.top_p < 1:
        ranks = min(rule.top_k or count, count)
        ranked = weights[:, :ranks] * kept[:, :ranks]
        mass = ranked.cumsum(-1)
        whole = mass[:, -1:] + np.where(rest_there, rest, 0.0)[:, None]
        # The smallest prefix with at least top_p of the mass: a token stays while the mass before it is less.
        within = kept[:, :ranks] & (mass - ranked < rule.top_p * whole if rule.top_p < 1 else True)
        lowest = np.where(within, scaled[:, :ranks], math.inf).min(-1, keepdims=True)
        kept = there & (scaled >= np.maximum(floor, lowest))
        if rule.top_p < 1:
            rest_there &= mass[:, -1] < rule.top_p * whole[:, 0]
    return kept, rest_there


class Tempered(NamedTuple):
    """A law at a temperature, before any truncation."""

    log_weight: Array  # log Σ p^(1/T)
    entropy: Array


def tempered(laws: Laws, temperature: float) -> Tempered:
    scaled = laws.log_p / temperature
    largest = scaled[:, 0]
    weights = np.exp(scaled - largest[:, None])
    rest = np.exp(rest_weight(laws, temperature) - largest)
    whole = weights.sum(-1) + rest
    log_weight = largest + np.log(whole)
    if not np.isfinite(scaled[:, -1]).all():
        scaled = np.where(np.isfinite(scaled), scaled, 0.0)
    scores = np.einsum("nk,nk->n", weights, scaled)
    return Tempered(log_weight, log_weight - (scores + rest * laws.last / temperature) / whole)


def _times_log(p: Array) -> Array:
    return np.asarray(p * np.log(np.where(p > 0, p, 1.0)))


class LossTerms(NamedTuple):
    """Cross-entropy of a student against the target is the sum of these four, at every position (equation 4 of the paper)."""

    compression: Array  # −log of the student's mass in the target's support
    reshaping: Array  # (1−T) times the Rényi entropy of order 1/T of the student within it: for T > 1 lower where it is flatter
    anchor: Array  # T times what the student is from the base within it
    target: Array  # T times the target's entropy: training does not move it

    @property
    def total(self) -> Array:
        return np.asarray(self.compression + self.reshaping + self.anchor + self.target)


def loss_terms(q: Array, log_p: Array, temperature: float) -> LossTerms:
    """`q`: the target's probabilities, 0 outside its support; `log_p`: the student's, of the same tokens."""
    support = q > 0
    log_kept = log_mass(log_p, support)
    inside = np.where(support, log_p - log_kept[:, None], -math.inf)
    log_weight = log_sum(inside / temperature)
    tempered = inside / temperature - log_weight[:, None]
    divergence = (
        np.where(support, q * (np.log(np.where(support, q, 1.0)) - np.where(support, tempered, 0.0)), 0.0)
    ).sum(-1)
    return LossTerms(
        compression=-log_kept,
        reshaping=-temperature * log_weight,
        anchor=temperature * divergence,
        target=-temperature * _times_log(q).sum(-1),
    )


def cross_entropy(q: Array, log_p: Array) -> Array:
    """−Σ q log p, where q has any."""
    return np.asarray(-(q * np.where(q > 0, log_p, 0.0)).sum(-1))


def divergence(q: Array, log_p: Array) -> Array:
    """KL(q‖p). Finite: the target's support lies within the base's, and no logit of a student is −∞."""
    return np.asarray(cross_entropy(q, log_p) + _times_log(q).sum(-1))


def log_mass(log_p: Array, support: Array) -> Array:
    return log_sum(np.where(support, log_p, -math.inf))


def log_sum(log_p: Array) -> Array:
    largest = log_p.max(-1, keepdims=True)
    largest = np.where(np.isfinite(largest), largest, 0.0)
    return np.asarray(largest[:, 0] + np.log(np.exp(log_p - largest).sum(-1)))


def loss_gradient(q: Array, p: Array) -> Array:
    """By logit (equation 17): −(1−kept) p(v|S) + [p(v|S) − q(v)] inside the support, p(v) outside. It is p − q."""
    support = q > 0
    kept = np.where(support, p, 0.0).sum(-1, keepdims=True)
    inside = p / kept
    return np.where(support, -(1 - kept) * inside + (inside - q), p)


def temper(p: Array, temperature: float, support: Array | None = None) -> Array:
    """Temper_T[p | S]; twice is once at the product of the temperatures (lemma B.1)."""
    inside = p > 0 if support is None else support & (p > 0)
    with np.errstate(divide="ignore"):
        log_p = np.where(inside, np.log(np.where(p > 0, p, 1.0)), -math.inf) / temperature
    return np.asarray(np.exp(log_p - log_sum(log_p)[:, None]))


def effective_temperature(training: float, evaluation: float) -> float:
    """At which the base, cut to the training support, says what a student that learned its target says when it is decoded at
    `evaluation` (proposition B.2). Limits: a perfect fit at every context, and no truncation of the evaluation's own that
    cuts into the support."""
    return training * evaluation


class Gain(NamedTuple):
    """Of the probability of a set of tokens, by self-distillation (proposition B.3): a factor, and what it is made of."""

    by_support: Array  # 1 over the base's mass in the support, at the evaluation's temperature
    by_temperature: (
        Array  # what the product of the temperatures does within the support, against the evaluation's alone
    )

    @property
    def factor(self) -> Array:
        return np.asarray(self.by_support * self.by_temperature)


def gain(p: Array, members: Array, support: Array, training: float, evaluation: float) -> Gain:
    whole = temper(p, evaluation)
    both = temper(p, effective_temperature(training, evaluation), support)
    alone = temper(p, evaluation, support)
    inside = members & support
    return Gain(
        1 / np.where(support, whole, 0.0).sum(-1),
        np.where(inside, both, 0.0).sum(-1) / np.where(inside, alone, 0.0).sum(-1),
    )
