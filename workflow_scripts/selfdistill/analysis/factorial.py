"""The 2×2 at the centre of the study: sampled with {SSD decode | plain decode} × trained on {finished | everything}.

It separates the effect of the decode from the effect of dropping what the cap cut ("shorter answers"). Each effect
is an average contrast, taken within each problem and then over problems:
    decode       ½[(SSD, finished) − (plain, finished)] + ½[(SSD, everything) − (plain, everything)]
    filter       ½[(SSD, finished) − (SSD, everything)] + ½[(plain, finished) − (plain, everything)]
    interaction  [(SSD, finished) − (SSD, everything)] − [(plain, finished) − (plain, everything)]
Graded completions in, ESTIMATES out: the effects on accuracy, then on cut_rate, at each decode of the final evaluation.
"""

import math
from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any

import numpy as np
import polars as pl

from selfdistill.analysis.differences import Difference, estimate_rows
from selfdistill.analysis.problem_means import Evaluations, Side, family_codes, unit_of
from selfdistill.foundation.errors import UserError
from selfdistill.statistics.clusters import Array
from selfdistill.statistics.multiplicity import holm
from selfdistill.study.arms import Arm
from selfdistill.study.evaluation import Evaluation
from selfdistill.study.factorial import Factorial, factorial_cells
from selfdistill.study.sampling import Decode
from selfdistill.tables import words
from selfdistill.tables.analysis import ESTIMATES
from selfdistill.tables.schema import conform

OUTCOMES = (words.ACCURACY, words.CUT_RATE)

# Effect → weights of the four cells in the order of `Factorial.arms`.
CONTRASTS = {
    words.EFFECT_OF_DECODE: np.array([0.5, 0.5, -0.5, -0.5]),
    words.EFFECT_OF_FILTER: np.array([0.5, -0.5, 0.5, -0.5]),
    words.INTERACTION: np.array([1.0, -1.0, -1.0, 1.0]),
}


def factorial(
    graded: pl.DataFrame, arms: Mapping[str, Arm], decodes: Mapping[str, Decode], evaluation: Evaluation, seed: int
) -> pl.DataFrame:
    """Effects and each cell against the base, on test, at 100 % of training; empty where the study holds no 2×2."""
    cells = factorial_cells(arms, decodes)
    if cells is None:
        return pl.DataFrame(schema=ESTIMATES)
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
        problems = [_problems(evaluations, sides[key], budget) for key in wanted]
        rows += _effects(cells, problems, outcome, decode, budget, evaluation.resamples, seed)
    return conform(pl.DataFrame(rows, schema=ESTIMATES), ESTIMATES, "factorial")


def _problems(evaluations: Evaluations, side: Side, budget: str) -> pl.DataFrame:
    if not all(budget in evaluations.reached(model, side.decode_id) for model in side.models):
        raise UserError(f"factorial: {side.model_id} was not evaluated at the {budget} budget at {side.decode_id}.")
    return evaluations.pooled(side, budget, "test")


def _effects(
    cells: Factorial,
    problems: list[pl.DataFrame],
    outcome: str,
    decode: str,
    budget: str,
    resamples: int,
    seed: int,
) -> Iterator[dict[str, Any]]:
    *trained, base = [frame[outcome].to_numpy() for frame in problems]
    if not len(base):
        return
    shared = dict.fromkeys(ESTIMATES) | {"percent": 100, "decode_id": decode, "against_decode_id": decode}
    shared |= {"split": "test", "budget": budget}

    def rows(estimand: str, arm: str, against: str, values: Array) -> list[dict[str, Any]]:
        difference = Difference(words.on(estimand, outcome), values, np.ones(len(values)), is_share=True)
        named = shared | {"estimand": difference.estimand, "model_id": f"{arm}/all-seeds/at-100", "arm": arm}
        found = estimate_rows(difference, family_codes(problems[0]), unit_of(problems[0]), resamples, seed)
        return [
            {key: value for key, value in (named | {"against": against} | row).items() if key in ESTIMATES}
            for row in found
            if row["method"] != words.PERCENTILE
        ]

    effects: list[dict[str, Any]] = []
    for estimand, weights in CONTRASTS.items():
        plus = " + ".join(arm for arm, weight in zip(cells.arms, weights, strict=True) if weight > 0)
        minus = " + ".join(arm for arm, weight in zip(cells.arms, weights, strict=True) if weight < 0)
        effects += rows(estimand, plus, minus, np.tensordot(weights, np.stack(trained), axes=1))
    leads = [row for row in effects if row["method"] == words.LEAD]
    p_values = [math.nan if row["p_value"] is None else row["p_value"] for row in leads]
    for row, adjusted in zip(leads, holm(p_values), strict=True):
        row["p_adjusted"] = adjusted if math.isfinite(adjusted) else None
    yield from effects
    for arm, values in zip(cells.arms, trained, strict=True):
        yield from rows(words.effect_of(arm), arm, "base", values - base)
