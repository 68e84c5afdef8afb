"""The objective `grpo`: TRL's own loss under our settings, against gradients by hand and the reference's formula."""

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ |= {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "TRL_EXPERIMENTAL_SILENCE": "1"}

import pytest
import torch
from torch import Tensor

from conftest import ROOT
from selfdistill.training.objectives.choice import objective_of
from selfdistill.training.objectives.grpo import Grpo
from selfdistill.training.practice.batches import places_of
from selfdistill.training.practice.objective import Batch, Objective
from selfdistill.training.practice.settings import PracticeSettings

PROMPTS = [[5, 9, 2], [5, 9, 2], [5, 9, 2], [5, 9, 2]]
ANSWERS = [[7, 30, 7, 12, 21, 1], [9, 8, 1], [11, 12, 13, 14], [2, 1]]
ADVANTAGES = [0.75, -0.25, -0.25, -0.25]  # of one right answer among four
torch.set_num_threads(1)


def settings(temperature: float = 1.0, **practice: Any) -> PracticeSettings:
    return PracticeSettings.model_validate(
        {
            "training": {"micro_batch": 4, "lr": 1e-6, "lr_floor": 1e-6, "schedule": "constant"}, "study_seed": 5, "training_seed": 0, "arm": "grpo", "context": 64,
            "method": "grpo", "decode": {"temperature": temperature, "max_tokens": 32}, "sampling": {}, "grading": {},
            "practice": {"generations": 1, "questions": 2, "rollouts": 4, "updates": 2, **practice}, "prompt": "{problem}",
        }
    )  # fmt: skip


def small_model() -> Any:
    from transformers import Qwen3Config, Qwen3ForCausalLM

    torch.manual_seed(0)
    config = Qwen3Config(
        vocab_size=40, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2, eos_token_id=1,
        num_key_value_heads=1, head_dim=16, max_position_embeddings=64, initializer_range=0.3,
    )  # fmt: skip
    return Qwen3ForCausalLM(config)


@pytest.fixture
def trainer(tmp_path: Path) -> Callable[..., Any]:
    """TRL's trainer as practice has it, with a small model."""
    import datasets
    import transformers

    from selfdistill.training.practice.configuration import practice_config
    from selfdistill.training.practice.stock import PolicyLoss

    def made(temperature: float = 1.0, **practice: Any) -> Any:
        trainer = PolicyLoss(
            model=small_model(),
            args=practice_config(settings(temperature, **practice), tmp_path, "keep"),
            train_dataset=datasets.Dataset.from_dict({"pass": [0, 1]}),
            processing_class=transformers.AutoTokenizer.from_pretrained(ROOT / "resources/lab/search-model"),
        )
        trainer.current_gradient_accumulation_steps = 2  # as within a step
        return trainer

    return made


def padded(values: list[list[Any]], dtype: torch.dtype = torch.float32) -> Tensor:
    width = max(map(len, values))
    return torch.tensor([row + [0] * (width - len(row)) for row in values], dtype=dtype)


def log_probs_of(model: Any, temperature: float = 1.0) -> list[Tensor]:
    """Of each answer's tokens, each answer alone, from plain logits."""
    return [
        (model(torch.tensor([prompt + answer])).logits[0, len(prompt) - 1 : -1] / temperature)
        .log_softmax(-1)
        .gather(1, torch.tensor(answer)[:, None])[:, 0]
        for prompt, answer in zip(PROMPTS, ANSWERS, strict=True)
    ]


def batch(old: list[Tensor], advantages: list[float] = ADVANTAGES, **other: Any) -> Batch:
    mask = padded([[1] * len(answer) for answer in ANSWERS], torch.int64)
    old_logps = padded([each.tolist() for each in old])
    given = {"engine_logps": old_logps, "base_logps": None}
    return Batch(
        prompt_ids=torch.tensor(PROMPTS), prompt_mask=torch.ones(4, 3, dtype=torch.int64),
        completion_ids=padded(ANSWERS, torch.int64), completion_mask=mask, advantages=torch.tensor(advantages),
        old_logps=old_logps, old_plain_logps=old_logps, teacher_ids=None, teacher_mask=None,
        taught=torch.zeros(4, dtype=torch.bool), step_sequences=4, step_tokens=15, step_taught=0,
        places=places_of(mask), **(given | other),
    )  # fmt: skip


def gradients(model: Any, loss: Tensor) -> Tensor:
    return torch.cat([each.flatten() for each in torch.autograd.grad(loss, list(model.parameters()))])


def distance(one: Tensor, other: Tensor) -> float:
    return float((one - other).norm() / other.norm())


def test_one_step_by_hand_is_the_gradient_of_weighted_log_probabilities(trainer: Callable[..., Any]) -> None:
    """At the old weights every ratio is 1: −1/4 Σ_i A_i 1/|y_i| Σ_t ∇ log p(y_it)."""
    mine = trainer()
    model, objective = mine.model, Grpo(settings().practice)
    log_probs = log_probs_of(model)
    by_hand = -sum(
        advantage * each.mean() / 4 for advantage, each in zip(ADVANTAGES, log_probs, strict=True)
    )  # its gradient is that of the loss, not its value
    assert isinstance(by_hand, Tensor)
    expected = gradients(model, by_hand)
    loss = objective.loss(mine, model, batch(log_probs))
    assert loss.item() == pytest.approx(-sum(ADVANTAGES) / 4, abs=1e-6)
    assert distance(gradients(model, loss), expected) < 1e-5
    assert float(objective.facts["clipped_low"].total) == float(objective.facts["clipped_high"].total) == 0


def test_a_flat_group_teaches_nothing(trainer: Callable[..., Any]) -> None:
    mine = trainer()
    loss = Grpo(settings().practice).loss(mine, mine.model, batch(log_probs_of(mine.model), advantages=[0.0] * 4))
    assert loss.item() == 0 and float(gradients(mine.model, loss).abs().max()) == 0


RATIOS = [0.5, 0.79, 0.81, 1.0, 1.27, 1.29, 2.9, 3.1, 20.0]


@pytest.mark.parametrize(("advantage", "dual_clip"), [(0.75, 3.0), (-0.25, 3.0), (-0.25, None)])
def test_each_tokens_loss_is_the_references(
    advantage: float, dual_clip: float | None, trainer: Callable[..., Any]
) -> None:
    """verl's: max(−A r, −A clip(r)), for wrong answers no more than −A c; clip .2 below and .28 above, c = 3."""
    mine = trainer(dual_clip=dual_clip)
    objective, log_probs = Grpo(settings(dual_clip=dual_clip).practice), log_probs_of(mine.model)
    for ratio in RATIOS:
        old = [each.detach() - torch.tensor(ratio).log() for each in log_probs]
        loss = objective.loss(mine, mine.model, batch(old, advantages=[advantage] * 4))
        expected = max(-advantage * ratio, -advantage * min(max(ratio, 0.8), 1.28))
        if advantage < 0 and dual_clip:
            expected = min(-advantage * dual_clip, expected)
        assert loss.item() == pytest.approx(expected, rel=1e-4)
        low = ratio < 0.8 and advantage < 0
        high = ratio > 1.28 if advantage > 0 else ratio > (dual_clip or float("inf"))
        assert (float(gradients(mine.model, loss).abs().max()) > 0) != (low or high), "what is clipped does not move"
        facts = objective.facts
        shares = [float(facts[name].total / facts[name].weight) for name in ("clipped_low", "clipped_high")]
        assert shares == [float(low), float(high)]


def test_the_mean_is_over_answers_of_means_over_tokens_and_weights_multiply(trainer: Callable[..., Any]) -> None:
    """Long answers count as much as short ones; a token's weight is trainer over engine, cut above alone."""
    mine = trainer(is_clip=2.0)
    generator = torch.Generator().manual_seed(4)
    now = [each.detach() for each in log_probs_of(mine.model)]
    old = [each + 0.4 * torch.randn(each.shape, generator=generator) for each in now]
    engine = [each + torch.randn(each.shape, generator=generator) for each in old]
    base = [each - 0.1 for each in now]
    objective = Grpo(settings(is_clip=2.0).practice)
    given = batch(old, engine_logps=padded([e.tolist() for e in engine]), base_logps=padded([b.tolist() for b in base]))
    loss = objective.loss(mine, mine.model, given)
    expected, cut, low, high = 0.0, 0, 0, 0
    for advantage, new, then, engines in zip(ADVANTAGES, now, old, engine, strict=True):
        ratio, weight = (new - then).exp(), (then - engines).exp()
        tokens = -torch.minimum(ratio * advantage, ratio.clamp(0.8, 1.28) * advantage) * weight.clamp(max=2)
        expected += float(tokens.mean()) / 4
        cut += int((weight > 2).sum())
        low += int((ratio < 0.8).sum()) if advantage < 0 else 0
        high += int((ratio > 1.28).sum()) if advantage > 0 else 0
    facts = objective.facts
    assert loss.item() == pytest.approx(expected, rel=1e-4)
    assert [int(facts[name].total) for name in ("is_clipped", "clipped_low", "clipped_high")] == [cut, low, high]
    assert min(cut, low, high) > 0 and {int(fact.weight) for fact in facts.values()} == {15}
    assert float(facts["base_kl"].total) == pytest.approx(1.5, rel=1e-3)
    unweighted = Grpo(settings(is_clip=None).practice)
    assert unweighted.loss(mine, mine.model, given).item() != pytest.approx(expected, rel=1e-2)
    assert "is_mean" not in unweighted.facts


def test_the_temperature_of_the_rollouts_enters_the_loss(trainer: Callable[..., Any]) -> None:
    mine = trainer(temperature=1.3)
    old = log_probs_of(mine.model, temperature=1.3)
    objective = objective_of("grpo", settings().practice, 1.3)
    by_hand = torch.stack([-advantage * each.mean() / 4 for advantage, each in zip(ADVANTAGES, old, strict=True)]).sum()
    expected = gradients(mine.model, by_hand)
    loss = objective.loss(mine, mine.model, batch(old))
    assert distance(gradients(mine.model, loss), expected) < 1e-5
    entropy = sum(
        float(-(law.exp() * law).sum())
        for prompt, answer in zip(PROMPTS, ANSWERS, strict=True)
        for law in [(mine.model(torch.tensor([prompt + answer])).logits[0, 2:-1] / 1.3).log_softmax(-1)]
    )
    assert objective.entropy.item() == pytest.approx(entropy, rel=1e-4)


# The guide


def test_the_objective_of_the_guide_makes_right_answers_likelier(trainer: Callable[..., Any]) -> None:
    guide = (ROOT / "docs/practice.md").read_text()
    (code,) = re.findall(r"^```python\n(.*?)^```", guide, re.MULTILINE | re.DOTALL)
    assert len(code.splitlines()) <= 60
    written: dict[str, Any] = {}
    exec(compile(code, "docs/practice.md", "exec"), written)
    objective: Objective = written["Imitate"](settings().practice)
    mine = trainer()
    log_probs = log_probs_of(mine.model)
    expected = gradients(mine.model, -log_probs[0].mean() / 4)
    objective.prepare(mine.model)
    loss = objective.loss(mine, mine.model, batch(log_probs))
    assert loss.item() == pytest.approx(-log_probs[0].mean().item() / 4, rel=1e-5)
    assert distance(gradients(mine.model, loss), expected) < 1e-5
    assert float(objective.facts["is_mean"].total / objective.facts["is_mean"].weight) == pytest.approx(1)
    assert objective.entropy.item() > 0
