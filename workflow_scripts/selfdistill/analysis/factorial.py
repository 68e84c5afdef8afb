"""The 2×2 at the centre of the study: sampled with {SSD decode | plain decode} × trained on {finished | everything}.

It separates the effect of the decode from the effect of dropping what the cap cut ("shorter answers"). Each effect
is an average contrast, taken within each problem and then over problems:
    decode       ½[(SSD, finished) − (plain, finished)] + ½[(SSD, everything) − (plain, everything)]
    filter       ½[(SSD, finished) − (SSD, everything)] + ½[(plain, finished) − (plain, everything)]
    interaction  [(SSD, finished) − (SSD, everything)] − [(plain, finished) − (plain, everything)]
Graded completions in, EFFECTS out: the effects on accuracy, then on cut_rate, at each decode of the final evaluation. An
effect speaks of the method where every cell was trained twice or more, else of these checkpoints (`comparisons.py`).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import polars as pl

from selfdistill.analysis.differences import Difference, judged_row
from selfdistill.analysis.problem_means import Evaluations, Side, family_codes, known, unit_of
from selfdistill.foundation.errors import UserError
from selfdistill.statistics.clusters import Array
from selfdistill.statistics.multiplicity import ALPHA, holm
from selfdistill.statistics.trainings import of_the_method, trainings
from selfdistill.study.arms import Arm
from selfdistill.study.evaluation import Evaluation
from selfdistill.study.factorial import factorial_cells
from selfdistill.study.sampling import Decode
from selfdistill.tables import words
from selfdistill.tables.analysis import EFFECTS
from selfdistill.tables.schema import conform

OUTCOMES = (words.ACCURACY, words.CUT_RATE)

# Effect → weights of the four cells in the order of `Factorial.arms`.
CONTRASTS = {
    words.EFFECT_OF_DECODE: np.array([0.5, 0.5, -0.5, -0.5]),
    words.EFFECT_OF_FILTER: np.array([0.5, -0.5, 0.5, -0.5]),
    words.INTERACTION: np.array([1.0, -1.0, -1.0, 1.0]),
}


@dataclass(frozen=True)
class Cell:
    """One arm's outcome by problem: the mean over its trainings, and each of them."""

    arm: str
    pooled: Array
    each: list[Array]


def factorial(
    graded: pl.DataFrame, arms: Mapping[str, Arm], decodes: Mapping[str, Decode], evaluation: Evaluation
) -> pl.DataFrame:
    """Effects and each cell against the base, on test, at 100 % of training; empty where the study holds no 2×2."""
    cells = factorial_cells(arms, decodes)
    if cells is None:
        return pl.DataFrame(schema=EFFECTS)
    evaluations = Evaluations.of(graded, evaluation.sizes)
    sides = {(side.arm, side.percent, side.decode_id): side for side in evaluations.sides()}
    rows: list[dict[str, Any]] = []
    for outcome, decode in product(OUTCOMES, evaluation.decodes.final):
        wanted = [(arm, 100, decode) for arm in cells.arms] + [("base", 0, decode)]
        if missing := [f"{arm} at {decode}" for arm, percent, decode in wanted if (arm, percent, decode) not in sides]:
            raise UserError(
                f"factorial: not evaluated after training: {', '.join(missing)}; add it to evaluation.decodes.final."
            )
        budget = evaluations.widest(sides[key] for key in wanted) or "full"
        problems = _problems(evaluations, sides["base", 0, decode], budget)
        if problems.is_empty():
            continue
        four = [_cell(evaluations, sides[arm, 100, decode], budget, outcome) for arm in cells.arms]
        shared = {"percent": 100, "decode_id": decode, "against_decode_id": decode, "split": "test", "budget": budget}
        rows += [dict.fromkeys(EFFECTS) | shared | row for row in _effects(four, problems, outcome)]
    return conform(pl.DataFrame(rows, schema=EFFECTS), EFFECTS, "factorial")


def _problems(evaluations: Evaluations, side: Side, budget: str) -> pl.DataFrame:
    if not all(budget in evaluations.reached(model, side.decode_id) for model in side.models):
        raise UserError(f"factorial: {side.model_id} was not evaluated at the {budget} budget at {side.decode_id}.")
    return evaluations.pooled(side, budget, "test")


def _cell(evaluations: Evaluations, side: Side, budget: str, outcome: str) -> Cell:
    each = [_problems(evaluations, side.of_seed(seed), budget)[outcome].to_numpy() for seed in side.training_seeds]
    return Cell(side.arm, _problems(evaluations, side, budget)[outcome].to_numpy(), each)


def _effects(cells: list[Cell], problems: pl.DataFrame, outcome: str) -> list[dict[str, Any]]:
    found = []
    for effect, weights in CONTRASTS.items():
        plus, minus = (
            " + ".join(cell.arm for cell, weight in zip(cells, weights, strict=True) if sign * weight > 0)
            for sign in (1, -1)
        )
        row = _row(
            words.on(effect, outcome), list(zip(weights, cells, strict=True)), None, problems, ALPHA / len(CONTRASTS)
        )
        found.append({"arm": plus, "against": minus} | row)
    p_values = [math.nan if row["p_value"] is None else row["p_value"] for row in found]
    for row, adjusted in zip(found, holm(p_values), strict=True):
        row["p_adjusted"] = known(adjusted)
    base = problems[outcome].to_numpy()
    for cell in cells:
        row = _row(words.on(words.effect_of(cell.arm), outcome), [(1.0, cell)], base, problems)
        found.append({"arm": cell.arm, "against": "base"} | row)
    return [row | {"model_id": f"{row['arm']}/all-seeds/at-100"} for row in found]


def _row(
    estimand: str, parts: Sequence[tuple[float, Cell]], less: Array | None, problems: pl.DataFrame, level: float = ALPHA
) -> dict[str, Any]:
    """One effect, by problem: the weighted sum of cells, less the base; what it detects is said at the level."""
    families, ones = family_codes(problems), np.ones(problems.height)
    values = np.tensordot([weight for weight, _ in parts], np.stack([cell.pooled for _, cell in parts]), axes=1)
    span = sum(max(weight, 0.0) for weight, _ in parts)
    difference = Difference(estimand, values if less is None else values - less, ones, True, span=span)
    mean = difference.mean(families)
    sides = [(weight, trainings(cell.each, [ones] * len(cell.each), families)) for weight, cell in parts]
    method = of_the_method(mean, sides)
    speaks_of_method = math.isfinite(method.standard_error)
    row = judged_row(difference, method if speaks_of_method else mean, unit_of(problems), level)
    row |= {"estimand": estimand, "claim": words.METHOD if speaks_of_method else words.CHECKPOINTS}
    row["training_seeds"] = min(len(cell.each) for _, cell in parts)
    return {key: value for key, value in row.items() if key in EFFECTS}
