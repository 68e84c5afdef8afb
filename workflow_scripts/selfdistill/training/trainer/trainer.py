"""TRL's SFTTrainer with instruments: faithful tokens in, every measurement, journal row and checkpoint out."""

from collections.abc import Sequence
from typing import Any

import polars as pl
import torch
from trl import SFTTrainer

from selfdistill.training.examples.rows import IGNORED
from selfdistill.training.trainer.measured import Measured


class MeasuredTrainer(Measured, SFTTrainer):
    """The trainer of a run on a dataset."""

    def __init__(self, *args: Any, check_examples: pl.DataFrame, request_ids: Sequence[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # What composite models deny of their own loss holds for ours: it counts the tokens of the whole step.
        self.model_accepts_loss_kwargs = True
        self.check_examples, self.request_ids = check_examples, request_ids

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """The sum over this backward pass, divided by the supervised tokens of the whole step on all ranks."""
        outputs = model(**inputs, use_cache=False, fused_lm_head=True)
        self._entropy = outputs.entropy.detach().sum() / num_items_in_batch
        loss = -outputs.log_probs.sum() / num_items_in_batch
        # Gradients are averaged over ranks, each of which holds a part of the sum.
        loss = loss * self.accelerator.num_processes
        return (loss, outputs) if return_outputs else loss

    def learnt_tokens(self, inputs: dict[str, Any]) -> torch.Tensor:
        return supervised_lengths(inputs)

    def seen_entropy(self) -> torch.Tensor:
        return self._entropy

    def learnt_rows(self, step: int) -> list[str]:
        batch = self.settings.training.batch
        return list(self.request_ids[(step - 1) * batch :][:batch])


def supervised_lengths(inputs: dict[str, Any]) -> torch.Tensor:
    """Supervised tokens of each sequence of a backward pass. The first token of a sequence never is one."""
    supervised = inputs["labels"] != IGNORED
    if "cu_seq_lens_q" not in inputs:
        return supervised.sum(-1)
    sequence = (inputs["position_ids"] == 0).cumsum(-1)[0] - 1
    lengths = torch.zeros(len(inputs["cu_seq_lens_q"]) - 1, dtype=torch.int64, device=supervised.device)
    return lengths.index_add_(0, sequence, supervised[0].long())
