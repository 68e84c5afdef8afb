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
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import polars as pl

from selfdistill.analysis import statistics
from selfdistill.analysis.comparisons import LEAD, Difference, estimate_rows
from selfdistill.analysis.problem_means import Evaluations, Side, family_codes, unit_of
from selfdistill.config.study import Arm, Decode, Evaluation
from selfdistill.errors import UserError
from selfdistill.tables import ESTIMATES, conform

KEEPS = ("finished", "everything")
OUTCOMES = ("accuracy", "cut_rate")


@dataclass(frozen=True)
class Factorial:
    """Which arm is which cell."""

    ssd_finished: str
    ssd_everything: str
    plain_finished: str
    plain_everything: str

    @property
    def arms(self) -> tuple[str, str, str, str]:
        return self.ssd_finished, self.ssd_everything, self.plain_finished, self.plain_everything


# Effect → weights of the four cells in the order of `Factorial.arms`.
CONTRASTS = {
    "main effect of the decode": np.array([0.5, 0.5, -0.5, -0.5]),
    "main effect of the filter": np.array([0.5, -0.5, 0.5, -0.5]),
    "interaction": np.array([1.0, -1.0, -1.0, 1.0]),
}


def factorial_cells(arms: Mapping[str, Arm], decodes: Mapping[str, Decode]) -> Factorial | None:
    """The cells, when exactly two training decodes, one of them plain, were trained on with and without the filter."""
    trained: dict[tuple[str | None, str | None], str] = {
        (arm.decode, arm.keep): name
        for name, arm in arms.items()
        if not arm.resample and arm.targets == "sampled" and not arm.training
    }
    crossed = [d for d in dict.fromkeys(d for d, _ in trained) if d and all((d, keep) in trained for keep in KEEPS)]
    plain = next((decode for decode in crossed if _is_plain(decodes[decode])), None)
    if len(crossed) != 2 or plain is None:
        return None
    ssd = next(decode for decode in crossed if decode != plain)
    return Factorial(*(trained[decode, keep] for decode, keep in product((ssd, plain), KEEPS)))


def _is_plain(decode: Decode) -> bool:
    """The model's own distribution: temperature 1 and nothing cut away."""
    off = (decode.top_k, decode.top_p, decode.min_p, decode.presence_penalty)
    return decode.temperature == 1 and off == (0, 1, 0, 0)


def factorial(
    graded: pl.DataFrame, arms: Mapping[str, Arm], decodes: Mapping[str, Decode], evaluation: Evaluation, seed: int
) -> pl.DataFrame:
    """Effects and each cell against the base, on test, at 100 % of training; empty where the study holds no 2×2."""
    cells = factorial_cells(arms, decodes)
    if cells is None:
        return pl.DataFrame(schema=ESTIMATES)
    evaluations = Evaluations.of(graded, evaluation.budgets)
    sides = {(side.arm, side.percent, side.decode_id): side for side in evaluations.sides()}
    budget = max(evaluation.budgets, key=lambda name: (evaluation.budgets[name], name == "full"))
    rows: list[dict[str, Any]] = []
    for outcome, decode in product(OUTCOMES, evaluation.final):
        wanted = [(arm, 100, decode) for arm in cells.arms] + [("base", 0, decode)]
        if missing := [f"{arm} at {decode}" for arm, percent, decode in wanted if (arm, percent, decode) not in sides]:
            raise UserError(
                f"factorial: not evaluated after training: {', '.join(missing)}; add it to evaluation.final."
            )
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
    suffix = "" if outcome == "accuracy" else f" on {outcome}"
    shared = dict.fromkeys(ESTIMATES) | {"percent": 100, "decode_id": decode, "against_decode_id": decode}
    shared |= {"split": "test", "budget": budget}

    def rows(estimand: str, arm: str, against: str, values: statistics.Array) -> list[dict[str, Any]]:
        difference = Difference(estimand + suffix, values, np.ones(len(values)), is_share=True)
        named = shared | {"estimand": difference.estimand, "model_id": f"{arm}/all-seeds/at-100", "arm": arm}
        found = estimate_rows(difference, family_codes(problems[0]), unit_of(problems[0]), resamples, seed)
        return [
            {key: value for key, value in (named | {"against": against} | row).items() if key in ESTIMATES}
            for row in found
            if row["method"] != "percentile bootstrap"
        ]

    effects: list[dict[str, Any]] = []
    for estimand, weights in CONTRASTS.items():
        plus = " + ".join(arm for arm, weight in zip(cells.arms, weights, strict=True) if weight > 0)
        minus = " + ".join(arm for arm, weight in zip(cells.arms, weights, strict=True) if weight < 0)
        effects += rows(estimand, plus, minus, np.tensordot(weights, np.stack(trained), axes=1))
    leads = [row for row in effects if row["method"] == LEAD]
    p_values = [math.nan if row["p_value"] is None else row["p_value"] for row in leads]
    for row, adjusted in zip(leads, statistics.holm(p_values), strict=True):
        row["p_adjusted"] = adjusted if math.isfinite(adjusted) else None
    yield from effects
    for arm, values in zip(cells.arms, trained, strict=True):
        yield from rows(f"effect of {arm}", arm, "base", values - base)
