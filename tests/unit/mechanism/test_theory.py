"""The theory as arithmetic: against the sampler's own law, the paper's equations and tables, and brute force."""

import math

import numpy as np
import pytest
import torch

from planted_laws import Array, normalised
from selfdistill.mechanism import automaton
from selfdistill.mechanism.theory import (
    Laws,
    Rule,
    cross_entropy,
    decoded,
    divergence,
    effective_temperature,
    gain,
    loss_gradient,
    loss_terms,
    rest_bounds,
    rest_weight,
    rule_of,
    temper,
    tempered,
)
from selfdistill.sampling.law import Law, law_numbers, steps_of, token_weights
from selfdistill.study.sampling import Decode

DECODES = [
    Decode(temperature=t, top_k=k, top_p=p, min_p=m, max_tokens=8)
    for t, k, p, m in [
        (1.0, 0, 1.0, 0.0), (1.6, 20, 0.8, 0.0), (0.7, 5, 0.95, 0.0), (1.1, 0, 0.9, 0.0), (1.3, 0, 1.0, 0.1),
        (2.0, 12, 0.5, 0.02), (0.0, 0, 1.0, 0.0), (0.4, 0, 0.3, 0.3), (1.5, 1, 1.0, 0.0),
    ]
]  # fmt: skip


def laws(count: int = 64, vocabulary: int = 50, seed: int = 1) -> Array:
    """In falling order; every third row has ties."""
    logits = np.random.default_rng(seed).normal(0, 3, (count, vocabulary))
    logits[::3] = np.round(logits[::3])
    return -np.sort(-normalised(logits), axis=1)


@pytest.mark.parametrize("decode", DECODES, ids=str)
def test_a_decode_keeps_and_weighs_what_the_sampler_does(decode: Decode) -> None:
    log_p = laws()
    columns = Law(*torch.tensor([law_numbers(decode)] * len(log_p), dtype=torch.float64).T)
    weights = token_weights(torch.from_numpy(log_p), columns, steps_of([decode], log_p.shape[1])).numpy()
    view = decoded(Laws.of(log_p), rule_of(decode))
    assert (view.kept == (weights > 0)).all()
    np.testing.assert_allclose(view.q, weights / weights.sum(-1, keepdims=True), atol=1e-14)
    np.testing.assert_allclose(decoded(Laws.of(log_p).narrow(rule_of(decode)), rule_of(decode)).size, view.size)


def test_masses_sizes_and_entropies_are_those_of_the_law_written_out() -> None:
    log_p, rule = laws(), Rule(1.4, 10, 0.9)
    view, whole = decoded(Laws.of(log_p), rule), tempered(Laws.of(log_p), 1.4)
    for at in range(len(log_p)):
        p = np.exp(log_p[at] / 1.4)
        p /= p.sum()
        kept = p[view.kept[at]]
        q = kept / kept.sum()
        assert view.size[at] == len(kept) and view.mass[at] == pytest.approx(kept.sum(), abs=1e-12)
        assert view.entropy[at] == pytest.approx(-(q * np.log(q)).sum(), abs=1e-12)
        assert whole.entropy[at] == pytest.approx(-(p * np.log(p)).sum(), abs=1e-12)
        assert whole.log_weight[at] == pytest.approx(math.log(np.exp(log_p[at] / 1.4).sum()), abs=1e-12)


def test_what_lies_beyond_the_kept_tokens_is_within_its_bounds_and_exact_where_that_is_said() -> None:
    log_p, kept = laws(vocabulary=200), 40
    short = Laws.of(log_p[:, :kept])
    for temperature in (0.5, 0.8, 1.0, 1.3, 2.0):
        truth = np.log(np.exp(log_p[:, kept:] / temperature).sum(-1))
        low, high = rest_bounds(short, temperature, 200)
        there = short.rest > 0
        assert (low[there] <= truth[there] + 1e-9).all() and (truth[there] <= high[there] + 1e-9).all()
        used = rest_weight(short, temperature)[there]
        assert ((used == low[there]) | (used == high[there])).all()
    exact = rest_weight(short, 1.0)
    np.testing.assert_allclose(exact[short.rest > 0], np.log(short.rest[short.rest > 0]))
    for rule in (Rule(1.6, 20, 0.8), Rule(0.6, 40, 0.95)):
        np.testing.assert_allclose(decoded(short, rule).q, decoded(Laws.of(log_p), rule).q[:, :kept], atol=1e-12)


@pytest.mark.parametrize("temperature", [0.5, 0.9, 1.0, 1.6, 3.0])
def test_the_loss_is_the_sum_of_its_terms_to_the_last_bits(temperature: float) -> None:
    base, student = laws(seed=2), laws(seed=3)[:, ::-1]
    q = decoded(Laws.of(base), Rule(temperature, 12, 0.9)).q
    terms = loss_terms(q, student, temperature)
    np.testing.assert_allclose(terms.total, cross_entropy(q, student), rtol=1e-13, atol=1e-12)
    if temperature == 1.0:
        assert np.abs(terms.reshaping).max() < 1e-12
    assert (terms.compression > 0).all() and (terms.anchor >= -1e-12).all()


def test_at_its_target_a_student_has_no_compression_and_no_divergence_left() -> None:
    base, rule = laws(), Rule(1.6, 20, 0.8)
    q = decoded(Laws.of(base), rule).q
    with np.errstate(divide="ignore"):
        log_q = np.maximum(np.log(q), -700.0)
    assert np.abs(divergence(q, log_q)).max() < 1e-12
    assert np.abs(loss_terms(q, log_q, rule.temperature).compression).max() < 1e-12


def test_the_gradient_by_logit_is_that_of_finite_differences_and_nothing_at_the_fixed_point() -> None:
    base, logits = laws(count=6, vocabulary=12), np.random.default_rng(5).normal(0, 2, (6, 12))
    q = decoded(Laws.of(base), Rule(1.5, 5, 0.9)).q
    p = np.exp(normalised(logits))
    found, step = loss_gradient(q, p), 1e-6
    for token in range(12):
        up, down = logits.copy(), logits.copy()
        up[:, token] += step
        down[:, token] -= step
        slope = (cross_entropy(q, normalised(up)) - cross_entropy(q, normalised(down))) / (2 * step)
        np.testing.assert_allclose(found[:, token], slope, atol=1e-8)
    np.testing.assert_allclose(found, p - q, atol=1e-14)
    itself = decoded(Laws.of(base), Rule()).q
    assert np.abs(loss_gradient(itself, np.exp(base))).max() < 1e-12


def test_temperatures_multiply_and_the_ideal_student_is_the_teacher_at_the_effective_one() -> None:
    p = np.exp(laws())
    np.testing.assert_allclose(temper(temper(p, 1.6), 0.7), temper(p, 1.6 * 0.7), atol=1e-14)
    support = decoded(Laws.of(np.log(p)), Rule(1.6, 20, 0.8)).kept
    student = temper(p, 1.6, support)
    np.testing.assert_allclose(temper(student, 0.9), temper(p, effective_temperature(1.6, 0.9), support), atol=1e-14)


def test_the_gain_is_what_student_and_teacher_give_to_the_same_tokens() -> None:
    p, training, evaluation = np.exp(laws()), 1.6, 0.8
    support = decoded(Laws.of(np.log(p)), Rule(training, 20, 0.9)).kept
    members = support & (np.arange(p.shape[1]) % 2 == 0)
    members[:, 0] = True
    student = temper(temper(p, training, support), evaluation)
    teacher = temper(p, evaluation)
    brute = np.where(members, student, 0).sum(-1) / np.where(members, teacher, 0).sum(-1)
    np.testing.assert_allclose(gain(p, members, support, training, evaluation).factor, brute, rtol=1e-12)


def test_the_automaton_gives_what_the_paper_printed() -> None:
    before, after = automaton.best(automaton.teacher()), automaton.best(automaton.student())
    assert 100 * before.success == pytest.approx(8.33, abs=0.02) and before.temperature == pytest.approx(
        0.639, abs=0.005
    )
    assert 100 * after.success == pytest.approx(13.77, abs=0.02) and after.temperature == pytest.approx(2.091, abs=0.01)
    laws_of_student = {state: sorted(100 * law[law > 0], reverse=True) for state, law in automaton.student().items()}
    assert laws_of_student["lock"] == pytest.approx([94.8, 5.2], abs=0.06)
    assert laws_of_student["fork"][:2] == pytest.approx([34.4, 16.9], abs=0.06) and len(laws_of_student["fork"]) == 5
    assert laws_of_student["root"][0] == pytest.approx(40.6, abs=0.06) and len(laws_of_student["root"]) == 4
    assert 100 * (
        automaton.best(automaton.student(), 0.9).success - automaton.best(automaton.teacher(), 0.9).success
    ) == (pytest.approx(1.4, abs=0.15))


def test_the_automatons_states_have_the_entropies_that_the_paper_prints() -> None:
    bits = {state: float(-(law * np.log2(law)).sum()) for state, law in automaton.teacher().items()}
    assert bits["fork"] == pytest.approx(2.81, abs=0.01) and bits["lock"] == pytest.approx(1.61, abs=0.01)
