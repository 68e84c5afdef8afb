"""Learning from oneself, told more: the divergence of the student's law from the teacher's along the student's own answers.

A rollout's loss is the mean over its tokens, and the loss the mean over all rollouts: one without a teacher counts as 0.
"""

from typing import TYPE_CHECKING, Any

import torch

from selfdistill.foundation.errors import UserError
from selfdistill.study.practice import PracticeRecipe
from selfdistill.training.objectives.divergence import Comparison, Positions, add_divergence
from selfdistill.training.objectives.engine_weights import engine_weights, token_fact
from selfdistill.training.objectives.head import head_makes_the_logits
from selfdistill.training.practice.objective import Batch, Fact, Practising

if TYPE_CHECKING:
    from torch import Tensor

ALPHAS = {"forward": 0.0, "jsd": 0.5, "reverse": 1.0}


class Distil:
    entropy: "Tensor"
    facts: dict[str, Fact]

    def __init__(self, recipe: PracticeRecipe, temperature: float) -> None:
        self.is_clip = recipe.is_clip
        self.how = Comparison(
            ALPHAS[recipe.divergence], recipe.support, recipe.tail, recipe.token_clip, temperature, recipe.ratio_clip
        )

    def prepare(self, model: Any) -> None:
        if not head_makes_the_logits(model, [0, 1, 2, 3]):
            raise UserError(
                f"{type(model).__name__} does more than its head to make logits (it scales or caps them): method distil is "
                "not for such models; use grpo."
            )
        add_divergence(model)

    def loss(self, trainer: Practising, model: Any, batch: Batch) -> "Tensor":
        assert batch.teacher_ids is not None and batch.teacher_mask is not None
        tokens = batch.completion_mask.bool()
        taught = tokens & batch.taught[:, None]
        shares = taught / tokens.sum(1, keepdim=True).clamp(min=1) / len(tokens)
        weights, facts = engine_weights(batch, self.is_clip)
        shares = shares if weights is None else shares * weights
        with trainer.teaching() as teacher:
            told = teacher(**continued(batch.teacher_ids, batch.teacher_mask, batch))
        here = Positions(*(at_places(each, batch) for each in (batch.completion_ids, shares, batch.old_logps)))
        found = model(
            **continued(batch.prompt_ids, batch.prompt_mask, batch), against=told, positions=here, how=self.how
        )
        self.entropy, counted = found.entropy.sum(), at_places(taught, batch)
        self.facts = facts | {
            "divergence": token_fact(found.divergence, counted),
            "teacher_kl": token_fact(found.reverse, counted),
        }
        if self.how.ratio_clip is not None:
            self.facts["clipped_high"] = token_fact(found.ratio > self.how.ratio_clip, counted)
        if batch.base_logps is not None:
            moved = found.log_probs - at_places(batch.base_logps, batch)
            self.facts["base_kl"] = Fact(moved.sum(), tokens.sum())
        loss: Tensor = found.loss
        return loss


def continued(prompt_ids: "Tensor", prompt_mask: "Tensor", batch: Batch) -> dict[str, "Tensor"]:
    """A prompt and the student's answer to its own, as a model takes them: what is learnt from is the answer."""
    return {
        "input_ids": torch.cat([prompt_ids, batch.completion_ids], 1),
        "attention_mask": torch.cat([prompt_mask, batch.completion_mask], 1),
        "learnt": before_answers(prompt_ids.shape[1], batch),
    }


def at_places(values: "Tensor", batch: Batch) -> "Tensor":
    """Of [B, T] what stands at the learnt tokens, one after the other."""
    return values.flatten()[batch.places]


def before_answers(prompt: int, batch: Batch) -> "Tensor":
    """Where, in prompts of this width and their answers, the learnt tokens are the next."""
    width = batch.completion_ids.shape[1]
    return batch.places // width * (prompt + width) + batch.places % width + prompt - 1
