"""Short trainings from one model at several batch sizes: what the noise scale is held against.

In: the base, an arm's examples and settings. Out: the loss of held-out examples along every branch. A branch at k times the
study's batch has √k times its learning rate, constant after a warm-up, and a second moment that forgets equally many examples
(β₂ᵏ). All branches of a seed are shown the same examples in the same order. Each is the arm's own training but for that; none
is exported. A finished branch is kept in the work folder, and one that was killed begins anew.
"""

import gc
import sys
from collections.abc import Iterator
from math import gcd, sqrt
from pathlib import Path
from typing import Any

import polars as pl
import torch
from transformers import TrainerCallback

from selfdistill.foundation.errors import UserError
from selfdistill.foundation.files import write_json
from selfdistill.foundation.locks import held
from selfdistill.mechanism.gradients import hidden_states, sum_of_losses
from selfdistill.models.digests import model_digest
from selfdistill.study.mechanism import Branches
from selfdistill.study.training import Recipe
from selfdistill.tables.mechanism import BRANCH_LOSSES
from selfdistill.tables.training import DATASET
from selfdistill.tables.whole import read_table, write_table
from selfdistill.training.examples.rows import training_order
from selfdistill.training.examples.taught import with_targets
from selfdistill.training.handover.checkpoints import WorkFolder
from selfdistill.training.run import build_trainer, dataset_digest
from selfdistill.training.settings import RunSettings, identity_hash, run_identity
from selfdistill.training.trainer.model import plain_model

LOOKS = 8  # at the held-out loss along a branch, and one before its first step
WARM_UP = 0.1  # share of a branch's steps
HELD_OUT = ["request_id", "prompt_ids", "completion_ids"]


def write_branches(
    model: Path,
    dataset_file: Path,
    targets_file: Path | None,
    asked: Branches,
    settings: RunSettings,
    out: Path,
    work: Path,
) -> None:
    shown, held_out = split(read_table(dataset_file, DATASET), asked, settings.context)
    if targets_file:
        shown = with_targets(shown, targets_file)
    origin = {"model": model_digest(model), "shown": dataset_digest(shown), "held out": dataset_digest(held_out)}
    with held(work / "lock", lambda other: f"{work}: {other} trains these branches already; wait for it or stop it."):
        tables = []
        for batch, seed in [(batch, seed) for seed in asked.seeds for batch in asked.batches]:
            chosen = branch_settings(settings, batch, seed)
            identity = run_identity(chosen, origin)
            kept = work / f"{identity_hash(identity)[:16]}.parquet"
            if not kept.is_file():
                _say(f"branch of {batch} examples a step, data order {seed}")
                losses = branch_losses(model, shown, held_out, chosen, work / "branch")
                forget_the_last()
                write_table(losses, kept, BRANCH_LOSSES)
                write_json(kept.with_suffix(".json"), identity)
            tables.append(read_table(kept, BRANCH_LOSSES))
        write_table(pl.concat(tables), out, BRANCH_LOSSES)


def split(dataset: pl.DataFrame, asked: Branches, context: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """What the branches are shown, and what they are judged by; chosen by request ids, which are hashes."""
    fitting = dataset.filter(pl.col("prompt_ids").list.len() + pl.col("completion_ids").list.len() <= context).sort(
        "request_id"
    )
    held_out = fitting.unique("problem_id", keep="first", maintain_order=True).head(asked.held_out)
    shown = fitting.join(held_out, on="problem_id", how="anti", maintain_order="left").head(asked.examples)
    if held_out.height < asked.held_out or shown.height < asked.examples:
        raise UserError(
            f"mechanism.branches: {asked.held_out} held-out and {asked.examples} shown examples are more than the arm's "
            f"{fitting.height} that fit the context; lower mechanism.branches.examples or raise training.examples."
        )
    return shown, held_out


def branch_settings(settings: RunSettings, batch: int, seed: int) -> RunSettings:
    """The arm's recipe at another batch size."""
    recipe = settings.training
    times = batch / recipe.batch
    rate = recipe.lr * sqrt(times)
    changed = {
        "batch": batch,
        "micro_batch": gcd(recipe.micro_batch, batch),
        "epochs": 1,
        "max_steps": None,
        "lr": rate,
        "lr_floor": rate,
        "warmup_share": WARM_UP,
        "beta2": recipe.beta2**times,
        "over_length": "raise",
        "checkpoints": [],
        "trackers": [],
        "save_every": sys.maxsize,
    }
    training = Recipe.model_validate(recipe.model_dump() | changed)
    return settings.model_copy(update={"training": training, "training_seed": seed, "processes": 1, "nodes": 1})


def branch_losses(
    model: Path, shown: pl.DataFrame, held_out: pl.DataFrame, settings: RunSettings, work: Path
) -> pl.DataFrame:
    order = training_order(shown.height, settings)
    steps = -(-len(order) // settings.training.batch)
    WorkFolder(work).clear()
    work.mkdir(parents=True, exist_ok=True)
    folder = WorkFolder(work)
    folder.journal.cut_after(0)
    trainer = build_trainer(model, shown[order.tolist()], settings, folder, {}, steps, lambda: False)
    looks = HeldOutLoss(trainer, held_out, {max(1, round(steps * look / LOOKS)) for look in range(1, LOOKS + 1)})
    trainer.add_callback(looks)
    trainer.train()
    batch = settings.training.batch
    table = pl.concat(looks.found).with_columns(
        batch=pl.lit(batch, pl.Int64),
        seed=pl.lit(settings.training_seed, pl.Int64),
        examples=pl.min_horizontal(pl.col("step") * batch, pl.lit(len(order))),
        learning_rate=pl.lit(settings.training.lr),
    )
    return table.select(list(BRANCH_LOSSES))


def forget_the_last() -> None:
    """A trainer refers to itself: until it is collected, its model and moments would lie beside the next one's."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


class HeldOutLoss(TrainerCallback):
    """Of every held-out example, before the first step and after some."""

    def __init__(self, trainer: Any, examples: pl.DataFrame, steps: set[int]) -> None:
        self.trainer, self.examples, self.steps = trainer, examples, steps
        self.found: list[pl.DataFrame] = []

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._look(0)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step in self.steps:
            self._look(state.global_step)

    @torch.no_grad()
    def _look(self, step: int) -> None:
        model = plain_model(self.trainer.accelerator.unwrap_model(self.trainer.model))
        training = model.training
        model.eval()
        with self.trainer.compute_loss_context_manager():
            losses = list(self._losses(model))
        model.train(training)
        rows = self.examples.select("request_id", tokens=pl.col("completion_ids").list.len().cast(pl.Int64))
        self.found.append(rows.with_columns(loss=pl.Series(losses), step=pl.lit(step, pl.Int64)))

    def _losses(self, model: Any) -> Iterator[float]:
        for _, prompt, completion in self.examples.select(HELD_OUT).iter_rows():
            tokens = torch.tensor(completion, device=model.device)
            yield float(sum_of_losses(hidden_states(model, prompt, completion), model.get_output_embeddings(), tokens))


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
