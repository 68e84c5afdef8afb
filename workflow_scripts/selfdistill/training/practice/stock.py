"""All that practice takes from the insides of TRL's GRPOTrainer: its private names, and public ones without a promise.

Of that trainer the loss is ours to use, with its clipping and its weights of tokens. Its generation, its rewards, its
sampler and its buffer are not: a generation comes from a `RolloutSource`, whole and in order. Imported by practice alone,
for TRL imports its engines with it. `trainer/stock.py` says of which versions this holds.
"""

import functools
import types
from typing import Any

import torch
from torch import Tensor
from torch.distributed.fsdp import fully_shard
from torch.utils.data import SequentialSampler
from transformers import Trainer
from trl import GRPOTrainer
from trl.models import enable_selective_activation_checkpointing
from trl.trainer.utils import add_fused_lm_head

from selfdistill.training.practice.objective import Batch

__all__ = [
    "GRPOTrainer",
    "PolicyLoss",
    "add_fused_lm_head",
    "add_plain_head",
    "enable_selective_activation_checkpointing",
    "spread_frozen",
]


def no_reward(*args: Any, **kwargs: Any) -> list[float]:
    """TRL wants one. Ours come with the rollouts."""
    raise AssertionError("nothing is graded here")


class Unmeasured:
    """An accelerator for TRL's loss whose sums over ranks are nothing: TRL asks for them in each pass to log them, and a GPU
    would wait for every one. What we keep of an update is our own."""

    def __init__(self, accelerator: Any) -> None:
        self._accelerator = accelerator

    def __getattr__(self, name: str) -> Any:
        return getattr(self._accelerator, name)

    def reduce(self, tensor: Tensor, reduction: str) -> Tensor:
        return torch.zeros(tensor.shape)

    def gather(self, tensor: Tensor) -> Tensor:
        return torch.zeros(tensor.shape)


class PolicyLoss(GRPOTrainer):
    """TRL's trainer, reduced to its loss. Rows of its dataset are backward passes, dealt to the ranks like cards."""

    token_logps: Tensor  # of the sampled tokens in the last loss, [B, T]
    token_entropies: Tensor

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs, reward_funcs=no_reward)  # type: ignore[misc, arg-type]

    def get_train_dataloader(self) -> Any:
        return Trainer.get_train_dataloader(self)  # TRL's would make one batch of a whole generation

    def _get_train_sampler(self, dataset: Any = None) -> Any:
        return SequentialSampler(dataset or self.train_dataset)  # type: ignore[arg-type]

    def policy_loss(self, model: Any, batch: Batch, weights: Tensor | None) -> Tensor:
        """The mean over the sequences of a micro-batch. Where it is weighted, TRL takes the engine to be vLLM."""
        inputs = {
            "prompt_ids": batch.prompt_ids,
            "prompt_mask": batch.prompt_mask,
            "completion_ids": batch.completion_ids,
            "completion_mask": batch.completion_mask,
            "advantages": batch.advantages,
            "old_per_token_logps": batch.old_logps,
            "importance_sampling_ratio": weights,
        }
        self.use_vllm = weights is not None
        passes, self.current_gradient_accumulation_steps = self.current_gradient_accumulation_steps, 1
        accelerator, self.accelerator = self.accelerator, Unmeasured(self.accelerator)
        try:
            loss = self._compute_loss(model, inputs)
        finally:
            self.current_gradient_accumulation_steps, self.accelerator = passes, accelerator
        self._metrics["train"].clear()
        return loss

    def _get_per_token_logps_and_entropies(self, *args: Any, **kwargs: Any) -> Any:
        found = super()._get_per_token_logps_and_entropies(*args, **kwargs)
        self.token_logps, self.token_entropies = found[0], found[1]
        return found

    def scored(self, model: Any, batch: Batch) -> Tensor:
        """Log-probabilities of the sampled tokens, [B, T], by the model as it is."""
        ids = torch.cat([batch.prompt_ids, batch.completion_ids], 1)
        mask = torch.cat([batch.prompt_mask, batch.completion_mask], 1)
        training = model.training
        model.eval()
        with torch.no_grad(), self.compute_loss_context_manager():
            logps, *_ = super()._get_per_token_logps_and_entropies(model, ids, mask, batch.completion_ids.shape[1])
        model.train(training)
        return logps.detach().float()


def add_plain_head(model: Any) -> None:
    """Beside the head at the rollouts' temperature one at 1, which is used while `model.at_temperature_one` is set."""
    tempered = model.forward
    add_fused_lm_head(model, temperature=1.0)
    plain = model.forward
    model.at_temperature_one = False

    @functools.wraps(tempered)
    def forward(self: Any, *args: Any, **kwargs: Any) -> Any:
        return (plain if self.at_temperature_one else tempered)(*args, **kwargs)

    model.forward = types.MethodType(forward, model)


def spread_frozen(model: Any) -> Any:
    """A model that nothing trains, its weights shared out as the student's are: the same parts on the same ranks.

    Layer by layer: as one piece, the whole of it would be gathered in every pass.
    """
    for module in list(model.modules()):
        if type(module).__name__ in (model._no_split_modules or ()):
            fully_shard(module)
    return fully_shard(model)
