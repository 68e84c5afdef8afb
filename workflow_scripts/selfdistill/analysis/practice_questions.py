"""From rollouts to sums by question, once: the question is the unit, its rollouts are draws of it.

A question that a generation asks twice is one unit there, and two groups.
"""

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from selfdistill.statistics.clusters import Array, ClusterMean, cluster_mean, cluster_totals
from selfdistill.statistics.intervals import Interval, t_interval, wilson_effective_interval
from selfdistill.tables import words
from selfdistill.tables.endings import NO_ANSWER, UNFINISHED
from selfdistill.tables.practice import ROLLOUTS
from selfdistill.tables.streams import read_pieces

# What is read of the rollouts: without what weighs.
NEEDED = (
    "generation",
    "step",
    "problem_id",
    "draw",
    "n_tokens",
    "logprob",
    "finish_class",
    "reward",
    "doubts",
    "looping",
    "teacher_ids",
)


@dataclass(frozen=True)
class Measure:
    """A ratio of two sums over questions."""

    name: str
    events: str
    of: str = "answers"
    is_share: bool = True
    scale: float = 1.0


REWARD = Measure(words.REWARD, "right")
CUT_COUNTED_RIGHT = Measure(words.REWARD_CUT_RIGHT, "right_or_cut")
MEASURES = (
    REWARD,
    CUT_COUNTED_RIGHT,
    Measure(words.MEAN_TOKENS, "tokens", is_share=False),
    Measure(words.DOUBTS, "doubts", is_share=False),
    Measure(words.DOUBT_RATE, "doubts", "tokens", is_share=False, scale=1000),
    Measure(words.NATS_PER_TOKEN, "nats", "tokens", is_share=False),
    Measure(words.CUT_RATE, "unfinished"),
    Measure(words.LOOP_RATE, "looping"),
    Measure(words.NO_ANSWER_RATE, "no_answer"),
)
OF_TEACHERS = Measure(words.TAUGHT_RATE, "taught")
OF_GROUPS = (
    Measure(words.FLAT_RATE, "flat", "groups"),
    Measure(words.ALL_RIGHT_RATE, "all_right", "groups"),
    Measure(words.ALL_WRONG_RATE, "all_wrong", "groups"),
)


def read_rollouts(path: str | Path) -> pl.DataFrame:
    """What is needed of a training's rollouts, a piece at a time: a teacher's prompts may fill the memory of a machine."""
    return pl.concat(map(without_prompts, read_pieces(path, ROLLOUTS, NEEDED)))


def without_prompts(rollouts: pl.DataFrame) -> pl.DataFrame:
    """With how long each teacher's prompt is, null where there is none, in its place."""
    return rollouts.with_columns(teacher_tokens=pl.col("teacher_ids").list.len().cast(pl.Int64)).drop("teacher_ids")


def question_sums(rollouts: pl.DataFrame, group: int, families: pl.DataFrame) -> pl.DataFrame:
    """One row per generation and question. `families` has the family of each problem; `group` rollouts are one group."""
    unfinished, right = pl.col("finish_class").is_in(UNFINISHED), pl.col("reward") > 0
    of_question = ("generation", "problem_id")
    sums = rollouts.group_by(of_question).agg(
        pl.len().alias("answers"),
        pl.col("reward").sum().alias("right"),
        (right | unfinished).sum().alias("right_or_cut"),
        pl.col("n_tokens").sum().alias("tokens"),
        pl.col("doubts").sum(),
        (-pl.col("logprob")).sum().alias("nats"),
        unfinished.sum().alias("unfinished"),
        pl.col("looping").sum(),
        (pl.col("finish_class") == NO_ANSWER).sum().alias("no_answer"),
        pl.col("teacher_tokens").is_not_null().sum().alias("taught"),
        pl.col("step").min(),
    )
    groups = rollouts.group_by(*of_question, pl.col("draw") // group).agg(
        pl.col("reward").min().alias("least"), pl.col("reward").max().alias("most")
    )
    flat = pl.col("least") == pl.col("most")
    groups = groups.group_by(of_question).agg(
        pl.len().alias("groups"),
        flat.sum().alias("flat"),
        (flat & (pl.col("most") > 0)).sum().alias("all_right"),
        (flat & (pl.col("most") <= 0)).sum().alias("all_wrong"),
    )
    named = families.select("problem_id", pl.col("family").fill_null(pl.col("problem_id"))).unique("problem_id")
    sums = sums.join(groups, on=of_question).join(named, on="problem_id", how="left")
    return sums.with_columns(pl.col("family").fill_null(pl.col("problem_id"))).sort(of_question)


def ratio(questions: pl.DataFrame, measure: Measure) -> ClusterMean:
    """The measure over these questions, with an error by family."""
    return cluster_mean(
        *cluster_totals(numerators(questions, measure), questions["family"], denominators(questions, measure))
    )


def numerators(questions: pl.DataFrame, measure: Measure) -> Array:
    return measure.scale * questions[measure.events].to_numpy().astype(float)


def denominators(questions: pl.DataFrame, measure: Measure) -> Array:
    return questions[measure.of].to_numpy().astype(float)


def interval(mean: ClusterMean, measure: Measure, counted: float) -> Interval:
    return wilson_effective_interval(mean, counted) if measure.is_share else t_interval(mean)


def unit(questions: pl.DataFrame) -> str:
    alone = questions["family"].n_unique() == questions["problem_id"].n_unique()
    return words.PROBLEM if alone else words.FAMILY
