"""What is measured at every position, by one model alone and by a model beside the base; arrays by position, no statistics.

A model beside the base is read on the base's tokens. Its movement is told two ways. Within the target's support both shifts
of log-probability, the one seen and the one that the target asks for, are finite: they are centred and compared, weighted by
the base's probabilities there. Over all tokens the target asks for −∞ outside its support; square roots of probabilities
keep that finite, and their differences are, for small shifts, half the shift of the log-probability times √p.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from selfdistill.mechanism.probes import Lookup, Probes
from selfdistill.mechanism.theory import Array, Laws, Rule, decoded, divergence, log_mass, loss_terms, tempered
from selfdistill.tables import words

Key = tuple[str, str | None]  # a measure, and the decode that it is taken under
Features = dict[Key, Array]

# Names of arrays that the target's rows are made from, and that are no measures by themselves.
DIVERGENCE = "KL(target, model)"
COMPRESSION_OF_TARGET = "−log kept mass"
WITHIN = "KL(target, model within the support)"
SEEN_SQUARED, SEEN_BY_ASKED, ASKED_SQUARED = "shift seen, squared", "shift seen by shift asked", "shift asked, squared"
MOVED_SQUARED, MOVED_BY_ASKED, MOVE_ASKED_SQUARED = "movement, squared", "movement by what is asked", "asked, squared"
CURVE_SURVIVORS, CURVE_ENTROPY, CURVE_MASS = (
    words.SURVIVORS_BY_TEMPERATURE,
    words.ENTROPY_BY_TEMPERATURE,
    words.MASS_BY_RANK,
)


def by_itself(probes: Probes, decodes: Mapping[str, Rule]) -> Features:
    """Before any decode, and under each."""
    found: dict[Key, list[Array]] = {}
    for rows in probes.parts():
        laws = probes.part(rows)
        _append(found, {(words.TOP_PROBABILITY, None): np.exp(laws.log_p[:, 0])})
        whole = {rule.temperature: tempered(laws, rule.temperature) for rule in decodes.values()}
        for name, rule in decodes.items():
            narrow = laws.narrow(rule)
            view, before = decoded(narrow, rule), whole[rule.temperature]
            kept = log_mass(narrow.log_p / rule.temperature, view.kept)
            mass = np.where(view.rest_kept, view.mass, np.minimum(1.0, np.exp(kept - before.log_weight)))
            _append(found, {
                (words.KEPT_MASS, name): mass,
                (words.NUCLEUS_SIZE, name): view.size,
                (words.ENTROPY_BEFORE, name): before.entropy,
                (words.ENTROPY_AFTER, name): view.entropy,
            })  # fmt: skip
    features = {key: np.concatenate(parts) for key, parts in found.items()}
    features[words.ENTROPY, None] = probes.entropy
    return features


def curves(probes: Probes, rule: Rule, temperatures: list[float], ranks: list[int]) -> dict[tuple[str, float], Array]:
    """What stays of the decode's truncation at other temperatures, and the mass of the likeliest tokens."""
    found: dict[tuple[str, float], list[Array]] = {}
    for rows in probes.parts():
        laws = probes.part(rows)
        narrow = laws.narrow(rule)
        for temperature in temperatures:
            view = decoded(narrow, rule._replace(temperature=temperature))
            _append(found, {(CURVE_SURVIVORS, temperature): view.size, (CURVE_ENTROPY, temperature): view.entropy})
        mass = np.exp(laws.log_p[:, : max(ranks)]).cumsum(-1)
        _append(found, {(CURVE_MASS, float(rank)): mass[:, min(rank, mass.shape[1]) - 1] for rank in ranks})
    return {key: np.concatenate(parts) for key, parts in found.items()}


def beside_the_base(base: Probes, model: Probes, decodes: Mapping[str, Rule], targets: Mapping[str, Rule]) -> Features:
    """Of a model at the base's positions, against the base's kept sets and the targets that they make."""
    found: dict[Key, list[Array]] = {}
    lookup = Lookup(base, model)
    for rows in base.parts():
        laws, ids = base.part(rows), base.ids[rows]
        log_p = laws.log_p if model is base else lookup.log_p(ids, model, rows)
        _append(found, {(words.SWAPS, None): (model.ids[rows, 0] != ids[:, 0]).astype(float)})
        for name, rule in decodes.items():
            view = decoded(laws.narrow(rule), rule)
            width = view.kept.shape[1]
            outside = 1 - np.where(view.kept, np.exp(log_p[:, :width]), 0.0).sum(-1)
            tail = np.where(view.rest_kept, 0.0, np.clip(outside, 0, 1))
            _append(found, {(words.TAIL_MASS, name): tail})
        moved = _roots(laws, log_p)
        for name, rule in targets.items():
            _append(found, _against_target(laws, log_p, moved, name, rule))
    return {key: np.concatenate(parts) for key, parts in found.items()}


def _roots(laws: Laws, log_p: Array) -> tuple[Array, Array, Array, Array]:
    """Square roots of the base's and the model's probabilities, and of their buckets'."""
    base, model = np.exp(laws.log_p / 2), np.exp(log_p / 2)
    beyond = np.maximum(1 - np.square(model).sum(-1), 0.0)
    beyond_base = np.maximum(1 - np.square(base).sum(-1), 0.0)
    return base, model, np.sqrt(beyond_base), np.sqrt(beyond)


def _against_target(laws: Laws, log_p: Array, roots: tuple[Array, ...], name: str, rule: Rule) -> Features:
    narrow = laws.narrow(rule)
    view = decoded(narrow, rule)
    width, q, beyond_base, beyond = view.q.shape[1], view.q, roots[2], roots[3]
    base_log, model_log = narrow.log_p, log_p[:, :width]
    if view.rest_kept.any():  # the bucket is one outcome more
        q = np.column_stack([q, view.rest_q])
        with np.errstate(divide="ignore"):
            base_log = np.column_stack([base_log, np.maximum(2 * np.log(beyond_base), -60)])
            model_log = np.column_stack([model_log, np.maximum(2 * np.log(beyond), -60)])
    terms = loss_terms(q, model_log, rule.temperature)
    distance = divergence(q, model_log)
    seen, asked, weight = _shifts(q, base_log, model_log)
    root_q = np.sqrt(view.q)
    move = roots[1] - roots[0]
    ask = -roots[0].copy()
    ask[:, :width] += root_q
    rest_move, rest_ask = beyond - beyond_base, np.sqrt(view.rest_q) - beyond_base
    return {
        (words.COMPRESSION, name): terms.compression,
        (words.RESHAPING, name): terms.reshaping,
        (words.ANCHOR, name): terms.anchor,
        (words.LOSS, name): terms.total,
        (DIVERGENCE, name): distance,
        (COMPRESSION_OF_TARGET, name): terms.compression,
        (WITHIN, name): np.maximum(distance - terms.compression, 0.0),
        (SEEN_SQUARED, name): (weight * seen * seen).sum(-1),
        (SEEN_BY_ASKED, name): (weight * seen * asked).sum(-1),
        (ASKED_SQUARED, name): (weight * asked * asked).sum(-1),
        (MOVED_SQUARED, name): np.einsum("nk,nk->n", move, move) + rest_move**2,
        (MOVED_BY_ASKED, name): np.einsum("nk,nk->n", move, ask) + rest_move * rest_ask,
        (MOVE_ASKED_SQUARED, name): np.einsum("nk,nk->n", ask, ask) + rest_ask**2,
    }


def _shifts(q: Array, base_log: Array, model_log: Array) -> tuple[Array, Array, Array]:
    """Shifts of the log-probability within the support, seen and asked for, both centred by the base's weights there."""
    support = q > 0
    weight = np.where(support, np.exp(base_log), 0.0)
    weight /= weight.sum(-1, keepdims=True)
    seen = np.where(support, model_log - base_log, 0.0)
    asked = np.where(support, np.log(np.where(support, q, 1.0)) - base_log, 0.0)
    return seen - (weight * seen).sum(-1, keepdims=True), asked - (weight * asked).sum(-1, keepdims=True), weight


def _append(found: dict[Any, list[Array]], parts: Mapping[Any, Array]) -> None:
    for key, part in parts.items():
        found.setdefault(key, []).append(part)
