"""The objective `distil` on small models: against TRL's SDPO trainer, against the reference's mean, and where nothing is to learn."""

import copy
import os
from collections import defaultdict
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

os.environ |= {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "TRL_EXPERIMENTAL_SILENCE": "1"}

import pytest
import torch
from torch import Tensor

from selfdistill.foundation.errors import UserError
from selfdistill.study.practice import PracticeRecipe
from selfdistill.training.objectives.choice import objective_of
from selfdistill.training.objectives.distil import Distil
from selfdistill.training.practice.batches import places_of
from selfdistill.training.practice.objective import Batch

VOCABULARY, END = 40, 1
torch.set_num_threads(1)


def small_model(seed: int = 0, **other: Any) -> Any:
    from transformers import Qwen3Config, Qwen3ForCausalLM

    torch.manual_seed(seed)
    config = Qwen3Config(
        vocab_size=VOCABULARY, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=1, head_dim=16, max_position_embeddings=64, initializer_range=0.3, eos_token_id=END, **other,
    )  # fmt: skip
    return Qwen3ForCausalLM(config)


def beside(rows: list[list[int]], left: bool = False) -> tuple[Tensor, Tensor]:
    width = max(map(len, rows))
    padded = [[0] * (width - len(row)) + row if left else row + [0] * (width - len(row)) for row in rows]
    mask = torch.tensor([[int(token > 0) for token in row] for row in padded])
    return torch.tensor(padded), mask


PROMPTS = [[5, 9, 2], [5, 9, 2], [7, 3], [7, 3]]
TOLD = [[5, 9, 2, 33, 34], [5, 9, 2, 35], [7, 3], [7, 3, 36, 37, 38, 39]]
ANSWERS = [[7, 30, 7, 12, 21, END], [9, 8, END], [11, 12, 13, 14], [2, END]]
TAUGHT = [True, True, False, True]


def batch(told: list[list[int]] = TOLD, taught: list[bool] = TAUGHT, **other: Any) -> Batch:
    """Four rollouts to two questions, the third without a teacher."""
    prompts, teachers, answers = beside(PROMPTS, left=True), beside(told, left=True), beside(ANSWERS)
    generator = torch.Generator().manual_seed(3)

    def log_probs() -> Tensor:
        return (torch.randn(answers[0].shape, generator=generator) - 4) * answers[1]

    given = {"old_logps": log_probs(), "old_plain_logps": log_probs(), "engine_logps": log_probs(), "base_logps": None}
    return Batch(
        *prompts, *answers, advantages=torch.zeros(4), teacher_ids=teachers[0], teacher_mask=teachers[1],
        taught=torch.tensor(taught), step_sequences=4, step_tokens=15, step_taught=sum(taught), places=places_of(answers[1]), **(given | other),
    )  # fmt: skip


class Classroom:
    """The trainer, as far as this objective asks for it."""

    def __init__(self, teacher: Any) -> None:
        self.teacher = teacher

    @contextmanager
    def teaching(self) -> Any:
        with torch.no_grad():
            yield self.teacher

    def policy_loss(self, model: Any, given: Batch, weights: Tensor | None) -> Tensor:
        raise NotImplementedError

    token_logps = token_entropies = torch.zeros(())


def prepared(objective: Any, *models: Any) -> list[Any]:
    copies = [copy.deepcopy(model) for model in models]
    for each in copies:
        objective.prepare(each)
    return copies


def recipe(**keys: Any) -> PracticeRecipe:
    return PracticeRecipe(**({"support": 8} | keys))


def gradients(model: Any, loss: Tensor) -> Tensor:
    return torch.cat([each.flatten() for each in torch.autograd.grad(loss, list(model.parameters()))])


# Against TRL


def loss_of_trl(student: Any, teacher: Any, given: Batch, of: PracticeRecipe, temperature: float) -> Tensor:
    """Both methods of TRL's SDPO trainer that make its loss, on what they ask of a trainer."""
    from trl.experimental.sdpo.sdpo_trainer import SDPOTrainer

    class Theirs:
        _compute_teacher_student_logits = SDPOTrainer._compute_teacher_student_logits
        _compute_self_distillation_loss = SDPOTrainer._compute_self_distillation_loss
        _forward_logits = SDPOTrainer._forward_logits
        _log_self_distillation_metric = SDPOTrainer._log_self_distillation_metric
        _name, model_kwarg_keys = "SDPO", {"logits_to_keep"}

        def _get_teacher_context_for_self_distillation(self) -> Any:
            return torch.no_grad()

    theirs = Theirs()
    theirs.temperature, theirs._metrics = temperature, {"train": defaultdict(list)}  # type: ignore[attr-defined]
    theirs.accelerator = SimpleNamespace(gather=lambda value: value)  # type: ignore[attr-defined]
    theirs.args = SimpleNamespace(  # type: ignore[attr-defined]
        distillation_mode="topk_logits" if of.support else "full_logits", distillation_topk=of.support,
        distillation_alpha={"forward": 0.0, "jsd": 0.5, "reverse": 1.0}[of.divergence], distillation_add_tail=of.tail,
        distillation_is_clip=of.ratio_clip,
    )  # fmt: skip
    assert given.teacher_ids is not None and given.teacher_mask is not None
    inputs = {
        "prompt_ids": given.prompt_ids, "prompt_mask": given.prompt_mask, "completion_ids": given.completion_ids,
        "completion_mask": given.completion_mask, "self_distillation_mask": given.taught.float(),
        "old_per_token_logps": given.old_logps,
        "teacher_input_ids": torch.cat([given.teacher_ids, given.completion_ids], 1),
        "teacher_attention_mask": torch.cat([given.teacher_mask, given.completion_mask], 1),
    }  # fmt: skip
    student.train()
    logits = theirs._compute_teacher_student_logits(student, teacher, inputs)  # type: ignore[arg-type,misc]
    loss: Tensor = theirs._compute_self_distillation_loss(student, inputs, logits)  # type: ignore[arg-type,misc]
    return loss


@pytest.mark.parametrize("divergence", ["jsd", "forward", "reverse"])
@pytest.mark.parametrize(
    ("support", "tail", "ratio_clip"), [(8, True, 2.0), (8, False, 2.0), (None, True, 2.0), (8, True, None)]
)
def test_loss_and_gradients_are_those_of_trls_sdpo(
    divergence: str, support: int | None, tail: bool, ratio_clip: float | None
) -> None:
    """Padding, masks, the rollout without a teacher, temperature, the ratio's clip and the means, from prompts to weights."""
    of = recipe(divergence=divergence, support=support, tail=tail, ratio_clip=ratio_clip, is_clip=None)
    student, teacher, given = small_model(), small_model(1), batch()
    theirs = loss_of_trl(student, teacher, given, of, 1.2)
    expected = gradients(student, theirs)
    objective = objective_of("distil", of, 1.2)
    mine, taught = prepared(objective, student, teacher)
    ours = objective.loss(Classroom(taught), mine, given)
    assert ours.item() == pytest.approx(theirs.item(), rel=1e-5)
    assert float((gradients(mine, ours) - expected).norm() / expected.norm()) < 1e-5


# Against the reference


def test_a_rollout_without_a_teacher_counts_as_nothing_in_a_mean_over_all() -> None:
    """The reference takes rollouts one at a time: a mean over tokens, of 0 where nobody teaches, and the mean of those."""
    of = recipe(is_clip=2.0)
    objective = Distil(of, 1.0)
    student, teacher = prepared(objective, small_model(), small_model(1))
    found = objective.loss(Classroom(teacher), student, batch()).item()
    alone = []
    for row in range(4):
        one = batch()
        picked = {name: value[row : row + 1] for name, value in vars(one).items() if isinstance(value, Tensor)}
        picked["places"] = places_of(picked["completion_mask"])
        alone.append(objective.loss(Classroom(teacher), student, Batch(**(vars(one) | picked))).item())
    assert alone[2] == 0 and min(alone[0], alone[1], alone[3]) > 0
    assert found == pytest.approx(sum(alone) / 4, rel=1e-5)


def test_a_token_is_weighted_by_trainer_over_engine_cut_above_alone() -> None:
    """As in the reference, on top of the ratio of new to old; engine and trainer are compared as they were at the start."""
    given = batch()
    student, teacher = prepared(Distil(recipe(), 1.0), small_model(), small_model(1))

    def loss(is_clip: float | None, of: Batch = given) -> tuple[float, dict[str, Any]]:
        objective = Distil(recipe(is_clip=is_clip), 1.0)
        return objective.loss(Classroom(teacher), student, of).item(), objective.facts

    ratio = (given.old_plain_logps - given.engine_logps).exp()
    tokens = given.completion_mask
    weighted, facts = loss(2.0)
    plain, none = loss(None)
    assert {"is_clipped", "is_mean"} <= set(facts) and "is_mean" not in none
    assert float(facts["is_clipped"].total) == int(((ratio > 2) * tokens).sum()) > 0
    assert float(facts["is_mean"].total) == pytest.approx(float((ratio.clamp(max=2) * tokens).sum()), rel=1e-6)
    assert weighted != pytest.approx(plain, rel=1e-3)
    same, _ = loss(2.0, batch(engine_logps=given.old_plain_logps))
    unknown, _ = loss(2.0, batch(engine_logps=given.old_plain_logps * torch.nan))
    assert same == pytest.approx(plain, rel=1e-6) and unknown == pytest.approx(plain, rel=1e-6)
    twice, _ = loss(4.0, batch(engine_logps=given.old_plain_logps - torch.tensor(2.0).log()))
    assert twice == pytest.approx(2 * plain, rel=1e-5)


# Where there is nothing to learn


@pytest.mark.parametrize("divergence", ["jsd", "forward", "reverse"])
@pytest.mark.parametrize("support", [8, None])
def test_a_teacher_that_is_told_nothing_teaches_nothing(divergence: str, support: int | None) -> None:
    objective = Distil(recipe(divergence=divergence, support=support), 1.0)
    student, teacher = prepared(objective, small_model(), small_model())
    loss = objective.loss(Classroom(teacher), student, batch(told=PROMPTS, taught=[True] * 4))
    assert abs(loss.item()) <= 1e-7
    assert float(gradients(student, loss).abs().max()) <= 1e-8


def test_where_no_rollout_has_a_teacher_the_gradient_is_zero() -> None:
    objective = Distil(recipe(), 1.0)
    student, teacher = prepared(objective, small_model(), small_model(1))
    loss = objective.loss(Classroom(teacher), student, batch(taught=[False] * 4))
    assert loss.item() == 0 and float(gradients(student, loss).abs().max()) == 0
    assert float(objective.facts["divergence"].weight) == 0


# What an update shows


def test_facts_are_of_the_tokens_that_they_speak_of() -> None:
    student, teacher, of = small_model(), small_model(1), recipe(divergence="forward", ratio_clip=1.5, is_clip=None)
    objective = Distil(of, 1.0)
    given = batch(base_logps=torch.full((4, 6), -3.0))
    mine, taught = prepared(objective, student, teacher)
    objective.loss(Classroom(taught), mine, given)
    entropy = moved = clipped = divergence = reverse = 0.0
    for row, (prompt, told, answer) in enumerate(zip(PROMPTS, TOLD, ANSWERS, strict=True)):
        log_p, log_q = (
            model(torch.tensor([asked + answer])).logits[0, len(asked) - 1 : -1].double().log_softmax(-1)
            for model, asked in ((student, prompt), (teacher, told))
        )
        log_probs = log_p.gather(1, torch.tensor(answer)[:, None])[:, 0]
        entropy -= float((log_p.exp() * log_p).sum())
        moved += float((log_probs + 3).sum())
        if not TAUGHT[row]:
            continue
        clipped += int(((log_probs - given.old_logps[row, : len(answer)]).exp() > 1.5).sum())
        near = log_p.topk(8).indices
        near_p, near_q = (
            torch.cat([law.gather(1, near), torch.log1p(-law.gather(1, near).exp().sum(1, keepdim=True))], 1)
            for law in (log_p, log_q)
        )
        divergence += float((near_q.exp() * (near_q - near_p)).sum())
        reverse += float((near_p.exp() * (near_p - near_q)).sum())
    facts = objective.facts
    assert objective.entropy.item() == pytest.approx(entropy, rel=1e-5)
    assert float(facts["base_kl"].total) == pytest.approx(moved, rel=1e-5) and int(facts["base_kl"].weight) == 15
    for name, expected in (("divergence", divergence), ("teacher_kl", reverse), ("clipped_high", clipped)):
        assert float(facts[name].total) == pytest.approx(expected, rel=1e-4) and int(facts[name].weight) == 11, name
    assert 0 < clipped < 11


def test_a_model_that_caps_its_logits_is_refused() -> None:
    from transformers import Gemma2Config, Gemma2ForCausalLM

    config = Gemma2Config(
        vocab_size=VOCABULARY, hidden_size=32, intermediate_size=64, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=1, head_dim=16, final_logit_softcapping=1.0, initializer_range=0.3,
    )  # fmt: skip
    with pytest.raises(
        UserError, match="Gemma2ForCausalLM does more than its head to make logits .*: method distil is not"
    ):
        Distil(recipe(), 1.0).prepare(Gemma2ForCausalLM(config))


def test_adapters_are_taught_by_the_model_without_them() -> None:
    from peft import LoraConfig, get_peft_model

    objective = Distil(recipe(), 1.0)
    (base,) = prepared(objective, small_model())
    student = get_peft_model(base, LoraConfig(r=2, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM"))

    class Bare(Classroom):
        @contextmanager
        def teaching(self) -> Any:
            with torch.no_grad(), student.disable_adapter():
                yield student

    assert objective.loss(Bare(None), student, batch(told=PROMPTS)).item() == pytest.approx(0, abs=1e-7)
    loss = objective.loss(Bare(None), student, batch())
    learning = [each for each in student.parameters() if each.requires_grad]
    found = torch.autograd.grad(loss, learning)
    assert loss.item() > 0 and any(float(each.abs().max()) > 0 for each in found)
    with torch.no_grad():
        for each in learning:
            each.add_(0.1)
    assert objective.loss(Bare(None), student, batch(told=PROMPTS)).item() > 1e-5
