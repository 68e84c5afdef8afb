"""How training on one's own answers went. Rollouts and updates of every training in, PRACTICE, PRACTICE_CHANGES and
PRACTICE_COST out.

Within a generation the question is the unit: its rollouts are draws, its family is what is counted. A row over several
trainings speaks of these trainings (questions and draws vary), or of the method (trainings vary, too). What a training
has one number of a step, as a share of clipped tokens, has no interval before there are several trainings.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from selfdistill.analysis.differences import Row
from selfdistill.analysis.practice_questions import (
    MEASURES,
    OF_GROUPS,
    OF_TEACHERS,
    Measure,
    denominators,
    interval,
    question_sums,
    ratio,
    unit,
)
from selfdistill.analysis.problem_means import known
from selfdistill.statistics.clusters import ClusterMean
from selfdistill.statistics.intervals import t_interval
from selfdistill.statistics.trainings import Trainings, of_the_method
from selfdistill.tables import words
from selfdistill.tables.practice_analysis import PRACTICE, PRACTICE_COST
from selfdistill.tables.schema import conform

OF_UPDATES = {
    words.CLIPPED_LOW: "clipped_low",
    words.CLIPPED_HIGH: "clipped_high",
    words.IS_CLIPPED: "is_clipped",
    words.IS_MEAN: "is_mean",
    words.ENGINE_DIFFERENCE: "engine_difference",
    words.TEACHER_KL: "teacher_kl",
    words.LEARNT_DIVERGENCE: "divergence",
    words.BASE_KL: "base_kl",
    words.TEACHER_DISTANCE: "teacher_distance",
    words.LAW_ENTROPY: "entropy",
}


@dataclass(frozen=True)
class Practised:
    """One training: what it answered, by question, and its updates. One that replays answered nothing itself."""

    arm: str
    seed: int
    group: int  # rollouts of a question
    questions: pl.DataFrame
    updates: pl.DataFrame
    cost: Row
    replays: bool = False

    @classmethod
    def of(
        cls, run: str, group: int, rollouts: pl.DataFrame, updates: pl.DataFrame, log: pl.DataFrame,
        families: pl.DataFrame, replays: bool = False,
    ) -> "Practised":  # fmt: skip
        arm, seed = run.split("/seed-")
        updates = updates.join(log.select("step", "entropy"), on="step", how="left").sort("step")
        questions = question_sums(rollouts, group, families)
        named = {"arm": arm, "training_seed": int(seed)}
        return cls(arm, int(seed), group, questions, updates, named | cost_of(rollouts, updates, replays), replays)

    @property
    def measures(self) -> Sequence[Measure]:
        """Those that its own rollouts have."""
        if self.replays:
            return ()
        taught = () if self.updates["taught"].null_count() == self.updates.height else (OF_TEACHERS,)
        return (*MEASURES, *(OF_GROUPS if self.group > 1 else ()), *taught)


def practice(runs: Sequence[Practised]) -> pl.DataFrame:
    """PRACTICE: each training by itself, and those of an arm together."""
    rows = [row for arm in by_arm(runs).values() for row in (*_of_rollouts(arm), *_of_updates(arm))]
    return conform(pl.DataFrame(rows, schema=PRACTICE), PRACTICE, "practice")


def costs(runs: Sequence[Practised]) -> pl.DataFrame:
    return conform(pl.DataFrame([run.cost for run in runs], schema=PRACTICE_COST), PRACTICE_COST, "cost of practice")


def by_arm(runs: Sequence[Practised]) -> dict[str, list[Practised]]:
    arms: dict[str, list[Practised]] = {}
    for run in runs:
        arms.setdefault(run.arm, []).append(run)
    return arms


def cost_of(rollouts: pl.DataFrame, updates: pl.DataFrame, replays: bool) -> Row:
    shown = pl.col("teacher_tokens") + pl.col("n_tokens")
    return {
        "generations": updates["generation"].n_unique(),
        "steps": updates.height,
        "questions": rollouts["problem_id"].n_unique(),
        "rollouts": rollouts.height,
        "sampled": 0 if replays else rollouts.height,
        "tokens": int(rollouts["n_tokens"].sum()),
        "teacher_tokens": int(rollouts.select(shown.sum()).item() or 0),
        "seconds_answering": updates["seconds_answering"].sum(),
        "seconds_learning": updates["seconds_learning"].sum(),
        "peak_bytes": updates["peak_bytes"].max(),
    }


def _of_rollouts(arm: Sequence[Practised]) -> Iterator[Row]:
    for measure in arm[0].measures:
        by_generation = [_generations(run.questions) for run in arm]
        for run, generations in zip(arm, by_generation, strict=True):
            for generation, questions in generations.items():
                yield _named(run.arm, run.seed, generation, questions) | level([questions], measure, words.CHECKPOINTS)
        if len(arm) < 2:
            continue
        for generation in sorted(set.intersection(*map(set, by_generation))):
            here = [generations[generation] for generations in by_generation]
            for claim in (words.CHECKPOINTS, words.METHOD):
                yield _named(arm[0].arm, None, generation, here[0]) | level(here, measure, claim)


def _generations(questions: pl.DataFrame) -> dict[int, pl.DataFrame]:
    parts = questions.partition_by("generation", as_dict=True, maintain_order=True)
    return {int(str(generation)): part for (generation,), part in parts.items()}


def _named(arm: str, seed: int | None, generation: int, questions: pl.DataFrame) -> Row:
    step = int(questions.select(pl.col("step").min()).item()) - 1
    return {"arm": arm, "training_seed": seed, "generation": generation, "step": step}


def level(trainings: Sequence[pl.DataFrame], measure: Measure, claim: str) -> Row:
    """A measure of one generation of these trainings, each with its questions."""
    together = pl.concat(trainings)
    mean = ratio(together, measure)
    if claim == words.METHOD:
        mean = of_all_trainings(mean, [ratio(each, measure) for each in trainings])
    counted = int(denominators(together, measure).sum()) if measure.is_share else int(together["answers"].sum())
    found = interval(mean, measure, counted)
    return {
        "measure": measure.name,
        "estimate": known(mean.estimate),
        "low": known(found.low),
        "high": known(found.high),
        "method": words.WILSON_EFFECTIVE if measure.is_share else words.T,
        "claim": claim,
        "unit": unit(together),
        "n": mean.clusters,
        "counted": counted,
    }


def of_all_trainings(whole: ClusterMean, each: Sequence[ClusterMean]) -> ClusterMean:
    """The same estimate, for trainings that were not made. What trainings have in common by asking the same questions is
    what the error of all lacks to that of independent ones."""
    count = len(each)
    variances = np.array([mean.standard_error**2 for mean in each])
    common = (count**2 * whole.standard_error**2 - variances.sum()) / (count * (count - 1))
    noise = max(0.0, float(variances.mean()) - max(0.0, float(common)))
    return of_the_method(whole, [(1.0, Trainings(np.array([mean.estimate for mean in each]), noise))])


def _of_updates(arm: Sequence[Practised]) -> Iterator[Row]:
    for measure, column in OF_UPDATES.items():
        means = [_means(run.updates, column) for run in arm]
        for run, numbers in zip(arm, means, strict=True):
            for generation, (step, value) in numbers.items():
                yield _one_number(run, run.seed, generation, step) | {
                    "measure": measure, "estimate": value, "method": words.ONE_NUMBER, "claim": words.CHECKPOINTS, "n": 1,
                }  # fmt: skip
        if len(arm) < 2:
            continue
        for generation in sorted(set.intersection(*map(set, means))):
            values = np.array([numbers[generation][1] for numbers in means])
            error = float(values.std(ddof=1)) / np.sqrt(len(values))
            found = t_interval(ClusterMean.of(float(values.mean()), float(error), len(values)))
            yield _one_number(arm[0], None, generation, means[0][generation][0]) | {
                "measure": measure, "estimate": float(values.mean()), "low": known(found.low), "high": known(found.high),
                "method": words.T_OVER_TRAININGS, "claim": words.METHOD, "n": len(values),
            }  # fmt: skip


def _one_number(run: Practised, seed: int | None, generation: int, step: int) -> Row:
    return {
        "arm": run.arm, "training_seed": seed, "generation": generation, "step": step, "low": None, "high": None,
        "unit": words.TRAINING, "counted": None,
    }  # fmt: skip


def _means(updates: pl.DataFrame, column: str) -> Mapping[int, tuple[int, float]]:
    """By generation the steps before it, and the mean over its updates."""
    rows = (
        updates.drop_nulls(column)
        .group_by("generation")
        .agg(pl.col("step").min() - 1, pl.col(column).mean())
        .sort("generation")
    )
    found: list[tuple[Any, ...]] = list(rows.iter_rows())
    return {generation: (step, value) for generation, step, value in found}
