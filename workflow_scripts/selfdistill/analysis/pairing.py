"""Which comparisons a study makes: every model against the base, and arms against each other where a hypothesis asks.

matched: the same decode on both sides. fair: each side at the decode that was most accurate on dev, reported on
test (an arm's decode is chosen once for all its training seeds; ties go to the first of the study file).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import polars as pl

from selfdistill.analysis.problem_means import Evaluations, Side
from selfdistill.foundation.errors import UserError
from selfdistill.study.evaluation import Evaluation, Hypothesis
from selfdistill.tables import words


@dataclass(frozen=True)
class Comparison:
    side: Side
    against: Side
    kind: str  # matched | fair
    budget: str
    split: str


class SeedPair(NamedTuple):
    """One training of an arm, and what it is compared with."""

    training_seed: int
    side: Side
    against: Side


def planned(
    evaluations: Evaluations, evaluation: Evaluation, hypotheses: Mapping[str, Hypothesis]
) -> Iterator[Comparison]:
    """Matched at every decode and budget that both sides have; fair at the widest budget that both have."""
    order = list(dict.fromkeys((*evaluation.decodes.base, *evaluation.decodes.final, *evaluation.decodes.earlier)))
    points: dict[tuple[str, int], dict[str, Side]] = {}
    for side in evaluations.sides():
        points.setdefault((side.arm, side.percent), {})[side.decode_id] = side
    for (arm, percent), sides in points.items():
        others = ["base", *(h.against for h in hypotheses.values() if h.arm == arm and percent in (0, 100))]
        for other in dict.fromkeys(others):
            against = next((points[other, at] for at in (percent, 0, 100) if (other, at) in points), None)
            if other == arm or against is None:
                continue
            ordered = [decode for decode in order if decode in sides] + [d for d in sides if d not in order]
            for decode in ordered:
                if decode in against:
                    for budget in shared_budgets(evaluations, sides[decode], against[decode]):
                        for split in ("test", "all"):
                            yield Comparison(sides[decode], against[decode], words.MATCHED, budget, split)
            if fair := _fair(evaluations, sides, against, order):
                yield fair


def shared_budgets(evaluations: Evaluations, side: Side, against: Side) -> list[str]:
    models = [(model, side.decode_id) for model in side.models]
    models += [(model, against.decode_id) for model in against.models]
    reached = [evaluations.reached(*model) for model in models]
    return [budget for budget in reached[0] if all(budget in other for other in reached)]


def _fair(
    evaluations: Evaluations, sides: Mapping[str, Side], against: Mapping[str, Side], order: list[str]
) -> Comparison | None:
    budgets = {name for side in sides.values() for name in shared_budgets(evaluations, side, side)}
    widest = max(sorted(budgets), key=lambda name: (evaluations.budgets[name], name == "full"))
    chosen, chosen_against = (best_decode(evaluations, options, widest, order) for options in (sides, against))
    return Comparison(chosen, chosen_against, words.FAIR, widest, "test") if chosen and chosen_against else None


def best_decode(evaluations: Evaluations, sides: Mapping[str, Side], budget: str, order: list[str]) -> Side | None:
    """The side with the highest accuracy on dev, the first in order among equals."""
    candidates = [sides[decode] for decode in order if decode in sides]
    candidates = [side for side in candidates if budget in shared_budgets(evaluations, side, side)]
    if not candidates:
        return None
    cells = [evaluations.pooled(side, budget, "dev") for side in candidates]
    if cells[0].is_empty():
        raise UserError(
            f"evaluation: no problem of the {budget} budget is in the dev split, so no decode can be chosen on it; "
            "raise problems.dev_share or the budget."
        )
    accuracy = [round(float(cell[words.ACCURACY].to_numpy().mean()), 12) for cell in cells]
    return candidates[accuracy.index(max(accuracy))]


def seed_pairs(side: Side, against: Side) -> list[SeedPair]:
    """Each training by itself: against the untrained base, or against the other arm's training of the same seed."""
    if not against.training_seeds:
        return [SeedPair(seed, side.of_seed(seed), against) for seed in side.training_seeds]
    common = [seed for seed in side.training_seeds if seed in against.training_seeds]
    return [SeedPair(seed, side.of_seed(seed), against.of_seed(seed)) for seed in common]


def paired_cells(evaluations: Evaluations, comparison: Comparison) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Both sides, problem by problem; a UserError where they are not the same problems."""
    cells = [
        evaluations.pooled(side, comparison.budget, comparison.split) for side in (comparison.side, comparison.against)
    ]
    mine, other = cells
    if mine["problem_id"].to_list() != other["problem_id"].to_list():
        raise UserError(
            f"{comparison.side.model_id} and {comparison.against.model_id}: at the {comparison.budget} budget one has "
            f"{mine.height} problems and the other {other.height}, not the same ones; a difference needs the same "
            "denominator. Delete the graded.parquet and plan.parquet of the smaller one and run again."
        )
    return mine, other
