"""Simulated graded answers whose truth is known: a grader that errs as it is told, and a person who does not.

python tests/audit_simulation.py 1000      prints how often the intervals cover the truth, as graded and as corrected
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow_scripts"))

from selfdistill.analysis.audit.corrected import Audit, corrected_effects
from selfdistill.analysis.audit.strata import draw_sample
from selfdistill.study.evaluation import Evaluation

ARM = "ssd/seed-0/at-100"


@dataclass(frozen=True)
class Errors:
    """Of a grader, on one side: shares of the wrong answers that it credits, and of the right ones that it refuses."""

    credits: float = 0.0
    refuses: float = 0.0


PERFECT = {"base": Errors(), ARM: Errors()}
# A trained style that the grader reads less well: it refuses one right answer in ten of the arm.
DIFFERENTIAL = {"base": Errors(0.02, 0.02), ARM: Errors(0.04, 0.10)}


def evaluation(rows: int = 200, decodes: tuple[str, ...] = ("t10",)) -> Evaluation:
    return Evaluation.model_validate({
        "budgets": {"quick": 10, "full": "all"}, "decodes": {"base": list(decodes), "final": list(decodes), "earlier": []},
        "audit": {"rows": rows},
    })  # fmt: skip


def simulated(
    random: np.random.Generator,
    errors: Mapping[str, Errors],
    effect: float = 0.0,
    problems: int = 400,
    draws: int = 2,
    decodes: tuple[str, ...] = ("t10",),
) -> pl.DataFrame:
    """Graded answers with a column `truth`. Three errors in five are disputed, and one verdict in fifty that is right."""
    ease = random.beta(1.2, 1.0, problems)
    frames = []
    for model, wrong in errors.items():
        chance = np.clip(ease + (effect if model == ARM else 0.0), 0, 1)
        for decode in decodes:
            ended = random.random((problems, draws)) > 0.08
            truth = ended & (random.random((problems, draws)) < chance[:, None])
            flipped = random.random((problems, draws)) < np.where(truth, wrong.refuses, wrong.credits)
            right = ended & (truth ^ flipped)
            disputed = ended & (random.random((problems, draws)) < np.where(flipped, 0.6, 0.02))
            rank, draw = np.indices((problems, draws))
            frames.append(
                pl.DataFrame({
                    "rank": rank.ravel().astype(np.int32), "draw": draw.ravel().astype(np.int32), "truth": truth.ravel(),
                    "right": right.ravel(), "ended": ended.ravel(), "disputed": disputed.ravel(),
                }).with_columns(model_id=pl.lit(model), decode_id=pl.lit(decode))
            )  # fmt: skip
    return pl.concat(frames).with_columns(
        problem_id=pl.format("p{}", "rank"), family=pl.format("p{}", "rank"), split=pl.lit("test"), purpose=pl.lit("eval"),
        request_id=pl.format("{} {} {} {}", "model_id", "decode_id", "rank", "draw"), n_tokens=pl.lit(9),
        think_closed=pl.col("ended"), boxed=pl.col("ended"),
        finish_class=pl.when("ended").then(pl.lit("answered")).otherwise(pl.lit("cut")),
        verdict=pl.when(~pl.col("ended")).then(pl.lit("unanswered"))
        .when("right").then(pl.lit("correct")).otherwise(pl.lit("wrong")),
        reason=pl.when("right").then(pl.lit("equal")).otherwise(pl.lit("different")),
    )  # fmt: skip


def filled_by_one_who_knows(graded: pl.DataFrame, key: pl.DataFrame) -> pl.DataFrame:
    said = pl.when("truth").then(pl.lit("yes")).otherwise(pl.lit("no")).alias("right")
    return (
        key.select("row", "request_id").join(graded.select("request_id", "truth"), on="request_id").select("row", said)
    )


def corrected(graded: pl.DataFrame, seed: int, rows: int = 200) -> dict[str, float]:
    asked = evaluation(rows)
    key = draw_sample(graded, asked, seed)
    audit = Audit.of(graded, asked, key, filled_by_one_who_knows(graded, key))
    return corrected_effects(graded, asked, audit).row(0, named=True)


def coverage(errors: Mapping[str, Errors], studies: int, effect: float = 0.0, rows: int = 200) -> dict[str, float]:
    """How often an interval holds the true effect, and the mean of the estimates, over many studies."""
    random = np.random.default_rng(20261126)
    found = [corrected(simulated(random, errors), seed, rows) for seed in range(studies)]
    return {
        "graded": float(np.mean([row["graded_low"] <= effect <= row["graded_high"] for row in found])),
        "corrected": float(np.mean([row["low"] <= effect <= row["high"] for row in found])),
        "mean of graded": float(np.mean([row["graded"] for row in found])),
        "mean of corrected": float(np.mean([row["estimate"] for row in found])),
        "half width": float(np.mean([row["high"] - row["low"] for row in found]) / 2),
    }


if __name__ == "__main__":
    for name, errors in (("perfect", PERFECT), ("differential", DIFFERENTIAL)):
        for rows in (100, 200, 400):
            print(name, rows, coverage(errors, int(sys.argv[1]), rows=rows))
