"""The trainer of a model that learns from its own answers: rollouts in, updates by an objective out, measured like any.

At a generation's first backward pass the student is exported and answers, its answers become micro-batches, and what the
old student and the base gave their tokens is computed once. A step then is as in any training. Nothing here is random, and
a checkpoint is made at a generation's end alone: so a resumed run asks the same policy for the same rollouts.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl
import torch
from torch import Tensor

from selfdistill.models.digests import model_digest
from selfdistill.tables.practice import UPDATES
from selfdistill.tables.training import TRAINED_LOGPROBS
from selfdistill.tables.whole import read_table
from selfdistill.training.handover.exports import check_examples, export_model
from selfdistill.training.handover.finished import remove_tree
from selfdistill.training.practice.agreement import refuse_other_law
from selfdistill.training.practice.batches import moved
from selfdistill.training.practice.configuration import deal_of
from selfdistill.training.practice.generations import set_aside
from selfdistill.training.practice.objective import Batch, Fact, Objective
from selfdistill.training.practice.rollouts import POLICY, Policy, Question, RolloutSource
from selfdistill.training.practice.settings import PracticeSettings
from selfdistill.training.practice.stock import PolicyLoss
from selfdistill.training.practice.teacher import Fellow, Moving
from selfdistill.training.processes import ranks
from selfdistill.training.trainer.measured import Measured
from selfdistill.training.trainer.model import plain_model

MENTIONED = 8  # requests of a step that a sentence names
TRACKED = ("teacher_kl", "base_kl", "clipped_low", "clipped_high", "is_clipped", "is_mean")  # of UPDATES
SHOWN = ("reward", "length", "cut", "teacher_kl", "base_kl")


def facts_of(rows: pl.DataFrame, rollouts: int) -> pl.DataFrame:
    """Of each rollout of a generation what is told of it, and whether its group has one reward."""
    group = pl.int_range(pl.len()) // rollouts
    flat = pl.col("reward").n_unique().over(group) == 1
    cut = pl.col("finish_reason") == "length"
    return rows.select("reward", "doubts", "looping", length="n_tokens", cut=cut, flat=flat)


class PractisingTrainer(Measured, PolicyLoss):
    settings: PracticeSettings
    objective: Objective
    weighing = "sequences"

    def __init__(
        self,
        *args: Any,
        objective: Objective,
        questions: Callable[[int], Sequence[Question]],
        source_of_rollouts: RolloutSource,
        base: Fellow | None,
        teacher: Fellow | None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.objective, self.questions, self.source_of_rollouts = objective, questions, source_of_rollouts
        self.base, self.teacher = base, teacher
        self.deal = deal_of(self.settings)
        self.generation = 0
        self._passes: dict[int, Batch] = {}  # this rank's, of the generation
        self._requests: list[str] = []
        self._graded = pl.DataFrame()  # of the generation, a row a rollout
        self._now: Batch
        self._facts: dict[str, Tensor] = {}  # of the step so far: total and weight by column of UPDATES
        self._largest = torch.zeros(())
        self._answering: float | None = None

    # The trainer's own moments

    def learnt_tokens(self, inputs: Any) -> Tensor:
        """TRL's row names a backward pass. What it holds is looked up here, before anything else asks for it."""
        number = int(inputs[0]["pass"])
        if self.deal.generation(number) != self.generation:
            self.begin(self.deal.generation(number))
        self._now = moved(self._passes.pop(self.deal.within(number)), self.args.device)
        return self._now.completion_mask.sum(-1)

    def _prepare_inputs(self, inputs: Any) -> Any:
        return self._now

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Tensor:
        """The mean over the sequences of the whole step: micro-batches are equally large, and ranks are averaged."""
        batch: Batch = inputs
        loss = self.objective.loss(self, model, batch) / self.current_gradient_accumulation_steps
        self._entropy = self.objective.entropy.detach() / batch.step_tokens
        if self.teacher is not None:
            self.teacher.rest()
        self._note(self.objective.facts | self._engine_facts(batch))
        return loss

    def seen_entropy(self) -> Tensor:
        return self._entropy

    def learnt_rows(self, step: int) -> list[str]:
        return self._requests[self._of_step(step)][:MENTIONED]

    def _of_step(self, step: int) -> slice:
        """Of a generation's rollouts those that the step learns from."""
        start = (step - 1) % self.deal.updates * self.deal.batch
        return slice(start, start + self.deal.batch)

    def shown(self) -> dict[str, float]:
        tracked = self.tracked()
        return {name: tracked[name] for name in SHOWN if name in tracked}

    def tracked(self) -> dict[str, float]:
        means = self._graded[self._of_step(int(self._row["step"]))].mean().row(0, named=True)
        seen: dict[str, Any] = means | {name: self._row["update"].get(name) for name in TRACKED}
        return {name: float(value) for name, value in seen.items() if value is not None}

    def seconds_learning(self) -> float:
        return float(self._row["update"]["seconds_learning"])

    def saves_after(self, step: int, stopping: bool) -> bool:
        return step % self.deal.updates == 0

    # What objectives ask of it

    def teaching(self) -> AbstractContextManager[Any]:
        assert self.teacher is not None, "this objective needs a teacher"
        return self.teacher.answering()

    # A generation

    def begin(self, generation: int) -> None:
        """All ranks together: the rollouts, and what is known of them before the first update."""
        started = time.monotonic()
        rows = self.source_of_rollouts.rollouts(generation, self.questions(generation), self.policy)
        self._answering = time.monotonic() - started
        self._requests = rows["request_id"].to_list()
        self._graded = facts_of(rows, self.settings.practice.rollouts)
        self._remember_examples(rows)
        batches = self.deal.batches(rows, self.settings.practice.prefix)
        mine = {number: batch for number, batch in enumerate(batches) if number % ranks.world() == ranks.rank()}
        self._passes = {number: self._with_logps(batch) for number, batch in mine.items()}
        if self.settings.replays is None:  # else they are another student's
            aside = partial(set_aside, self.work.path, generation)
            refuse_other_law(self._passes.values(), generation, self.settings, self.source, aside)
        self.generation = generation

    def policy(self) -> Policy:
        """The student as it is now, in a folder that engines read."""
        folder = self.work.path / POLICY
        ranks.by_first(lambda: remove_tree(folder))
        export_model(self.accelerator.unwrap_model(self.model), self.source, folder)
        return Policy(folder, ranks.by_first(lambda: model_digest(folder)), updated=self.state.global_step > 0)

    def _remember_examples(self, rows: pl.DataFrame) -> None:
        """What exports are compared on: rollouts of the first generation, scored while the student still is the base."""
        if hasattr(self, "check_examples"):
            return
        if self.state.global_step:
            kept = ranks.by_first(lambda: read_table(self.work.base_logprobs, TRAINED_LOGPROBS))
            self.check_examples = kept.select("request_id", "prompt_ids", "completion_ids")
        else:
            self.check_examples = check_examples(rows.rename({"token_ids": "completion_ids"}), self.settings.context)
            super().write_base_logprobs()

    def write_base_logprobs(self) -> None:
        """Not yet: there is nothing to score before the first rollouts."""

    def _with_logps(self, batch: Batch) -> Batch:
        here = moved(batch, self.args.device)
        old = self.scored(self.model_wrapped, here)
        plain = self._at_temperature_one(here) if self.temperature != 1 else old
        base = None
        if self.base is not None:
            with self.base.answering() as model:
                base = self.scored(model, here)
            self.base.rest()
        return replace(batch, old_logps=old, old_plain_logps=plain, base_logps=base)

    def _at_temperature_one(self, batch: Batch) -> Tensor:
        with self._plain_head():
            return self.scored(self.model_wrapped, batch)

    @contextmanager
    def _plain_head(self) -> Iterator[None]:
        student = plain_model(self.accelerator.unwrap_model(self.model))
        student.at_temperature_one = True
        yield
        student.at_temperature_one = False

    # What an update shows

    def _engine_facts(self, batch: Batch) -> dict[str, Fact]:
        mask = batch.completion_mask
        known = mask * ~batch.engine_logps.isnan()
        apart = (batch.old_plain_logps - batch.engine_logps).abs().where(known.bool(), 0)
        self._largest = torch.maximum(self._largest.to(apart.device), apart.max())
        facts = {"engine_difference": Fact(apart.double().sum(), known.sum())}
        if self.teacher is not None:
            facts["taught"] = Fact(batch.taught.sum(), torch.ones_like(batch.taught).sum())
        return facts

    def _note(self, facts: dict[str, Fact]) -> None:
        """They stay on the device until the step's end, so that no backward pass waits for them."""
        for column, fact in facts.items():
            now = torch.stack([fact.total.detach().double(), fact.weight.double()])
            self._facts[column] = self._facts[column] + now if column in self._facts else now

    def unclipped_gradient(self) -> None:
        super().unclipped_gradient()
        self._row["update"] = self._update()

    def _update(self) -> dict[str, Any]:
        """The row of UPDATES, as far as it is known before the step's end."""
        mine = dict(zip(self._facts, torch.stack(list(self._facts.values())).tolist(), strict=True))
        everyones, largest = ranks.gather(mine), max(ranks.gather(float(self._largest)))
        self._facts, self._largest = {}, torch.zeros(())
        row: dict[str, Any] = dict.fromkeys(UPDATES)
        for column in sorted({column for facts in everyones for column in facts}):
            total, weight = (sum(facts[column][part] for facts in everyones if column in facts) for part in (0, 1))
            row[column] = total / weight if weight else None
        return row | {"generation": self.generation, "engine_difference_largest": largest}

    def finish_row(self, seconds: float) -> dict[str, Any]:
        step = int(self._row["step"])
        if step % self.deal.updates == 0 and isinstance(self.teacher, Moving):
            self.teacher.follow(self.accelerator.unwrap_model(self.model))
        answering, self._answering = self._answering, None
        self._row["update"] |= {
            "step": step,
            "teacher_distance": self._teacher_distance(),
            "seconds_answering": answering,
            "seconds_learning": seconds - (answering or 0.0),
        }
        return super().finish_row(seconds)

    def _teacher_distance(self) -> float | None:
        if not isinstance(self.teacher, Moving):
            return None
        return self.path_meter.relative_distance(self.teacher.model)

    # Checkpoints hold a moving teacher too

    def checkpoint_written(self, checkpoint: Path) -> None:
        if isinstance(self.teacher, Moving):
            self.teacher.save(checkpoint)
        super().checkpoint_written(checkpoint)

    def checkpoint_read(self, checkpoint: Path) -> None:
        if isinstance(self.teacher, Moving):
            self.teacher.load(checkpoint)
        super().checkpoint_read(checkpoint)
