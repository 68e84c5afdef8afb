"""Reinforcement by a verifiable reward: TRL's own loss of GRPO, and what it does to an update's tokens.

With TRL's `grpo` the loss is the mean over rollouts of the mean over their tokens; a group whose rewards are equal has no
advantage, and adds 0.
"""

from typing import TYPE_CHECKING, Any

from selfdistill.study.practice import PracticeRecipe
from selfdistill.training.objectives.engine_weights import engine_weights, token_fact
from selfdistill.training.objectives.ratios import ratio_of
from selfdistill.training.practice.objective import Batch, Fact, Practising

if TYPE_CHECKING:
    from torch import Tensor


class Grpo:
    entropy: "Tensor"
    facts: dict[str, Fact]

    def __init__(self, recipe: PracticeRecipe) -> None:
        self.is_clip, self.clip, self.dual_clip = recipe.is_clip, recipe.clip, recipe.dual_clip

    def prepare(self, model: Any) -> None:
        """TRL's head is all it needs."""

    def loss(self, trainer: Practising, model: Any, batch: Batch) -> "Tensor":
        weights, facts = engine_weights(batch, self.is_clip)
        loss = trainer.policy_loss(model, batch, weights)
        tokens, log_probs = batch.completion_mask, trainer.token_logps.detach()
        self.entropy = (trainer.token_entropies * tokens).sum()
        self.facts = facts | self._clipped(log_probs, batch)
        if batch.base_logps is not None:
            self.facts["base_kl"] = token_fact(log_probs - batch.base_logps, tokens)
        return loss

    def _clipped(self, log_probs: "Tensor", batch: Batch) -> dict[str, Fact]:
        """Tokens that push no more: of right answers those grown likelier enough, of wrong ones those grown rarer enough.

        And of wrong ones those grown so much likelier that the dual clip holds them.
        """
        ratio = ratio_of(log_probs, batch.old_logps)
        right, wrong = batch.advantages[:, None] > 0, batch.advantages[:, None] < 0
        high = (ratio > 1 + self.clip[1]) & right
        if self.dual_clip is not None:
            high |= (ratio > self.dual_clip) & wrong
        low = (ratio < 1 - self.clip[0]) & wrong
        return {
            "clipped_low": token_fact(low, batch.completion_mask),
            "clipped_high": token_fact(high, batch.completion_mask),
        }
