"""The divergence of student and teacher: values and gradients against float64 brute force, and against TRL's own functions."""

import os
from typing import Any

os.environ |= {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "TRL_EXPERIMENTAL_SILENCE": "1"}

import pytest
import torch
from torch import Tensor

from selfdistill.training.objectives import divergence
from selfdistill.training.objectives.divergence import Comparison, NextWords, Positions, add_divergence, compare

WORDS, WIDTH, PLACES = 300, 24, 30
torch.set_num_threads(1)

COMPARISONS = [
    Comparison(alpha, support, rest, clip, temperature, ratio_clip)
    for alpha in (0.0, 0.3, 0.5, 1.0)
    for support, rest in ((None, True), (20, True), (20, False), (1, True), (WORDS, True))
    for clip, temperature, ratio_clip in ((None, 1.0, 2.0), (0.02, 1.1, None))
]


def laws(sharpness: float = 1.0, seed: int = 0) -> tuple[NextWords, NextWords]:
    """Of a student with gradients, and of a teacher with another head."""
    generator = torch.Generator().manual_seed(seed)

    def words() -> NextWords:
        hidden, weight = torch.randn(PLACES, WIDTH, generator=generator), torch.randn(WORDS, WIDTH, generator=generator)
        return NextWords(hidden, weight * sharpness / 4, torch.randn(WORDS, generator=generator))

    student, teacher = words(), words()
    return NextWords(*(each.requires_grad_() for each in student if each is not None)), teacher


def places(seed: int = 1) -> Positions:
    generator = torch.Generator().manual_seed(seed)
    return Positions(
        torch.randint(WORDS, (PLACES,), generator=generator),
        torch.rand(PLACES, generator=generator) / PLACES,
        torch.randn(PLACES, generator=generator) - 6,
    )


def leaves(words: NextWords) -> list[Tensor]:
    return [each for each in words if each is not None]


def logits_of(words: NextWords, temperature: float = 1.0) -> Tensor:
    logits = words.hidden @ words.weight.T
    return (logits if words.bias is None else logits + words.bias) / temperature


def doubled(words: NextWords) -> NextWords:
    return NextWords(*(each.detach().double().requires_grad_(each.requires_grad) for each in leaves(words)))


def brute_force(student: Tensor, teacher: Tensor, how: Comparison) -> Tensor:
    """The divergence at each place from logits, as it is written in a paper. For autograd."""
    log_p, log_q = student.log_softmax(-1), teacher.log_softmax(-1)
    if how.support is not None and how.support < WORDS:
        near = log_p.topk(how.support, -1).indices
        log_p, log_q = log_p.gather(-1, near), log_q.gather(-1, near)
        if how.tail:
            rest = [torch.log1p(-each.exp().sum(-1, keepdim=True)) for each in (log_p, log_q)]
            log_p, log_q = torch.cat([log_p, rest[0]], -1), torch.cat([log_q, rest[1]], -1)
        else:
            log_p, log_q = log_p.log_softmax(-1), log_q.log_softmax(-1)
    p, q = log_p.exp(), log_q.exp()
    if how.alpha == 0:
        parts = q * (log_q - log_p)
    elif how.alpha == 1:
        parts = p * (log_p - log_q)
    else:
        log_m = ((1 - how.alpha) * p + how.alpha * q).log()
        parts = (1 - how.alpha) * p * (log_p - log_m) + how.alpha * q * (log_q - log_m)
    return parts.clamp(max=how.token_clip or float("inf")).sum(-1)


def difference(one: Tensor, other: Tensor) -> float:
    return float((one.detach() - other.detach()).abs().max())


# Against brute force in float64


@pytest.mark.parametrize("how", COMPARISONS, ids=str)
def test_values_and_gradients_are_those_of_a_brute_force(how: Comparison) -> None:
    """To 1e-6; where a divergence is of several nats, to 1e-6 of it: float32 has no more."""
    (student, teacher), here = laws(), places()
    found = compare(student, teacher, here, how)
    exact, taught = doubled(student), doubled(teacher)
    log_p = logits_of(exact, how.temperature).log_softmax(-1)
    expected = brute_force(logits_of(exact, how.temperature), logits_of(taught, how.temperature), how)
    log_probs = log_p.gather(1, here.tokens[:, None])[:, 0].detach()
    ratio = (log_probs - here.old_log_probs).exp()
    weight = here.shares * (ratio.clamp(max=how.ratio_clip) if how.ratio_clip else 1)
    loss = (weight * expected).sum()
    assert torch.allclose(found.divergence.double(), expected, rtol=1e-6, atol=1e-6)
    assert difference(found.loss, loss) < 1e-6
    for ours, truth in zip(
        torch.autograd.grad(found.loss, leaves(student)), torch.autograd.grad(loss, leaves(exact)), strict=True
    ):
        assert difference(ours, truth) < 1e-6 and float(truth.abs().max()) > 1e-5
    reverse = brute_force(
        logits_of(exact, how.temperature), logits_of(taught, how.temperature), how._replace(alpha=1.0, token_clip=None)
    )
    assert torch.allclose(found.reverse.double(), reverse, rtol=1e-6, atol=1e-6)
    assert torch.allclose(found.ratio.double(), ratio, rtol=1e-5)
    assert difference(found.log_probs, log_probs) < 1e-5
    assert difference(found.entropy, -(log_p.exp() * log_p).sum(-1)) < 1e-5


def test_the_gradient_of_jensen_and_shannon_is_the_closed_form() -> None:
    """∂D/∂z = ½ p (log p/m − E_p log p/m)."""
    (student, teacher), here = laws(), places()
    found = compare(student, teacher, here, Comparison(0.5))
    p, q = (logits_of(doubled(each)).softmax(-1) for each in (student, teacher))
    of_ratio = (p / ((p + q) / 2)).log()
    of_logits = 0.5 * p * (of_ratio - (p * of_ratio).sum(-1, keepdim=True)) * here.shares[:, None]
    (ours,) = torch.autograd.grad(found.loss, [student.hidden])
    assert difference(ours, of_logits @ student.weight.double()) < 1e-8


def test_alpha_leads_from_forward_over_symmetric_to_reverse() -> None:
    """0 is KL(teacher‖student), ½ Jensen and Shannon's, the same from both sides, and 1 KL(student‖teacher)."""
    (student, teacher), here = laws(), places()
    p, q = (logits_of(doubled(each)).softmax(-1).detach() for each in (student, teacher))

    def found(alpha: float, one: NextWords = student, other: NextWords = teacher) -> Tensor:
        return compare(one, other, here, Comparison(alpha)).divergence.double()

    assert torch.allclose(found(0.0), (q * (q / p).log()).sum(-1), rtol=1e-6)
    assert torch.allclose(found(1.0), (p * (p / q).log()).sum(-1), rtol=1e-6)
    assert torch.allclose(found(0.5), found(0.5, teacher, student), rtol=1e-6)
    assert torch.allclose(found(0.3), found(0.7, teacher, student), rtol=1e-6)


@pytest.mark.parametrize("how", COMPARISONS, ids=str)
def test_who_already_has_the_teachers_law_learns_nothing(how: Comparison) -> None:
    student, _ = laws()
    found = compare(student, NextWords(*(each.detach() for each in leaves(student))), places(), how)
    assert abs(float(found.loss)) <= 1e-7 and float(found.divergence.abs().max()) <= 1e-7
    assert all(float(each.abs().max()) <= 1e-8 for each in torch.autograd.grad(found.loss, leaves(student)))


def test_a_word_whose_part_is_cut_is_no_longer_pulled_up() -> None:
    """As in the reference: the clip takes the pull of the words that teacher and student differ most in, and its sign."""
    student = NextWords(torch.zeros(1, 1), torch.zeros(3, 1), torch.tensor([0.01, 0.49, 0.5]).log().requires_grad_())
    teacher = NextWords(torch.zeros(1, 1), torch.zeros(3, 1), torch.tensor([0.9, 0.02, 0.08]).log())
    here = Positions(torch.tensor([1]), torch.ones(1), torch.zeros(1))

    def by_logits(clip: float | None) -> list[float]:
        found = compare(student, teacher, here, Comparison(0.0, token_clip=clip))
        assert student.bias is not None
        return [float(each) for each in torch.autograd.grad(found.loss, student.bias)[0]]

    assert by_logits(None) == pytest.approx([0.01 - 0.9, 0.49 - 0.02, 0.5 - 0.08], abs=1e-6)
    kept = 0.02 + 0.08
    assert by_logits(0.05) == pytest.approx([0.01 * kept, 0.49 * kept - 0.02, 0.5 * kept - 0.08], abs=1e-6)


# Chunks


@pytest.mark.parametrize("together", [1, 7, PLACES])
@pytest.mark.parametrize("how", [Comparison(0.5, 20, True, None, 1.1, 2.0), Comparison(0.0, None)], ids=str)
def test_the_chunks_change_neither_values_nor_gradients(
    how: Comparison, together: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    (student, teacher), here = laws(), places()
    whole = compare(student, teacher, here, how)
    expected = torch.autograd.grad(whole.loss, leaves(student))
    monkeypatch.setattr(divergence, "LOGITS_TOGETHER", together * WORDS)
    chunked = compare(student, teacher, here, how)
    for ours, theirs in zip(chunked, whole, strict=True):
        assert torch.allclose(ours, theirs, rtol=1e-6, atol=1e-7)
    for ours, theirs in zip(torch.autograd.grad(chunked.loss, leaves(student)), expected, strict=True):
        assert difference(ours, theirs) < 1e-7


def test_where_nothing_is_learnt_the_loss_still_has_a_gradient() -> None:
    """Of zero: several processes wait for one another in the backward pass."""
    student, teacher = laws()
    none = NextWords(student.hidden[:0], student.weight, student.bias)
    nowhere = Positions(*(each[:0] for each in places()))
    found = compare(none, NextWords(teacher.hidden[:0], teacher.weight, teacher.bias), nowhere, Comparison(0.5, 20))
    assert float(found.loss) == 0 and found.divergence.shape == (0,)
    assert all(float(each.abs().sum()) == 0 for each in torch.autograd.grad(found.loss, leaves(student)))


# Where float32 could go wrong


@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("support", [None, 20])
def test_sharp_laws_keep_their_gradients(alpha: float, support: int | None) -> None:
    """Half of these are so sure of 20 words that float32 has nothing left for the rest; the teacher differs a little."""
    (student, _), here = laws(sharpness=12.0), places()
    teacher = NextWords(
        student.hidden.detach() + 0.05 * laws(seed=5)[1].hidden, *(each.detach() for each in leaves(student)[1:])
    )
    how = Comparison(alpha, support)
    found = compare(student, teacher, here, how)
    exact, taught = doubled(student), doubled(teacher)
    rest = 1 - logits_of(exact).softmax(-1).topk(20, -1).values.sum(-1)
    assert float(rest.median()) < 1e-7 and float(rest.min()) > 0
    loss = (here.shares * brute_force(logits_of(exact), logits_of(taught), how)).sum()
    assert float(found.loss) == pytest.approx(float(loss), rel=1e-4)
    for ours, theirs in zip(
        torch.autograd.grad(found.loss, leaves(student)), torch.autograd.grad(loss, leaves(exact)), strict=True
    ):
        assert float((ours - theirs).norm() / theirs.norm()) < 1e-4


@pytest.mark.parametrize("how", [each for each in COMPARISONS if each.alpha != 0.3], ids=str)
def test_laws_that_rule_each_other_out_stay_finite(how: Comparison) -> None:
    (student, teacher), here = laws(sharpness=200.0), places()
    found = compare(student, teacher, here, how)
    assert all(bool(each.isfinite().all()) for each in found)
    assert all(bool(each.isfinite().all()) for each in torch.autograd.grad(found.loss, leaves(student)))
    if how.alpha == 0.5 and how.token_clip is None and how.tail:
        assert float(found.divergence.max()) == pytest.approx(0.6931, abs=1e-3)  # log 2, the most there is


def test_under_autocast_only_the_products_are_rounded() -> None:
    """bf16 factors, float32 sums: nearer to float32 than through logits in bf16."""
    generator = torch.Generator().manual_seed(0)
    student, teacher = (
        NextWords(torch.randn(PLACES, 256, generator=generator), torch.randn(WORDS, 256, generator=generator) / 2, None)
        for _ in range(2)
    )
    how = Comparison(0.5, 20)
    exact = compare(student, teacher, places(), how)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = compare(student, teacher, places(), how)
        usual = brute_force(logits_of(student).float(), logits_of(teacher).float(), how)
    assert rounded.loss.dtype == torch.float32
    of_ours, of_usual = ((each - exact.divergence).norm() for each in (rounded.divergence, usual))
    assert 0 < float(of_ours) < 0.8 * float(of_usual)


# Against TRL's own functions


@pytest.mark.parametrize("alpha", [0.0, 0.3, 0.5, 1.0])
@pytest.mark.parametrize(("support", "rest"), [(None, True), (20, True), (20, False)])
def test_values_and_gradients_are_those_of_trl(alpha: float, support: int | None, rest: bool) -> None:
    """And the weighting: a position's divergence times the clipped ratio of new to old probability."""
    from trl.experimental.sdpo.loss_utils import (
        apply_importance_sampling_clipping,
        compute_full_logit_self_distillation_loss,
        compute_topk_self_distillation_loss,
    )

    (student, teacher), here = laws(), places()
    found = compare(student, teacher, here, Comparison(alpha, support, rest, ratio_clip=2.0))
    logits = logits_of(student)
    if support is None:
        theirs = compute_full_logit_self_distillation_loss(logits, logits_of(teacher), distillation_alpha=alpha)
    else:
        theirs = compute_topk_self_distillation_loss(
            logits,
            logits_of(teacher),
            distillation_topk=support,
            distillation_alpha=alpha,
            distillation_add_tail=rest,
        )
    assert torch.allclose(found.divergence, theirs, rtol=2e-6, atol=1e-6)
    log_probs = logits.log_softmax(-1).gather(1, here.tokens[:, None])[:, 0]
    weighted = apply_importance_sampling_clipping(theirs, log_probs, here.old_log_probs, 2.0)
    loss = (weighted * here.shares).sum()
    assert 0.2 < float((found.ratio > 2).float().mean()) < 0.8
    assert difference(found.loss, loss) < 1e-6
    for ours, expected in zip(
        torch.autograd.grad(found.loss, leaves(student)), torch.autograd.grad(loss, leaves(student)), strict=True
    ):
        assert difference(ours, expected) < 1e-6


# Within a model


def small_model(tied: bool, seed: int = 0) -> Any:
    from transformers import Qwen3Config, Qwen3ForCausalLM

    torch.manual_seed(seed)
    config = Qwen3Config(
        vocab_size=40, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2, eos_token_id=1,
        num_key_value_heads=1, head_dim=16, tie_word_embeddings=tied, max_position_embeddings=64, initializer_range=0.3,
    )  # fmt: skip
    return Qwen3ForCausalLM(config)


@pytest.mark.parametrize("tied", [True, False])
def test_a_model_learns_through_its_own_forward(tied: bool) -> None:
    """Padded on both sides, with another prompt before the same answers: gradients of all weights, as through plain logits."""
    student, teacher = small_model(tied), small_model(tied, seed=1).requires_grad_(False)
    plain = student(torch.tensor([[2, 3]])).logits
    answers, taught = torch.tensor([[7, 30, 7, 1], [9, 1, 0, 0]]), torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]])

    def asked(prompts: list[list[int]]) -> dict[str, Tensor]:
        ids = torch.tensor(prompts)
        mask = (ids > 0).long()
        return {
            "input_ids": torch.cat([ids, answers], 1),
            "attention_mask": torch.cat([mask, taught], 1),
            "learnt": torch.cat([torch.zeros_like(mask), taught], 1).flatten().nonzero()[:, 0] - 1,
        }

    mine, theirs = asked([[5, 9, 2], [0, 5, 3]]), asked([[5, 9, 2, 8, 8], [0, 0, 5, 3, 4]])
    tokens, how = taught.bool(), Comparison(0.5, 6, True, None, 1.1, 2.0)
    expected = torch.zeros(())
    for row, count in enumerate((4, 2)):
        laws_of_row = [
            model(given["input_ids"][row : row + 1], given["attention_mask"][row : row + 1]).logits[0][-5:-1][:count]
            / 1.1
            for model, given in ((student, mine), (teacher, theirs))
        ]
        log_probs = laws_of_row[0].log_softmax(-1).gather(1, answers[row, :count, None])[:, 0].detach()
        ratio = (log_probs + 4).exp().clamp(max=2)
        expected = expected + (ratio * narrow_brute_force(*laws_of_row)).sum() / count
    add_divergence(student)
    add_divergence(teacher)
    assert torch.equal(student(torch.tensor([[2, 3]])).logits, plain)
    shares = (taught / taught.sum(1, keepdim=True))[tokens]
    here = Positions(answers[tokens], shares, torch.full((6,), -4.0))
    found = student(**mine, against=teacher(**theirs), positions=here, how=how)
    assert float(found.loss) == pytest.approx(float(expected), rel=1e-5)
    weights = list(student.parameters())
    for ours, truth in zip(
        torch.autograd.grad(found.loss, weights), torch.autograd.grad(expected, weights), strict=True
    ):
        assert difference(ours, truth) < 1e-5


def narrow_brute_force(student: Tensor, teacher: Tensor) -> Tensor:
    """Of the comparison above."""
    return brute_force(student, teacher, Comparison(0.5, 6))
