"""Which comparisons a study makes: every model against the base, and arms against each other where a hypothesis asks.

matched: the same decode on both sides. fair: each side at the decode that was most accurate on dev, chosen from the same
menu and reported on test; how the choice might have fallen is said in `choice.py`. decoding alone: the base at one decode
against the base at another, which is what can be had without any training.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import polars as pl

from selfdistill.analysis.problem_means import Evaluations, Side
from selfdistill.foundation.errors import UserError
from selfdistill.study.evaluation import Evaluation, Hypothesis
from selfdistill.tables import words


@dataclass(frozen=True)
class Comparison:
    side: Side
    against: Side
    kind: str  # matched | fair | decoding alone
    budget: str
    split: str
    menu: tuple[str, ...] = ()  # the decodes that both sides of a fair comparison chose from

    def between(self, side: Side, against: Side) -> "Comparison":
        """The same comparison of other models."""
        return replace(self, side=side, against=against)

    def named(self, training_seed: int | None, training_seeds: int) -> dict[str, Any]:
        """The columns that say what was compared, of every table of comparisons."""
        return {
            "model_id": self.side.model_id,
            "arm": self.side.arm,
            "training_seed": training_seed,
            "percent": self.side.percent,
            "decode_id": self.side.decode_id,
            "against": self.against.arm,
            "against_decode_id": self.against.decode_id,
            "split": self.split,
            "budget": self.budget,
            "comparison": self.kind,
            "training_seeds": training_seeds,
        }


class SeedPair(NamedTuple):
    """One training of an arm, and what it is compared with."""

    training_seed: int
    side: Side
    against: Side


Points = dict[tuple[str, int], dict[str, Side]]


def planned(
    evaluations: Evaluations, evaluation: Evaluation, hypotheses: Mapping[str, Hypothesis]
) -> Iterator[Comparison]:
    """Matched at every decode and budget that both sides have; fair at the widest budget that both have."""
    order = decodes_in_order(evaluation)
    points = _points(evaluations)
    for (arm, percent), sides in points.items():
        others = ["base", *(h.against for h in hypotheses.values() if h.arm == arm and percent in (0, 100))]
        for other in dict.fromkeys(others):
            against = next((points[other, at] for at in (percent, 0, 100) if (other, at) in points), None)
            if other == arm or against is None:
                continue
            for decode in _ordered(sides, order):
                if decode in against:
                    for budget in shared_budgets(evaluations, sides[decode], against[decode]):
                        for split in ("test", "all"):
                            yield Comparison(sides[decode], against[decode], words.MATCHED, budget, split)
            if fair := _fair(evaluations, sides, against, order):
                yield fair


def decoding_alone(evaluations: Evaluations, evaluation: Evaluation) -> Iterator[Comparison]:
    """The base at every decode against the base at each decode of the final evaluation, at the widest budget."""
    sides = _points(evaluations).get(("base", 0), {})
    for reference in evaluation.decodes.final:
        for decode in _ordered(sides, decodes_in_order(evaluation)):
            if reference not in sides or decode == reference:
                continue
            if budget := evaluations.widest((sides[decode], sides[reference])):
                yield Comparison(sides[decode], sides[reference], words.DECODING_ALONE, budget, "test")


def decodes_in_order(evaluation: Evaluation) -> list[str]:
    return list(dict.fromkeys((*evaluation.decodes.base, *evaluation.decodes.final, *evaluation.decodes.earlier)))


def shared_budgets(evaluations: Evaluations, side: Side, against: Side) -> list[str]:
    models = [(model, side.decode_id) for model in side.models]
    models += [(model, against.decode_id) for model in against.models]
    reached = [evaluations.reached(*model) for model in models]
    return [budget for budget in reached[0] if all(budget in other for other in reached)]


def _points(evaluations: Evaluations) -> Points:
    points: Points = {}
    for side in evaluations.sides():
        points.setdefault((side.arm, side.percent), {})[side.decode_id] = side
    return points


def _ordered(sides: Mapping[str, Side], order: list[str]) -> list[str]:
    return [decode for decode in order if decode in sides] + [decode for decode in sides if decode not in order]


def _fair(
    evaluations: Evaluations, sides: Mapping[str, Side], against: Mapping[str, Side], order: list[str]
) -> Comparison | None:
    """Both sides choose from the decodes that both were asked at: a longer menu is a better chance at a good decode."""
    menu = tuple(decode for decode in _ordered(sides, order) if decode in against)
    # At a look some decodes may have gone further than others: the whole menu counts, at what all of it was asked.
    budget = evaluations.widest(side[decode] for side in (sides, against) for decode in menu)
    return Comparison(sides[menu[0]], against[menu[0]], words.FAIR, budget, "test", menu) if budget else None


def at(side: Side, decode: str) -> Side:
    return replace(side, decode_id=decode)


def seed_pairs(side: Side, against: Side) -> list[SeedPair]:
    """Each training by itself: against the untrained base, or against the other arm's training of the same seed."""
    if not against.training_seeds:
        return [SeedPair(seed, side.of_seed(seed), against) for seed in side.training_seeds]
    common = [seed for seed in side.training_seeds if seed in against.training_seeds]
    return [SeedPair(seed, side.of_seed(seed), against.of_seed(seed)) for seed in common]


def paired_cells(evaluations: Evaluations, comparison: Comparison) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Both sides, problem by problem; a UserError where they are not the same problems."""
    mine, other = (
        evaluations.pooled(side, comparison.budget, comparison.split) for side in (comparison.side, comparison.against)
    )
    if mine["problem_id"].to_list() != other["problem_id"].to_list():
        raise UserError(
            f"{comparison.side.model_id} and {comparison.against.model_id}: at the {comparison.budget} budget one has "
            f"{mine.height} problems and the other {other.height}, not the same ones; a difference needs the same "
            "denominator. Delete the graded.parquet and plan.parquet of the smaller one and run again."
        )
    return mine, other
