"""What changed between the first generation, which the base answered, and the last ones.

The two are paired where they ask the same questions, and add up where they do not. A cut answer is missing: the least and
the most that the reward can have changed by are those with every cut answer of one end counted as right.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from selfdistill.analysis.differences import Row
from selfdistill.analysis.practice import Practised, by_arm, of_all_trainings
from selfdistill.analysis.practice_questions import (
    CUT_COUNTED_RIGHT,
    REWARD,
    Measure,
    denominators,
    interval,
    numerators,
    ratio,
    unit,
)
from selfdistill.analysis.problem_means import known
from selfdistill.statistics.clusters import Array, ClusterMean, cluster_mean, cluster_totals
from selfdistill.statistics.intervals import Interval, difference_of_intervals, t_interval
from selfdistill.statistics.ratios import ratio_influence
from selfdistill.tables import words
from selfdistill.tables.practice_analysis import PRACTICE_CHANGES
from selfdistill.tables.schema import conform

LAST = 10  # the last tenth of the generations, at least one

# The name of a change → what is measured in the first generation, and in the last ones.
BOUNDS = {
    words.REWARD_CUT_AT_START: (CUT_COUNTED_RIGHT, REWARD),
    words.REWARD_CUT_AT_END: (REWARD, CUT_COUNTED_RIGHT),
}


@dataclass(frozen=True)
class Ends:
    """The questions of one training's first generation, and of its last ones."""

    first: pl.DataFrame
    last: pl.DataFrame
    generations: int

    @classmethod
    def of(cls, questions: pl.DataFrame) -> "Ends":
        most = int(questions.select(pl.col("generation").max()).item())
        count = max(1, most // LAST)
        late = questions.filter(pl.col("generation") > most - count)
        return cls(questions.filter(pl.col("generation") == 1), _by_question(late), count)


def _by_question(questions: pl.DataFrame) -> pl.DataFrame:
    sums = pl.all().exclude("generation", "problem_id", "family", "step").sum()
    return questions.group_by("problem_id", "family").agg(sums).sort("problem_id")


def practice_changes(runs: Sequence[Practised]) -> pl.DataFrame:
    rows = [row for arm in by_arm(runs).values() for row in _of_arm(arm)]
    return conform(pl.DataFrame(rows, schema=PRACTICE_CHANGES), PRACTICE_CHANGES, "changes by practice")


def _of_arm(arm: Sequence[Practised]) -> Iterator[Row]:
    ends = [Ends.of(run.questions) for run in arm if not run.replays]
    pairs = {measure.name: (measure, measure) for measure in arm[0].measures}
    for name, (first, last) in (pairs | BOUNDS if pairs else {}).items():
        for run, own in zip(arm, ends, strict=True):
            yield {"arm": run.arm, "training_seed": run.seed, "measure": name} | change([own], first, last)
        if len(arm) < 2:
            continue
        for claim in (words.CHECKPOINTS, words.METHOD):
            yield {"arm": arm[0].arm, "training_seed": None, "measure": name} | change(ends, first, last, claim)


def change(ends: Sequence[Ends], first: Measure, last: Measure, claim: str = words.CHECKPOINTS) -> Row:
    found = Change.of(ends, first, last)
    mean, method = found.mean, words.T
    reach = t_interval(mean)
    if claim == words.METHOD:
        mean = of_all_trainings(mean, [Change.of([each], first, last).mean for each in ends])
        reach = t_interval(mean)
    elif first.is_share:
        reach, method = found.of_shares(first, last), words.MOVER
    return {
        "generations": ends[0].generations,
        "first": known(found.first.estimate),
        "last": known(found.last.estimate),
        "estimate": known(mean.estimate),
        "low": known(reach.low),
        "high": known(reach.high),
        "method": method,
        "claim": claim,
        "unit": unit(pl.concat([each.first.select("problem_id", "family") for each in ends])),
        "n": mean.clusters,
    }


@dataclass(frozen=True)
class Change:
    """A measure at both ends, and the difference with its error by family of questions."""

    first: ClusterMean
    last: ClusterMean
    mean: ClusterMean
    counted: tuple[float, float]  # answers, or groups

    @classmethod
    def of(cls, ends: Sequence[Ends], first: Measure, last: Measure) -> "Change":
        early = pl.concat([each.first.with_columns(training=pl.lit(i)) for i, each in enumerate(ends)])
        late = pl.concat([each.last.with_columns(training=pl.lit(i)) for i, each in enumerate(ends)])
        asked = pl.concat([each.select("training", "problem_id", "family") for each in (early, late)]).unique(
            maintain_order=True
        )
        parts = [_influence(asked, part, measure) for part, measure in ((late, last), (early, first))]
        moved = cluster_mean(*cluster_totals(parts[0] - parts[1], asked["family"].to_numpy()))
        one, two = ratio(early, first), ratio(late, last)
        counted = (float(denominators(early, first).sum()), float(denominators(late, last).sum()))
        return cls(one, two, replace(moved, estimate=two.estimate - one.estimate), counted)

    def of_shares(self, first: Measure, last: Measure) -> Interval:
        """From the intervals of both shares, which know that a share ends at 0 and 1."""
        own = interval(self.first, first, self.counted[0]), interval(self.last, last, self.counted[1])
        apart = self.first.standard_error, self.last.standard_error
        together = 0.0
        if min(apart) > 0 and math.isfinite(self.mean.standard_error):
            shared = apart[0] ** 2 + apart[1] ** 2 - self.mean.standard_error**2
            together = float(np.clip(shared / (2 * apart[0] * apart[1]), 0.0, 1.0))
        return difference_of_intervals(self.last.estimate, own[1], self.first.estimate, own[0], together)


def _influence(asked: pl.DataFrame, part: pl.DataFrame, measure: Measure) -> Array:
    """How much each question that was asked at either end moves the ratio of this end, times their number."""
    sums = part.select("training", "problem_id", n=numerators(part, measure), d=denominators(part, measure))
    spread = asked.join(sums, on=("training", "problem_id"), how="left", maintain_order="left").fill_null(0.0)
    return ratio_influence(spread["n"].to_numpy(), spread["d"].to_numpy())[1]
