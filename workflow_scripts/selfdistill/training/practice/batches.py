"""From a generation's rollouts to the micro-batches that are learnt from: tensors, padded each to its own longest row."""

from collections.abc import Iterator, Sequence
from dataclasses import fields, replace
from typing import Any

import polars as pl
import torch
from torch import Tensor

from selfdistill.training.practice.objective import Batch


class Deal:
    """How the rollouts of a generation become backward passes: in order, updates one after the other.

    Passes are numbered through the training from 0, and ranks take them in turns.
    """

    def __init__(self, batch: int, micro_batch: int, updates: int) -> None:
        self.batch, self.micro_batch, self.updates = batch, micro_batch, updates
        self.of_step = batch // micro_batch
        self.of_generation = self.of_step * updates

    def generation(self, number: int) -> int:
        """The generation that a pass is of, from 1."""
        return number // self.of_generation + 1

    def step(self, number: int) -> int:
        """The step that a pass is of, from 1."""
        return number // self.of_step + 1

    def within(self, number: int) -> int:
        """Which of its generation's passes it is, from 0."""
        return number % self.of_generation

    def batches(self, rows: pl.DataFrame, prefix: int | None) -> list[Batch]:
        """All of a generation. Log-probabilities of the old student and the base are added when they are known."""
        steps = [rows[start : start + self.batch] for start in range(0, rows.height, self.batch)]
        return [batch for step in steps for batch in self._of_step(step, prefix)]

    def _of_step(self, rows: pl.DataFrame, prefix: int | None) -> Iterator[Batch]:
        tokens = pl.col("token_ids").list.len()
        learnt = rows.select(pl.min_horizontal(tokens, pl.lit(prefix)) if prefix else tokens).to_series()
        totals = {
            "step_sequences": rows.height,
            "step_tokens": int(learnt.sum()),
            "step_taught": rows["teacher_ids"].count(),
        }
        for piece in rows.iter_slices(self.micro_batch):
            yield micro_batch(piece, prefix, totals)


def micro_batch(rows: pl.DataFrame, prefix: int | None, totals: dict[str, int]) -> Batch:
    completions = [tokens[:prefix] for tokens in rows["token_ids"].to_list()]
    engine = [logps[:prefix] for logps in rows["logprobs"].to_list()]
    prompts, taught = rows["prompt_ids"].to_list(), rows["teacher_ids"].to_list()
    prompt_ids, prompt_mask = padded(prompts, left=True)
    completion_ids, completion_mask = padded(completions)
    teacher_ids, teacher_mask = padded([told or asked for told, asked in zip(taught, prompts, strict=True)], left=True)
    nothing = torch.zeros(completion_ids.shape)
    return Batch(
        prompt_ids=prompt_ids,
        prompt_mask=prompt_mask,
        completion_ids=completion_ids,
        completion_mask=completion_mask,
        advantages=torch.tensor(rows["advantage"].to_list(), dtype=torch.float32),
        old_logps=nothing,
        old_plain_logps=nothing,
        engine_logps=padded(engine, dtype=torch.float32)[0],
        base_logps=None,
        teacher_ids=teacher_ids,
        teacher_mask=teacher_mask,
        places=places_of(completion_mask),
        taught=torch.tensor([ids is not None for ids in taught]),
        **totals,
    )


def places_of(mask: Tensor) -> Tensor:
    return mask.flatten().nonzero()[:, 0]


def padded(
    rows: Sequence[Sequence[Any]], left: bool = False, dtype: torch.dtype = torch.int64
) -> tuple[Tensor, Tensor]:
    """Rows side by side, and where they are."""
    width = max(map(len, rows))
    values = torch.zeros(len(rows), width, dtype=dtype)
    mask = torch.zeros(len(rows), width, dtype=torch.int64)
    for number, row in enumerate(rows):
        place = slice(width - len(row), width) if left else slice(0, len(row))
        values[number, place] = torch.tensor(row, dtype=dtype)
        mask[number, place] = 1
    return values, mask


def moved(batch: Batch, device: Any) -> Batch:
    """The batch with its tensors on this device."""
    values = {field.name: getattr(batch, field.name) for field in fields(batch)}
    tensors: dict[str, Any] = {name: each.to(device) for name, each in values.items() if isinstance(each, Tensor)}
    return replace(batch, **tensors)
