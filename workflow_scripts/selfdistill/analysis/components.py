"""Where the error of each difference comes from: trainings, problems, draws, and what draws have in common.

Graded completions in, VARIANCE out: of every arm at the end of training against the base, and of arms that a hypothesis
compares, on test at the widest budget. A fair comparison stands at the decodes that dev chose. It needs every answer by
itself, so it reads what `problem_means` averages.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from selfdistill.analysis.choice import as_chosen
from selfdistill.analysis.pairing import Comparison, paired_cells, planned
from selfdistill.analysis.problem_means import Evaluations, Side, family_codes, known
from selfdistill.foundation.errors import UserError
from selfdistill.statistics.clusters import Array
from selfdistill.statistics.components import Answers, Components, Design, SideComponents
from selfdistill.statistics.intervals import UNKNOWN, Interval
from selfdistill.statistics.moments import Decomposition, Sampled, Term, decomposed
from selfdistill.study.arms import Arm
from selfdistill.study.evaluation import Evaluation, Hypothesis
from selfdistill.tables import words
from selfdistill.tables.analysis import VARIANCE
from selfdistill.tables.endings import CORRECT, FINISHED, LOOP
from selfdistill.tables.schema import conform

Row = dict[str, Any]

# What an answer counts in each estimand.
OUTCOMES = {
    words.ACCURACY: pl.col("verdict") == CORRECT,
    words.CUT_RATE: pl.col("finish_class").is_in(FINISHED).not_(),
    words.LOOP_RATE: pl.col("finish_class") == LOOP,
    words.MEAN_TOKENS: pl.col("n_tokens"),
}


@dataclass(frozen=True)
class Answered:
    """Every answer of a study's models, and which noise each was drawn with."""

    cells: dict[tuple[str, str], pl.DataFrame]
    arms: Mapping[str, Arm]
    evaluation: Evaluation

    @classmethod
    def of(cls, graded: pl.DataFrame, arms: Mapping[str, Arm], evaluation: Evaluation) -> "Answered":
        answers = graded.filter(pl.col("purpose") == "eval").sort("model_id", "decode_id", "problem_id", "draw")
        counted = answers.select(
            "model_id",
            "decode_id",
            "problem_id",
            *(value.cast(pl.Float64).alias(name) for name, value in OUTCOMES.items()),
        )
        parts = counted.partition_by("model_id", "decode_id", as_dict=True, maintain_order=True)
        return cls({(str(model), str(decode)): cell for (model, decode), cell in parts.items()}, arms, evaluation)

    def sampled(self, side: Side, problems: pl.DataFrame, estimand: str) -> Sampled:
        """By problem, training and draw; problems in the order of `problems`, which are sorted."""
        each = []
        for model in side.models:
            cell = self.cells[model, side.decode_id].filter(
                pl.col("problem_id").is_in(problems["problem_id"].implode())
            )
            each.append(cell[estimand].to_numpy().reshape(problems.height, -1))
        if len({values.shape for values in each}) > 1:
            raise UserError(
                f"{side.model_id} at {side.decode_id}: its trainings have unequal draws; delete their plans and run again."
            )
        values = np.stack(each, axis=1)
        draws, trained = self.evaluation.draws_by_side, bool(side.training_seeds)
        noises = [
            [draws.noise(draw, place if trained else None) for draw in range(values.shape[2])]
            for place in self._places(side)
        ]
        return Sampled(values, np.array(noises), trained)

    def _places(self, side: Side) -> list[int]:
        """Of each training its place among the study's: trainings take turns at the noises."""
        return [self.arms[side.arm].seeds.index(seed) for seed in side.training_seeds] or [0]

    def are_coupled(self, comparison: Comparison) -> bool:
        """A twin of the base has noise of its own, and so has another decode."""
        sides = (comparison.side, comparison.against)
        twins = any(side.arm in self.arms and self.arms[side.arm].resample for side in sides)
        same = comparison.side.decode_id == comparison.against.decode_id
        return self.evaluation.coupling == "shared" and same and not twins


def variance_components(
    graded: pl.DataFrame, arms: Mapping[str, Arm], evaluation: Evaluation, hypotheses: Mapping[str, Hypothesis]
) -> pl.DataFrame:
    evaluations, answered = Evaluations.of(graded, evaluation.sizes), Answered.of(graded, arms, evaluation)
    rows: list[Row] = []
    for comparison in _at_the_end(evaluations, evaluation, hypotheses):
        mine, _ = paired_cells(evaluations, comparison)
        if mine["family"].n_unique() < 2:
            continue
        families = family_codes(mine)
        for estimand in OUTCOMES:
            side, other = (answered.sampled(each, mine, estimand) for each in (comparison.side, comparison.against))
            found = decomposed(side, other, families, answered.are_coupled(comparison))
            rows += [_named(comparison, estimand, found) | row for row in _parts(found, families)]
    return conform(pl.DataFrame(rows, schema=VARIANCE), VARIANCE, "variance")


def _at_the_end(
    evaluations: Evaluations, evaluation: Evaluation, hypotheses: Mapping[str, Hypothesis]
) -> Iterator[Comparison]:
    """Matched and fair comparisons of finished arms and of the base's twins, on test, at the widest budget of each."""
    found: dict[tuple[Side, Side, str], Comparison] = {}
    for each in planned(evaluations, evaluation, hypotheses):
        if each.side.percent in (0, 100) and each.split == "test":
            place = (each.side, each.against, each.kind)
            size = evaluations.budgets[each.budget], each.budget == "full"
            before = found.get(place)
            if before is None or size > (evaluations.budgets[before.budget], before.budget == "full"):
                found[place] = each
    yield from (as_chosen(evaluations, each) for each in found.values())


def _named(comparison: Comparison, estimand: str, found: Decomposition) -> Row:
    design = found.design
    return {
        "estimand": estimand,
        "arm": comparison.side.arm,
        "decode_id": comparison.side.decode_id,
        "against": comparison.against.arm,
        "against_decode_id": comparison.against.decode_id,
        "comparison": comparison.kind,
        "split": comparison.split,
        "budget": comparison.budget,
        "problems": round(design.problems),
        "families": design.families,
        "family_size": design.family_size,
        "noises": list(design.side.noises),
        "against_noises": list(design.other.noises),
        "trainings": design.side.trainings,
        "against_trainings": design.other.trainings,
        "coupled": design.is_coupled,
        "tells_draws": found.tells_draws,
    }


def _parts(found: Decomposition, families: Array) -> Iterator[Row]:
    weights = found.design.weights
    sides = (
        (words.THE_ARM, found.side, found.design.side, weights.draws, weights.by_training, weights.shared),
        (words.OF_THE_OTHER, found.other, found.design.other, weights.other_draws, weights.other_by_training, weights.other_shared),
    )  # fmt: skip

    def part(name: str, of: str, variance: float, interval: Interval, how: str, weight: float) -> Row:
        measured = {"variance": known(variance), "low": known(interval.low), "high": known(interval.high)}
        return {"part": name, "of": of, **measured, "how": how, "adds": known(variance * weight)}

    def of_term(name: str, of: str, term: Term, how: str, weight: float) -> Row:
        return part(name, of, term.variance, term.interval(families), how, weight / found.design.problems)

    for of, terms, asked, *_ in sides:
        how = words.NOT_TRAINED if terms.trainings is None else words.MEASURED
        how = words.UNTOLD_BY_ONE_TRAINING if terms.trainings is not None and asked.trainings < 2 else how
        interval = terms.interval_between_trainings()
        between = 0.0 if terms.between_trainings is None else terms.between_trainings
        yield part(words.BETWEEN_TRAININGS, of, between, interval, how, 1 / asked.trainings)
    yield of_term(words.BETWEEN_PROBLEMS, words.OF_BOTH, found.problems, _with_draws(found), 1.0)
    alike = words.MEASURED if found.design.family_size > 1 else words.ONE_EACH
    weight = weights.families / found.design.problems
    yield part(words.WITHIN_FAMILIES, words.OF_BOTH, found.families, UNKNOWN, alike, weight)
    for of, terms, asked, of_draws, of_training, of_shared in sides:
        how = _with_draws(found) if asked.trainings > 1 else words.UNTOLD_BY_ONE_TRAINING
        how = words.NOT_TRAINED if terms.trainings is None else how
        yield of_term(words.PROBLEM_BY_TRAINING, of, terms.by_training, how, of_training)
        yield of_term(words.BETWEEN_DRAWS, of, terms.draws, _how(terms.draws, words.ASSUMED_LIKE_THE_OTHER), of_draws)
        how = _how(terms.shared, words.ASSUMED_LIKE_SHARED_NOISE) if found.design.is_coupled else words.OWN_NOISE
        yield of_term(words.SHARED_BY_TRAININGS, of, terms.shared, how, of_shared)
    how = _how(found.coupled, words.MEASURED) if found.design.is_coupled else words.OWN_NOISE
    yield of_term(words.SHARED_NOISE, words.OF_BOTH, found.coupled, how, weights.coupled)


def _how(term: Term, if_taken: str) -> str:
    if not term.is_known:
        return words.UNTOLD_BY_ONE_DRAW
    return if_taken if term.is_taken else words.MEASURED


def _with_draws(found: Decomposition) -> str:
    return words.MEASURED if found.tells_draws else words.MEASURED_WITH_DRAWS


def components_of(rows: list[Row]) -> tuple[Components, Design]:
    """The components of one comparison and estimand, and the design that they were measured with, from their rows."""
    found = {(row["part"], row["of"]): row["variance"] for row in rows}
    trained = {row["of"] for row in rows if row["part"] == words.BETWEEN_TRAININGS and row["how"] != words.NOT_TRAINED}

    def value(part: str, of: str = words.OF_BOTH) -> float:
        variance = found[part, of]
        return 0.0 if variance is None else float(variance)

    def side(of: str) -> SideComponents:
        between = found[words.BETWEEN_TRAININGS, of]
        return SideComponents(
            draws=value(words.BETWEEN_DRAWS, of),
            trainings=None if of not in trained else math.nan if between is None else between,
            by_training=value(words.PROBLEM_BY_TRAINING, of),
            shared=value(words.SHARED_BY_TRAININGS, of),
        )

    first = rows[0]
    components = Components(
        problems=value(words.BETWEEN_PROBLEMS),
        side=side(words.THE_ARM),
        other=side(words.OF_THE_OTHER),
        coupled=value(words.SHARED_NOISE),
        families=value(words.WITHIN_FAMILIES),
        tells_draws=first["tells_draws"],
    )
    design = Design(
        problems=first["problems"],
        side=Answers(tuple(first["noises"]), first["trainings"]),
        other=Answers(tuple(first["against_noises"]), first["against_trainings"]),
        is_coupled=first["coupled"],
        families=first["families"],
        family_size=first["family_size"],
    )
    return components, design
