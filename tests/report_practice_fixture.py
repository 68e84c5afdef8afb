"""A made-up study whose arms practise, with simulated trainings behind its tables.

python tests/report_practice_fixture.py report.html      writes the page, to be looked at
"""

import sys
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from practised import Truth, practised
from report_fixture import estimate
from selfdistill.analysis.noise import noise_of_runs
from selfdistill.analysis.practice import Practised, costs, practice
from selfdistill.analysis.practice_changes import practice_changes
from selfdistill.analysis.practice_signal import practice_signal
from selfdistill.analysis.truncation import truncation
from selfdistill.reporting.inputs import ReportInputs
from selfdistill.tables import words
from selfdistill.tables.analysis import ESTIMATES
from selfdistill.tables.doubt import DOUBT
from selfdistill.tables.schema import conform
from selfdistill.tables.training import NOISE

CAP = 224
STUDY: dict[str, Any] = {
    "study": "practice",
    "seed": 1,
    "problems": {"prompt": "{problem}"},
    "decodes": {"plain": {"temperature": 1.0, "top_k": 0, "top_p": 1.0, "max_tokens": CAP}},
    "contexts": {
        "solution": {"wording": "guided", "solution": "sibling"},
        "no-thought": {"wording": "guided", "solution": "sibling", "thought": False},
        "bare": {},
    },
    "training": {"micro_batch": 16, "lr": 3e-4, "schedule": "constant", "checkpoints": [100]},
    "practice": {"decode": "plain", "generations": 10, "questions": 16, "rollouts": 8, "updates": 2},
    "arms": {
        "grpo": {"method": "grpo", "training": {"lr": 3e-5}, "seeds": [0, 1, 2]},
        "sdpo": {"method": "distil", "context": "solution", "seeds": [0, 1, 2]},
        "sdpo-no-thought": {"method": "distil", "context": "no-thought"},
        "sdpo-ema": {"method": "distil", "context": "solution", "practice": {"teacher": {"ema": 0.05}}},
        "sdpo-cover-8": {"method": "distil", "context": "solution", "practice": {"coverage": 8}},
        "null": {"method": "distil", "context": "bare"},
        "replays": {"method": "distil", "context": "solution", "replays": "grpo"},
    },
    "evaluation": {"budgets": {"full": 200}, "draws": 1, "decodes": {"base": ["plain"], "final": ["plain"], "earlier": []}},
}  # fmt: skip
KL = {"teacher_kl": (0.13, 0.01), "base_kl": (0.0, 0.9), "clipped_high": (0.01, 0.04), "is_clipped": (0.001, 0.002)}
CALM = {"base_kl": (0.0, 0.01), "clipped_low": (0.01, 0.02), "clipped_high": (0.01, 0.01), "is_clipped": (0.001, 0.002)}
TRUTHS = {
    "grpo": Truth(reward=(0.8, 0.85), tokens=(120, 124), doubts_per_token=(0.04, 0.04), distil=False, extra=CALM, cut=(0.02, 0.1)),
    "sdpo": Truth(reward=(0.8, 0.25), tokens=(120, 46), doubts_per_token=(0.04, 0.001), extra=KL, cut=(0.05, 0.0)),
    "sdpo-no-thought": Truth(reward=(0.8, 0.75), tokens=(120, 100), doubts_per_token=(0.04, 0.035), extra=KL),
    "sdpo-ema": Truth(reward=(0.8, 0.25), tokens=(120, 46), doubts_per_token=(0.04, 0.001), extra=KL),
    "sdpo-cover-8": Truth(reward=(0.8, 0.99), tokens=(120, 50), doubts_per_token=(0.04, 0.005), extra=KL, coverage=8),
    "null": Truth(reward=(0.8, 0.8), tokens=(120, 120), doubts_per_token=(0.04, 0.04), extra={"teacher_kl": (0.0, 0.0)}),
    "replays": Truth(replays=True, extra={"teacher_kl": (0.13, 0.05)}),
}  # fmt: skip
HELD_OUT = {"base": 0.8, "grpo": 0.82, "sdpo": 0.23, "sdpo-no-thought": 0.74, "sdpo-ema": 0.24, "sdpo-cover-8": 0.2, "null": 0.8, "replays": 0.5}  # fmt: skip


@cache
def trainings() -> tuple[Practised, ...]:
    return tuple(run for arm, truth in TRUTHS.items() for run in practised(arm, truth, len(seeds(arm)), world=2))


def seeds(arm: str) -> list[int]:
    return STUDY["arms"][arm].get("seeds", [0])


def levels() -> pl.DataFrame:
    rows = []
    for arm, accuracy in HELD_OUT.items():
        model = {"model_id": arm if arm == "base" else f"{arm}/all-seeds/at-100", "arm": arm, "decode_id": "plain",
                 "percent": 0 if arm == "base" else 100}  # fmt: skip
        tokens = TRUTHS[arm].tokens[1] if arm in TRUTHS else 120
        rows.append(estimate(words.ACCURACY, accuracy, 0.04, **model))
        rows.append(estimate(words.MEAN_TOKENS, tokens, 4.0, **model))
    return conform(pl.DataFrame(rows, schema=ESTIMATES), ESTIMATES, "levels")


def doubt() -> pl.DataFrame:
    rows = [
        {key: row.get(key) for key in DOUBT}
        | {"estimand": words.DOUBT_RATE, "estimate": 1000 * rate, "low": 900 * rate, "high": 1100 * rate}
        for row in levels().filter(estimand=words.ACCURACY).to_dicts()
        for rate in [TRUTHS[row["arm"]].doubts_per_token[1] if row["arm"] in TRUTHS else 0.04]
    ]
    return conform(pl.DataFrame(rows, schema=DOUBT), DOUBT, "doubt")


@cache
def signal() -> pl.DataFrame:
    """PRACTICE_SIGNAL of gradients in 50 dimensions: each arm's signal is its own."""
    tables = {}
    for number, run in enumerate(trainings()):
        random = np.random.default_rng(number)
        strength = 0.02 if run.arm == "grpo" else 0.0 if run.arm == "null" else 0.6
        rows = []
        for step in range(1, 21):
            parts = strength + random.standard_normal((4, 50)) / 4
            rows += [(step, k, "all", 1000, 16, float(((part / 4) ** 2).sum())) for k, part in enumerate(parts)]
            rows.append((step, -1, "all", 4000, 64, float((parts.mean(0) ** 2).sum())))
        table = pl.DataFrame(
            rows, schema=["step", "micro_batch", "group", "tokens", "sequences", "norm_squared"], orient="row"
        )
        missing = (pl.lit(None).alias(name) for name in ("adam_norm_squared", "update_norm_squared"))
        tables[f"{run.arm}/seed-{run.seed}"] = conform(table.with_columns(missing), NOISE, "simulated noise")
    steps = noise_of_runs(tables, dict.fromkeys(tables, 0.9), seed=1, by_sequence=list(tables)).steps
    return practice_signal(steps, list(tables), seed=1)


def cut_answers() -> tuple[pl.DataFrame, pl.DataFrame]:
    random, parts = np.random.default_rng(3), []
    for arm, accuracy in HELD_OUT.items():
        cut = random.random(120) < (TRUTHS[arm].cut[1] if arm in TRUTHS else 0.02)
        right = random.random(120) < accuracy
        parts.append(pl.DataFrame({
            "problem_id": [f"p{i:03d}" for i in range(120)], "family": [f"p{i:03d}" for i in range(120)], "draw": 0, "rank": range(120),
            "n_tokens": np.where(cut, CAP, 60), "finish_class": np.where(cut, "cut", "answered"), "think_closed": ~cut, "boxed": ~cut,
            "verdict": np.where(cut, "unanswered", np.where(right, "correct", "wrong")), "split": "test",
            "model_id": arm if arm == "base" else f"{arm}/seed-0/at-100", "decode_id": "plain", "purpose": "eval",
        }))  # fmt: skip
    return truncation(pl.concat(parts), {"full": 120}, {"plain": CAP}, 100, 1)


@cache
def tables() -> dict[str, pl.DataFrame]:
    runs = list(trainings())
    parts, budgets = cut_answers()
    return {
        "practice": practice(runs), "practice_changes": practice_changes(runs), "practice_cost": costs(runs), "levels": levels(),
        "doubt": doubt(), "practice_signal": signal(), "truncation": parts, "token_budgets": budgets,
    }  # fmt: skip


def practice_inputs(**replaced: Any) -> ReportInputs:
    return ReportInputs(**{"study": STUDY, **tables(), **replaced})


ADDED = ("grpo", "sdpo", "sdpo-cover-8")


def added_to(inputs: ReportInputs) -> ReportInputs:
    """Another study's page with three of these arms on it."""
    arms = {arm: STUDY["arms"][arm] | {"seeds": [0, 1]} for arm in ADDED}
    study = inputs.study | {
        "arms": inputs.study["arms"] | arms,
        "practice": STUDY["practice"],
        "contexts": STUDY["contexts"],
    }
    study["decodes"] = inputs.study["decodes"] | STUDY["decodes"]
    runs = [run for run in trainings() if run.arm in ADDED and run.seed == 0]
    return replace(
        inputs, study=study, practice=practice(runs), practice_changes=practice_changes(runs), practice_cost=costs(runs),
        practice_signal=signal(),
    )  # fmt: skip


if __name__ == "__main__":
    from selfdistill.reporting.page import build_report

    build_report(practice_inputs(), Path(sys.argv[1]))
