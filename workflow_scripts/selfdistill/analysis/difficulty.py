"""For which problems? Effects on accuracy by the base's solve rate, by level and by source. Graded answers in, DIFFICULTY out.

Problems that the base solved by luck look easier than they are, and lose what luck gave: sorted by the answers that also
measure the effect, hard problems gain and easy ones lose where nothing happened (regression to the mean). So some of the
base's draws say where a problem belongs, and the others what was gained; this is averaged over all such splits. Where base
and arm draw with the same noise, the arm's draws with the noise of those that classify are left out, too.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from types import MappingProxyType

import numpy as np
import polars as pl

from selfdistill.analysis.differences import Difference, Row, estimated
from selfdistill.analysis.pairing import Comparison, paired_cells
from selfdistill.analysis.problem_means import Evaluations, family_codes, known, unit_of
from selfdistill.analysis.reported import reported_pairs, reported_split
from selfdistill.statistics.clusters import Array, cluster_totals
from selfdistill.statistics.heterogeneity import groups_differ
from selfdistill.statistics.multiplicity import benjamini_hochberg
from selfdistill.study.evaluation import Evaluation
from selfdistill.tables import words
from selfdistill.tables.analysis import DIFFICULTY
from selfdistill.tables.endings import CORRECT
from selfdistill.tables.schema import conform, empty_table

MOST_SPLITS = 100
RIGHT = "right"


@dataclass(frozen=True)
class Grouping:
    """Problems in groups: for each group, by problem, what it adds to the gain and with what weight."""

    name: str
    groups: list[str]
    gains: Array  # problems × groups
    weights: Array


def difficulty(
    graded: pl.DataFrame, evaluation: Evaluation, noises: Mapping[str, Sequence[int]] = MappingProxyType({})
) -> pl.DataFrame:
    """Every finished arm against the base at each final decode. `noises`: for each model that draws with the base's noise,
    by its draws the draw of the base that has the same."""
    evaluations = Evaluations.of(graded, evaluation.budgets)
    kinds = graded.select("problem_id", "level", "source").unique("problem_id")
    right = right_by_draw(graded)
    rows: list[Row] = []
    for comparison in reported_pairs(evaluations, evaluation, reported_split(graded)):
        mine, other = paired_cells(evaluations, comparison)
        if mine.is_empty():
            continue
        problems = mine.select("problem_id").join(kinds, on="problem_id", how="left", maintain_order="left")
        change = mine[words.ACCURACY].to_numpy() - other[words.ACCURACY].to_numpy()
        groupings = [
            by_base_draws(
                [_draws_of(right[model, comparison.side.decode_id], problems) for model in comparison.side.models],
                _draws_of(right[comparison.against.models[0], comparison.against.decode_id], problems),
                [noises.get(model, ()) for model in comparison.side.models],
            ),
            by_kind(words.BY_LEVEL, problems["level"], change),
            by_kind(words.BY_SOURCE, problems["source"], change),
        ]  # fmt: skip
        for grouping in groupings:
            if grouping is not None:
                rows += _rows(comparison, grouping, family_codes(mine), unit_of(mine))
    return conform(_adjusted(rows), DIFFICULTY, "difficulty")


def right_by_draw(graded: pl.DataFrame) -> dict[tuple[str, str], pl.DataFrame]:
    """For each model and decode: by problem, a column for each draw, whether its answer is right."""
    answers = graded.filter(pl.col("purpose") == "eval").select(
        "model_id", "decode_id", "problem_id", "draw", (pl.col("verdict") == CORRECT).cast(pl.Float64).alias(RIGHT)
    )
    parts = answers.sort("draw").partition_by("model_id", "decode_id", as_dict=True, include_key=False)
    return {
        (str(model), str(decode)): part.pivot(on="draw", index="problem_id", values=RIGHT)
        for (model, decode), part in parts.items()
    }


def _draws_of(right: pl.DataFrame, problems: pl.DataFrame) -> Array:
    """Problems × draws, in the order of the problems."""
    asked = problems.select("problem_id").join(right, on="problem_id", how="left", maintain_order="left")
    return asked.drop("problem_id").to_numpy()


def by_base_draws(arms: Sequence[Array], base: Array, noises: Sequence[Sequence[int]]) -> Grouping | None:
    """`noises`: for each arm that of its draws; empty where they are its own. None where no draw of the base can classify and another be measured against. Half of the base's draws classify."""
    gains, weights = np.zeros((len(base), 3)), np.zeros((len(base), 3))
    used = 0
    for chosen in splits(base.shape[1]):
        left = [draw for draw in range(base.shape[1]) if draw not in chosen]
        kept = [
            [draw for draw in range(arm.shape[1]) if draw >= len(noise) or noise[draw] not in chosen]
            for arm, noise in zip(arms, noises, strict=True)
        ]
        if not all(kept):
            continue
        used += 1
        after = np.mean([arm[:, draws].mean(axis=1) for arm, draws in zip(arms, kept, strict=True)], axis=0)
        gain = after - base[:, left].mean(axis=1)
        share = base[:, list(chosen)].mean(axis=1)
        group = np.where(share == 0, 0, np.where(share == 1, 2, 1))
        here = group[:, None] == np.arange(3)
        gains += here * gain[:, None]
        weights += here
    if not used:
        return None
    names = [words.SOLVED_NONE, words.SOLVED_SOME, words.SOLVED_ALL]
    there = [column for column in range(3) if weights[:, column].any()]
    return Grouping(words.BY_BASE, [names[i] for i in there], gains[:, there] / used, weights[:, there] / used)


def splits(draws: int) -> list[tuple[int, ...]]:
    """The draws that classify: each half of them, or where these are too many, those that stand together in a circle."""
    half = draws // 2
    if not half:
        return []
    if math.comb(draws, half) <= MOST_SPLITS:
        return list(combinations(range(draws), half))
    return [tuple((first + place) % draws for place in range(half)) for first in range(draws)]


def by_kind(name: str, kinds: pl.Series, change: Array) -> Grouping | None:
    """By what the problems say of themselves; None where all say the same or nothing."""
    groups = kinds.drop_nulls().unique().sort().to_list()
    if len(groups) < 2:
        return None
    here = np.column_stack([(kinds == group).fill_null(False).to_numpy() for group in groups]).astype(float)
    return Grouping(name, [str(group) for group in groups], here * change[:, None], here)


def _rows(comparison: Comparison, grouping: Grouping, families: Array, unit: str) -> Iterator[Row]:
    columns = [
        cluster_totals(gain, families, weight)
        for gain, weight in zip(grouping.gains.T, grouping.weights.T, strict=True)
    ]
    totals, sizes = (np.column_stack(part) for part in ([c.totals for c in columns], [c.sizes for c in columns]))
    differ = groups_differ(totals, sizes)
    side, against = comparison.side, comparison.against
    for group, gain, weight in zip(grouping.groups, grouping.gains.T, grouping.weights.T, strict=True):
        inside = weight > 0
        difference = Difference(words.ACCURACY, gain[inside], weight[inside], is_share=True)
        row = dict.fromkeys(DIFFICULTY) | estimated(difference, families[inside], unit) | {
            "estimand": words.ACCURACY, "model_id": side.model_id, "arm": side.arm, "percent": side.percent,
            "decode_id": side.decode_id, "against": against.arm, "against_decode_id": against.decode_id,
            "split": comparison.split, "budget": comparison.budget, "comparison": comparison.kind,
            "claim": words.CHECKPOINTS,
            "training_seeds": len(side.training_seeds), "grouping": grouping.name, "group": group,
            "problems": float(weight.sum()), "groups_p": known(differ.p_value),
        }  # fmt: skip
        yield {name: row[name] for name in DIFFICULTY}


def _adjusted(rows: list[Row]) -> pl.DataFrame:
    """Benjamini–Hochberg over every group, and over every test whether groups differ."""
    if not rows:
        return empty_table(DIFFICULTY)
    for row, p in zip(rows, benjamini_hochberg([_or_nan(row["p_value"]) for row in rows]), strict=True):
        row["p_adjusted"] = known(p)
    tests = {(row["arm"], row["decode_id"], row["grouping"]): _or_nan(row["groups_p"]) for row in rows}
    adjusted = dict(zip(tests, benjamini_hochberg(list(tests.values())), strict=True))
    for row in rows:
        row["groups_p_adjusted"] = known(adjusted[row["arm"], row["decode_id"], row["grouping"]])
    return pl.DataFrame(rows, schema=DIFFICULTY)


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else value
