"""Plausible made-up inputs of a report: a small study whose numbers are invented but whose tables keep their schemas.

python tests/report_fixture.py report.html      writes the page, to be looked at
"""

import math
import sys
from functools import cache, lru_cache
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

import report_ladder_fixture as told
import report_mechanism_fixture as probed
from judged_answers import judged_tables
from read_again import disagreement
from selfdistill.analysis.audit.corrected import Audit, corrected_effects, grader_errors
from selfdistill.analysis.audit.strata import draw_sample
from selfdistill.analysis.difficulty import difficulty
from selfdistill.analysis.doubt import doubt_levels, doubt_ratios
from selfdistill.analysis.doubt_counts import PLACES
from selfdistill.analysis.doubt_measures import Doubted
from selfdistill.analysis.grader import grader_panel
from selfdistill.analysis.problem_means import NEEDED
from selfdistill.analysis.sentences import estimand_line, sentence
from selfdistill.analysis.solving import solving
from selfdistill.analysis.truncation import truncation
from selfdistill.analysis.word_shift import shifts_asked, word_shift
from selfdistill.doubt.counting import Markers
from selfdistill.reporting.inputs import ReportInputs
from selfdistill.study.doubt import Doubt
from selfdistill.study.evaluation import Evaluation
from selfdistill.study.sampling import Decode
from selfdistill.tables.analysis import (
    COMPARISONS,
    EFFECTS,
    ESTIMATES,
    NOISE_STEPS,
    NOISE_SUMMARY,
    PATH_COHERENCE,
    VARIANCE,
    VERDICTS,
    WEIGHT_CHANGE,
)
from selfdistill.tables.schema import conform
from selfdistill.tables.training import RUN_LOG

HOSTILE = "<script>alert(1)</script> {{7*7}} $\\frac{1}{2}$ </details><img src=x onerror=alert(2)>"

SWEEP = {"t06": 0.6, "t08": 0.8, "t10": 1.0, "t12": 1.2, "t15": 1.5}
FINAL = ["t06", "t10", "t15"]
EFFECT = {"base": 0.0, "ssd": 0.035, "keep-cut": 0.004, "filter-only": 0.021, "fixed-point": -0.002, "aa": 0.003}
N_TEST = 210

STUDY: dict[str, Any] = {
    "study": "lab",
    "seed": 20260101,
    "model": {"path": "resources/lab/model", "context": 640},
    "problems": {
        "prompt": "{problem}\nPut the answer in \\boxed{}.",
        "sources": {
            "homework": {"path": "resources/lab/problems/homework.jsonl", "use": "train"},
            "exam": {"path": "resources/lab/problems/exam.jsonl", "use": "eval"},
            "olympiad": {"path": "resources/lab/problems/olympiad.jsonl", "use": "eval"},
        },
        "dev_share": 0.3,
    },
    "decodes": {
        "ssd": {"temperature": 1.1, "top_k": 20, "top_p": 0.95, "max_tokens": 384},
        "plain": {"temperature": 1.0, "top_k": 0, "top_p": 1.0, "max_tokens": 384},
        **{name: {"temperature": t, "top_k": 20, "top_p": 0.95, "max_tokens": 512} for name, t in SWEEP.items()},
        "t10-min-p": {"temperature": 1.0, "top_k": 0, "top_p": 1.0, "min_p": 0.05, "max_tokens": 512},
    },
    "training": {"samples": 640, "examples": 512, "batch": 32, "micro_batch": 4, "epochs": 1, "lr": 3e-4,
                 "lr_floor": 6e-5, "warmup_steps": 3, "checkpoints": [25, 50, 75, 100], "max_grad_norm": 1.0},
    "arms": {
        "ssd": {"decode": "ssd", "keep": "finished", "seeds": [0, 1]},
        "keep-cut": {"decode": "ssd", "keep": "everything", "seeds": [0]},
        "filter-only": {"decode": "plain", "keep": "finished", "seeds": [0]},
        "fixed-point": {"decode": "plain", "keep": "everything", "seeds": [0]},
        "aa": {"resample": True, "seeds": [0]},
    },
    "evaluation": {"budgets": {"quick": 100, "full": 300}, "draws": 4,
                   "decodes": {"base": [*SWEEP, "t10-min-p"], "final": FINAL, "earlier": ["t10"]}, "pass_at": [1, 4], "resamples": 4000},
    "hypotheses": {
        "ssd-helps": {"arm": "ssd", "against": "base", "comparison": "matched", "decode": "t10", "margin": 0.02},
        "ssd-beats-best-base": {"arm": "ssd", "against": "base", "comparison": "fair", "margin": 0.02},
        "fixed-point-does-nothing": {"arm": "fixed-point", "against": "base", "comparison": "matched",
                                     "decode": "t10", "family": "controls", "margin": 0.03},
        "filter-alone-at-heat": {"arm": "filter-only", "against": "base", "comparison": "matched", "decode": "t15",
                                 "family": "secondary", "margin": 0.02},
    },
}  # fmt: skip


def accuracy_of(arm: str, temperature: float, percent: int = 100) -> float:
    base = 0.62 - 0.28 * max(0.0, temperature - 0.7) ** 2 - 0.05 * max(0.0, 0.7 - temperature)
    return base + EFFECT[arm] * (0.4 + 0.9 * temperature) * (percent / 100) ** 0.5


def cut_of(arm: str, temperature: float) -> float:
    return max(0.01, 0.02 + 0.09 * temperature**2 - (0.0 if arm in ("base", "aa") else 1.6 * EFFECT[arm] + 0.01))


def estimate(name: str, value: float, half: float, **more: Any) -> dict[str, Any]:
    row: dict[str, Any] = dict.fromkeys(ESTIMATES)
    row.update(estimand=name, estimate=value, low=value - half, high=value + half, split="test", budget="full",
               unit="problem", n=N_TEST, method="Wilson, effective n")  # fmt: skip
    return row | more


def models() -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = [{"model_id": "base", "arm": "base", "training_seed": None, "percent": 0}]
    for arm, settings in STUDY["arms"].items():
        if settings.get("resample"):
            rows.append({"model_id": arm, "arm": arm, "training_seed": None, "percent": 0})
            continue
        for seed in settings["seeds"]:
            for percent in (25, 50, 75, 100):
                model_id = f"{arm}/seed-{seed}/at-{percent:03d}"
                rows.append({"model_id": model_id, "arm": arm, "training_seed": seed, "percent": percent})
        if len(settings["seeds"]) > 1:
            for percent in (25, 50, 75, 100):
                name = f"{arm}/all-seeds/at-{percent:03d}"
                rows.append({"model_id": name, "arm": arm, "training_seed": None, "percent": percent})
    return rows


def levels() -> pl.DataFrame:
    rows = []
    for model in models():
        trained = model["percent"] not in (0, 100)
        decodes = ["t10"] if trained else FINAL if model["arm"] != "base" else STUDY["evaluation"]["decodes"]["base"]
        budgets = ["quick"] if trained else ["quick", "full"]
        for decode in decodes:
            temperature = STUDY["decodes"][decode]["temperature"]
            accuracy = accuracy_of(model["arm"], temperature, model["percent"]) + (0.02 if "min-p" in decode else 0)
            accuracy += 0.006 * (model["training_seed"] or 0)
            cut = cut_of(model["arm"], temperature)
            for budget in budgets:
                n = 70 if budget == "quick" else N_TEST
                half = 1.96 * math.sqrt(accuracy * (1 - accuracy) / (1.6 * n))
                values = {
                    "accuracy": (accuracy, half),
                    "unanswered_rate": (cut + 0.02, 0.02),
                    "think_close_rate": (1 - cut - 0.01, 0.02),
                    "boxed_rate": (1 - cut - 0.02, 0.02),
                    "cut_rate": (cut, 0.015 + cut / 8),
                    "loop_rate": (cut / 3, 0.01),
                    "no_answer_rate": (0.012, 0.01),
                    "right_otherwise_rate": (0.004, 0.004),
                    "accuracy_when_finished": (accuracy / (1 - cut), half),
                    "mean_tokens": (150 + 300 * cut, 9.0),
                    "pass@1": (accuracy, half),
                    "pass@4": (min(0.98, accuracy + 0.19), half),
                }
                for split in ("test", "dev", "all"):
                    rows += [
                        estimate(name, value, width, decode_id=decode, budget=budget, split=split, n=n, **model)
                        for name, (value, width) in values.items()
                    ]
    return conform(pl.DataFrame(rows, schema=ESTIMATES), ESTIMATES, "levels")


def comparisons() -> pl.DataFrame:
    rows = []
    for model in models():
        if model["arm"] == "base":
            continue
        seeds = len(STUDY["arms"][model["arm"]]["seeds"]) if model["percent"] else 0
        forms = [model] if seeds != 1 else [model, {**model, "training_seed": None}]
        pairs = [(decode, decode, "matched", "full") for decode in FINAL] + [("t10", "t08", "fair", "full")]
        at_checkpoints = [("t10", "t10", "matched", "quick")]
        wanted = at_checkpoints if model["percent"] not in (0, 100) else pairs + at_checkpoints
        for form, (decode, against, kind, budget) in product(forms, wanted):
            rows += [row | {"budget": budget} for row in paired_rows(form, decode, against, kind, seeds)]
    return conform(pl.DataFrame(rows, schema=COMPARISONS), COMPARISONS, "comparisons")


def paired_rows(model: dict[str, Any], decode: str, against: str, kind: str, seeds: int) -> list[dict[str, Any]]:
    arm = model["arm"]
    t, t0 = STUDY["decodes"][decode]["temperature"], STUDY["decodes"][against]["temperature"]
    gain, cut = accuracy_of(arm, t, model["percent"]) - accuracy_of("base", t0), cut_of(arm, t) - cut_of("base", t0)
    differences = {
        "accuracy": (gain, 0.026),
        "cut_rate": (cut, 0.018),
        "loop_rate": (cut / 3, 0.009),
        "mean_tokens": (300 * cut, 6.5),
        "accuracy_when_both_finished": (EFFECT[arm] * 0.4, 0.022),
        "accuracy difference, cut counted for base": (gain - cut_of("base", t0), 0.026),
        "accuracy difference, cut counted for the arm": (gain + cut_of(arm, t), 0.026),
    }
    rows = []
    named = {"decode_id": decode, "against": "base", "against_decode_id": against, "comparison": kind,
             "training_seeds": 1 if model["training_seed"] is not None else seeds, **model}  # fmt: skip
    if kind == "fair":
        named |= {"chosen": f"{decode} 81 %, t15 19 %", "against_chosen": f"{against} 100 %"}
    for name, (value, half) in differences.items():
        p = math.erfc(abs(value) / (half / 1.96) / math.sqrt(2))
        of_method = seeds > 1 and model["training_seed"] is None
        tested = {"method": "t" if name == "mean_tokens" else "paired score", "p_value": p, "p_adjusted": min(1.0, 2 * p),
                  "mde80": half * 1.43, "claim": "these checkpoints",
                  "leads": model["training_seed"] is None and not of_method}  # fmt: skip
        rows.append(estimate(name, value, half, **tested, **named))
        if of_method:
            rows.append(estimate(name, value, half * 1.5, **{**tested, "claim": "the method", "leads": True}, **named))
    return [dict.fromkeys(COMPARISONS) | row for row in rows]


def factorial() -> pl.DataFrame:
    rows = []
    effects = {"main effect of the decode": 0.009, "main effect of the filter": 0.026, "interaction": 0.011,
               "main effect of the decode on cut_rate": -0.006, "main effect of the filter on cut_rate": -0.041,
               "interaction on cut_rate": -0.002, "effect of ssd": 0.035}  # fmt: skip
    for decode, (name, value) in product(FINAL, effects.items()):
        scaled = value * (0.5 + STUDY["decodes"][decode]["temperature"])
        half = 0.036 if name.startswith("interaction") else 0.018
        p = math.erfc(abs(scaled) / (half / 1.96) / math.sqrt(2))
        row = estimate(name, scaled, half, method="paired score", decode_id=decode, against_decode_id=decode,
                       percent=100, p_value=p, p_adjusted=min(1.0, 3 * p))  # fmt: skip
        rows.append(
            dict.fromkeys(EFFECTS) | row | {"claim": "these checkpoints", "training_seeds": 1, "mde80": half * 1.43}
        )
    return conform(pl.DataFrame(rows, schema=EFFECTS), EFFECTS, "factorial")


def variance() -> pl.DataFrame:
    """Of every arm against the base: trainings known of ssd alone, one estimate below 0, draws of the twin taken."""
    rows = []
    for arm, decode, estimand in product(list(EFFECT)[1:], FINAL, ("accuracy", "cut_rate")):
        twice, trained = arm == "ssd", arm != "aa"
        both, mine, other = "both sides", "the arm", "the other side"
        parts: dict[tuple[str, str], tuple[float | None, str]] = {
            ("between trainings", mine): (0.0002 if twice else None if trained else 0.0,
                                          "estimated" if twice else "unknown: one training" if trained else "nothing was trained"),
            ("between trainings", other): (0.0, "nothing was trained"),
            ("between problems", both): (0.011 if trained else -0.004, "estimated"),
            ("within families", both): (0.0, "no families of problems"),
            ("problem by training", mine): (0.006 if twice else None, "estimated" if twice else "unknown: one training"),
            ("problem by training", other): (None, "nothing was trained"),
            ("between draws", mine): (0.14, "estimated" if trained else "assumed, as of the other side"),
            ("between draws", other): (0.13, "estimated"),
            ("shared noise", both): (0.08 if trained else None, "estimated" if trained else "noise of their own"),
            ("noise shared by trainings", mine): (0.09 if twice else None, "estimated" if twice else "unknown: one training"),
            ("noise shared by trainings", other): (None, "nothing was trained"),
        }  # fmt: skip
        named = {"estimand": estimand, "arm": arm, "decode_id": decode, "against": "base", "against_decode_id": decode,
                 "comparison": "matched", "split": "test", "budget": "full", "problems": N_TEST, "families": float(N_TEST),
                 "family_size": 1.0, "noises": [0, 1], "against_noises": [0, 1], "trainings": 1, "against_trainings": 1,
                 "coupled": trained, "tells_draws": True}  # fmt: skip
        for (part, of), (value, how) in parts.items():
            ends = (None, None) if not value else (value - 0.005, value + 0.005)
            rows.append({"part": part, "of": of, "variance": value, "low": ends[0], "high": ends[1], "how": how,
                         "adds": None if value is None else value / N_TEST, **named})  # fmt: skip
    return conform(pl.DataFrame(rows, schema=VARIANCE, strict=False), VARIANCE, "variance")


def verdicts() -> pl.DataFrame:
    """Made-up numbers in the sentences that the analysis writes."""
    decodes = {name: Decode.model_validate(decode) for name, decode in STUDY["decodes"].items()}

    def row(hypothesis: str, decode: str, against_decode: str, value: float, half: float, p: float, verdict: str,
            equivalence_p: float, **more: Any) -> dict[str, Any]:  # fmt: skip
        plan = STUDY["hypotheses"][hypothesis]
        numbers = {
            **dict.fromkeys(VERDICTS), "role": "hypothesis", "method": "paired score", "unit": "problem", "training_seeds": 2,
            "hypothesis": hypothesis, "family": plan.get("family", "primary"), "arm": plan["arm"], "claim": "the method",
            "against": plan["against"], "comparison": plan["comparison"], "decode_id": decode, "estimand": "accuracy",
            "against_decode_id": against_decode, "estimate": value, "low": value - half, "high": value + half,
            "p_value": p, "p_adjusted": min(1.0, 2 * p), "equivalence_p": equivalence_p, "question": "different",
            "equivalence_p_adjusted": equivalence_p, "margin": plan["margin"], "alpha": 0.025, "level": 0.5,
            "against_level": 0.5 - value, "boxed_rate": 0.9, "against_boxed_rate": 0.9, "chosen": "t10 81 %, t15 19 %",
            "against_chosen": "t08 100 %", "mde80": half * 1.43, "n": N_TEST, "verdict": verdict, **more,
        }  # fmt: skip
        return numbers | {"sentence": sentence(numbers), "estimand_line": estimand_line(numbers, decodes)}

    same = ("fixed-point-does-nothing", "t10", "t10", -0.003, 0.021, 0.78, "equivalent within the margin", 0.006)
    rows = [
        row("ssd-helps", "t10", "t10", 0.046, 0.026, 0.0006, "improved", 0.97),
        row(
            "ssd-beats-best-base",
            "t10",
            "t08",
            0.017,
            0.027,
            0.21,
            "not resolved",
            0.41,
            settling="To find or rule out a difference of 2.0 points with 80 % power it would take about 190 problems.",
        ),
        row(*same, claim="these checkpoints", training_seeds=1),
        row("filter-alone-at-heat", "t15", "t15", 0.036, 0.03, 0.019, "improved", 0.85),
        row(*same, role="control", arm="aa", family="controls", training_seeds=0) | {"hypothesis": "aa against base"},
    ]
    return conform(pl.DataFrame(rows, infer_schema_length=None), VERDICTS, "verdicts")


def audits() -> dict[str, dict[str, Any]]:
    result = {}
    for arm, (cut, loop, keeps) in {"ssd": (31, 14, False), "keep-cut": (31, 14, True), "filter-only": (48, 33, False),
                                    "fixed-point": (48, 33, True)}.items():  # fmt: skip
        sampled = 640
        finished = sampled - cut - loop - 3
        kept = sampled - 3 if keeps else finished
        result[arm] = {
            "sampled": sampled, "finished": finished, "cut": cut, "looped": loop, "empty": 3, "kept": kept, "used": 512,
            "answered": finished - 9, "no_answer": 9, "keep": "everything" if keeps else "finished",
            "decode": STUDY["arms"][arm]["decode"], "before": profile(371, sampled, 188.0),
            "after": profile(371, kept, 188.0 if keeps else 168.0), "used_profile": profile(300, 512, 168.0),
            "favour": {"correctness_difference": 371 / kept - 371 / sampled,
                       "correctness_difference_low": 371 / kept - 371 / sampled - 0.01,
                       "correctness_difference_high": 371 / kept - 371 / sampled + 0.01,
                       "mean_tokens_difference": 0.0 if keeps else -20.0},
            "levels": {str(level): {"sampled": 160, "kept": 150 - 9 * level, "used": 110, "share_before": 0.25,
                                    "share_after": (150 - 9 * level) / 510} for level in (1, 2, 3, 4)},
        }  # fmt: skip
    return result


def profile(correct: int, n: int, tokens: float) -> dict[str, Any]:
    rate = correct / n
    return {"mean_tokens": tokens, "median_tokens": tokens - 12,
            "correctness": {"correct": correct, "n": n, "rate": rate, "low": rate - 0.04,
                                                                    "high": rate + 0.04}}  # fmt: skip


def runs() -> list[str]:
    return [f"{arm}/seed-{s}" for arm, a in STUDY["arms"].items() if not a.get("resample") for s in a["seeds"]]


def run_logs(steps: int = 16) -> pl.DataFrame:
    random = np.random.default_rng(1)
    rows = []
    for position, run in enumerate(runs()):
        for step in range(1, steps + 1):
            rows.append({
                "run": run, "step": step,
                "loss": 0.31 - 0.004 * step + 0.012 * random.standard_normal() + position / 90,
                "learning_rate": 3e-4 * min(1, step / 3) * (0.6 + 0.4 * math.cos(math.pi * step / steps)),
                "grad_norm": 0.5 + 0.05 * random.standard_normal(), "clip_coefficient": 1.0, "tokens": 5400,
                "sequences": 32, "entropy": 0.2, "effective_sequences": 27.5, "device_bytes": 2**30, "seconds": 1.1,
            })  # fmt: skip
    return conform(pl.DataFrame(rows), {"run": pl.String, **RUN_LOG}, "run logs")


STEPS = 16


def noise_steps() -> pl.DataFrame:
    random = np.random.default_rng(2)
    rows = [
        {**dict.fromkeys(NOISE_STEPS), "geometry": "euclidean", "run": run, "step": step, "group": group, "micro_batches": 8, "tokens": 5400,
         "sequences": 32, "step_norm_squared": size * (0.25 + 0.04 * random.standard_normal()),
         "micro_norms_squared": size * 1.8, "pair_sum": 1e5, "pair_weight": 2.5e7,
         "signal": size * (0.035 + 0.03 * random.standard_normal())}
        for run in runs() for step in range(1, STEPS + 1) for group, size in (("total", 1.0), ("embedding", 0.2))
    ]  # fmt: skip
    return conform(pl.DataFrame(rows), {"run": pl.String, **NOISE_STEPS}, "noise steps")


def noise_summary() -> pl.DataFrame:
    rows = []
    for run, geometry in product(runs(), ("euclidean", "adam")):
        lost = run.startswith("fixed-point")
        for window, (first, last) in {"run": (1, 16), "1": (1, 4), "2": (5, 8), "3": (9, 12), "4": (13, 16)}.items():
            signal = 0.002 if lost else 0.036 if window == "run" else 0.03 + 0.004 * int(window)
            half = 0.009 if window == "run" else 0.02
            rows.append({
                **dict.fromkeys(NOISE_SUMMARY), "geometry": geometry, "run": run, "window": window, "group": "total", "first_step": first,
                "last_step": last, "steps": last - first + 1, "micro_batches": 8.0, "sequences": 32.0, "tokens": 5400.0,
                "step_norm_squared": 0.25, "signal": signal, "signal_low": signal - half, "signal_high": signal + half,
                "trace_per_sequence": 6.9, "trace_per_token": 1160.0, "signal_fraction": signal / 0.25,
                "signal_fraction_low": (signal - half) / 0.25, "signal_fraction_high": (signal + half) / 0.25,
                "momentum_fraction": 0.16, "momentum_fraction_high": 0.4, "signal_to_noise": signal / 6.9,
                "signal_to_noise_low": (signal - half) / 6.9, "signal_to_noise_high": (signal + half) / 6.9,
                "noise_scale": None if lost else 6.9 / signal, "noise_scale_low": 6.9 / (signal + half),
                "noise_scale_high": None if lost else 6.9 / max(signal - half, 1e-3),
                "noise_scale_text": "627 or more" if lost else "192 [153, 256] sequences",
                "noise_scale_lower_bound": 6.9 / (signal + half), "noise_scale_tokens": 6.9 / signal * 168,
                "detection_limit": 840.0, "effective_rank": 310.0, "signal_share": 1.0, "noise_share": 1.0,
                "autocorrelation": 0.08,
            })  # fmt: skip
    return conform(pl.DataFrame(rows, infer_schema_length=None), {"run": pl.String, **NOISE_SUMMARY}, "noise summary")


def weight_change() -> pl.DataFrame:
    rows = []
    for run in runs():
        for step in range(1, STEPS + 1):
            seen = 0.34 * min(1, step / 3) * (1 - step / 40)
            rows.append({
                **dict.fromkeys(WEIGHT_CHANGE), "run": run, "step": step, "group": "total", "weights": 920_000,
                "changed_fraction": seen, "predicted_fraction": seen * (1.15 if step < 3 else 1.01),
                "changed_to_predicted": 0.99, "changed_since_start_fraction": 1 - math.exp(-step / 7),
                "relative_update": 0.0011, "relative_distance": 0.002 * step**0.6, "on_grid_fraction": seen / 2,
                "kept_in_bf16": 0.12,
            })  # fmt: skip
    return conform(pl.DataFrame(rows), {"run": pl.String, **WEIGHT_CHANGE}, "weight change")


def coherence() -> pl.DataFrame:
    rows = [
        {"run": run, "first_step": 1, "last_step": STEPS, "steps": STEPS, "group": "total", "coherence": 9.4,
         "of_noise": 8.3, "signal_fraction": 0.14}
        for run in runs()
    ]  # fmt: skip
    return conform(pl.DataFrame(rows), {"run": pl.String, **PATH_COHERENCE}, "coherence")


def completions() -> pl.DataFrame:
    random = np.random.default_rng(3)
    frames = []
    for model in models():
        if model["percent"] not in (0, 100) or (model["training_seed"] is None and model["percent"]):
            continue
        for decode in FINAL:
            cut = cut_of(model["arm"], STUDY["decodes"][decode]["temperature"])
            right = accuracy_of(model["arm"], STUDY["decodes"][decode]["temperature"])
            n = 400
            ends = random.choice(["answered", "no_answer", "cut", "loop", "empty"], n,
                                 p=[0.985 - cut, 0.012, cut * 0.7, cut * 0.3, 0.003])  # fmt: skip
            unfinished = np.isin(ends, ["cut", "loop"])
            tokens = np.where(unfinished, 512, np.clip(random.gamma(6, 26, n), 12, 511)).astype(int)
            verdict = np.where(
                ends != "answered", "unanswered", np.where(random.random(n) < right / (1 - cut), "correct", "wrong")
            )
            frames.append(pl.DataFrame({"finish_class": ends, "n_tokens": tokens, "verdict": verdict}).with_columns(
                model_id=pl.lit(model["model_id"]), decode_id=pl.lit(decode)))  # fmt: skip
    return pl.concat(frames)


def finished_models() -> list[str]:
    whole = [model for model in models() if model["percent"] in (0, 100) and "all-seeds" not in model["model_id"]]
    return [model["model_id"] for model in whole]


def answers_of_two_draws(problems: int = 210) -> pl.DataFrame:
    """Graded test answers with lengths, two to each problem: arms with an effect are quicker."""
    random = np.random.default_rng(6)
    ease = np.repeat(random.standard_normal(problems), 2)
    frames = []
    for model, decode in product(finished_models(), FINAL):
        effect, temperature = EFFECT[model.split("/")[0]], STUDY["decodes"][decode]["temperature"]
        tokens = np.ceil((190 + 70 * temperature - 2000 * effect - 50 * ease) * random.gamma(9, 1 / 9, 2 * problems))
        cut = tokens >= 512
        right = ~cut & (random.random(2 * problems) < 1 / (1 + np.exp(temperature - 1.8 - ease - effect)))
        frames.append(pl.DataFrame({
            "model_id": model, "decode_id": decode, "problem_id": [f"p{i // 2:04d}" for i in range(2 * problems)],
            "draw": np.arange(2 * problems) % 2, "rank": np.arange(2 * problems) // 2, "split": "test", "purpose": "eval",
            "family": None, "n_tokens": np.clip(tokens, 4, 512), "finish_class": np.where(cut, "cut", "answered"),
            "think_closed": ~cut, "boxed": ~cut,
            "verdict": np.where(right, "correct", np.where(cut, "unanswered", "wrong")),
        }, schema_overrides={"family": pl.String}))  # fmt: skip
    return pl.concat(frames)


@lru_cache(maxsize=1)
def truncated() -> tuple[pl.DataFrame, pl.DataFrame]:
    caps = {name: decode["max_tokens"] for name, decode in STUDY["decodes"].items()}
    return truncation(answers_of_two_draws(), STUDY["evaluation"]["budgets"], caps, resamples=200, seed=1)


def graded_answers(n: int = 60) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Graded answers of base and one trained model to the same problems, and the problems."""
    random = np.random.default_rng(4)
    frames = []
    for model in ("base", "ssd/seed-0/at-100"):
        ends = random.choice(["answered", "cut", "loop"], n, p=[0.8, 0.12, 0.08])
        right = (ends == "answered") & (random.random(n) < 0.6)
        verdict = np.where(right, "correct", np.where(ends == "answered", "wrong", "unanswered"))
        frames.append(pl.DataFrame({
            "model_id": model, "decode_id": "t10", "draw": 0, "split": "test",
            "problem_id": [f"{i:04x}" for i in range(n)], "gold": "6", "extracted": "6", "reason": "equal",
            "finish_class": ends, "verdict": verdict, "n_tokens": 100, "text": "4 + 7 = 11",
        }))  # fmt: skip
    problems = pl.DataFrame({"problem_id": [f"{i:04x}" for i in range(n)], "problem": "What is 4 + 7?"})
    return pl.concat(frames), problems


def evaluated(problems: int = 40, seed: int = 5) -> pl.DataFrame:
    """Graded evaluation answers of every model of the study, for the real analysis to work on."""
    random = np.random.default_rng(seed)
    identity = pl.DataFrame({"rank": range(problems)}, schema={"rank": pl.Int32}).with_columns(
        problem_id=pl.format("p{}", "rank"), family=pl.format("f{}", "rank"),
        split=pl.when(pl.col("rank") % 3 == 0).then(pl.lit("dev")).otherwise(pl.lit("test")),
        purpose=pl.lit("eval"), draw=pl.lit(0),
    )  # fmt: skip
    frames = []
    for model in [model for model in models() if "all-seeds" not in model["model_id"]]:
        finished = model["percent"] in (0, 100)
        for decode in (
            STUDY["evaluation"]["decodes"]["base"] if model["arm"] == "base" else FINAL if finished else ["t10"]
        ):
            temperature = STUDY["decodes"][decode]["temperature"]
            cut = random.random(problems) < cut_of(model["arm"], temperature)
            right = ~cut & (random.random(problems) < accuracy_of(model["arm"], temperature))
            here = identity.with_columns(
                model_id=pl.lit(model["model_id"]), decode_id=pl.lit(decode), think_closed=~cut, boxed=~cut,
                other_correct=pl.lit(None, pl.Boolean),
                n_tokens=pl.Series(np.where(cut, 512, 150)), finish_reason=pl.Series(np.where(cut, "length", "stop")),
                finish_class=pl.Series(np.where(cut, "cut", "answered")),
                verdict=pl.Series(np.where(right, "correct", np.where(cut, "unanswered", "wrong"))),
            )  # fmt: skip
            frames.append(here if finished else here.filter(pl.col("rank") < problems // 2))
    return pl.concat(frames)


@cache
def asked_again(draws: int = 4) -> pl.DataFrame:
    """Several draws of every finished model, with what the grader's readers say and which answers are the same."""
    drawn = pl.concat(evaluated(seed=draw + 5).with_columns(draw=pl.lit(draw)) for draw in range(draws))
    finished = drawn.filter(~pl.col("model_id").str.contains("/at-") | pl.col("model_id").str.ends_with("/at-100"))
    place = pl.int_range(pl.len())
    return finished.with_columns(
        request_id=pl.format("{} {} {} {}", "model_id", "decode_id", "rank", "draw"), level=1 + pl.col("rank") % 4,
        source=pl.when(pl.col("rank") % 5 == 0).then(pl.lit("olympiad")).otherwise(pl.lit("exam")),
        disputed=(place % 17 == 0) & (pl.col("verdict") != "unanswered"),
        reason=pl.when(place % 41 == 3).then(pl.lit("unparsed")).otherwise(pl.col("finish_class")),
        lenient=pl.when(pl.col("verdict") == "correct").then(pl.lit("different")).otherwise(pl.lit("equal")),
        answer_class=pl.when(pl.col("verdict") == "correct").then(0).when(pl.col("verdict") == "wrong").then(1 + place % 3),
    )  # fmt: skip


@cache
def answers_by_question() -> dict[str, pl.DataFrame]:
    """The tables of the grader, of difficulty and of several draws, by the real analysis."""
    evaluation = Evaluation.model_validate(STUDY["evaluation"])
    key = draw_sample(asked_again(), evaluation, 1)
    said = key.select(
        "row",
        pl.when(pl.col("request_id").str.ends_with("2")).then(pl.lit("no")).otherwise(pl.lit("yes")).alias("right"),
    )
    audit = Audit.of(asked_again(), evaluation, key, said)
    return {
        "grader": grader_panel(asked_again(), evaluation),
        "grader_errors": grader_errors(audit),
        "corrected": corrected_effects(asked_again(), evaluation, audit),
        "difficulty": difficulty(asked_again(), evaluation),
        "solving": solving(asked_again(), evaluation),
    }


DOUBTS = {"base": 0.02, "ssd": 0.012, "keep-cut": 0.024, "filter-only": 0.015}  # a token


@cache
def doubted() -> dict[str, pl.DataFrame]:
    """The tables of words of doubt, by the real analysis of made-up counts."""
    random, answers = np.random.default_rng(6), asked_again()
    evaluation = Evaluation.model_validate(STUDY["evaluation"])
    markers = Markers(Doubt(markers=["wait", "perhaps", HOSTILE]))
    arms, tokens = answers["model_id"].str.split("/").list.first(), answers["n_tokens"].to_numpy()
    counts = random.poisson([DOUBTS.get(arm, 0.02) * length for arm, length in zip(arms, tokens, strict=True)])
    counted = answers.select(NEEDED).with_columns(
        marks=pl.Series([random.choice(3, count, p=[0.6, 0.3, 0.1]).tolist() for count in counts], dtype=PLACES["marks"]),
        places=pl.Series(
            [random.integers(0, length, count).tolist() for count, length in zip(counts, tokens, strict=True)],
            dtype=PLACES["places"],
        ),
        later=pl.Series(counts // 8), thought_tokens=pl.col("n_tokens") - 12, substrings=pl.Series(counts + 1),
    )  # fmt: skip
    doubted = Doubted.of(counted, markers, evaluation)
    asked = shifts_asked(doubted, evaluation)
    spoken = {
        "wait": counts // 2,
        "perhaps": counts // 3,
        "then": tokens // 40,
        "so": 1 + tokens // 60,
        "if": 1 + counts % 2,
    }
    used = pl.concat(
        answers.select("model_id", "decode_id", "problem_id", word=pl.lit(word), uses=pl.Series(uses))
        for word, uses in spoken.items()
    )
    used = used.group_by("model_id", "decode_id", "problem_id", "word").agg(pl.col("uses").sum())
    return {
        "doubt": doubt_levels(doubted),
        "doubt_ratios": doubt_ratios(doubted, evaluation, {}),
        "word_shift": word_shift(doubted, used, asked),
    }


def examples() -> pl.DataFrame:
    kinds = ["gained", "lost", "cut", "loop"]
    return pl.DataFrame({
        "kind": kinds, "model_id": ["ssd/seed-0/at-100"] * 4, "decode_id": ["t10"] * 4,
        "problem_id": ["3fa1", "90bc", "77d0", "e01a"],
        "problem": [HOSTILE + " What is ((4 + 7) * 3 - 5) mod 11?"] * 4, "gold": ["6", "2", "9", "<b>4</b>"],
        "extracted": ["6", "3", None, None], "reason": ["equal", "different", "cut", "loop"],
        "finish_class": ["answered", "answered", "cut", "loop"], "n_tokens": [171, 203, 512, 512],
        "text": ["First 4 + 7 = 11.\nThen 11 * 3 = 33.\nWait, check: 33 - 5 = 28, and 28 mod 11 = 6.\n</think>\n"
                 "\\boxed{6} " + HOSTILE,
                 HOSTILE, "Take 4 + 7. " * 40, "Wait, check: 28. " * 60],
    })  # fmt: skip


def export_checks() -> dict[str, dict[str, Any]]:
    off = {"at-050": (3e-5, 2e-7), "at-100": (4e-5, 1e-7)}
    checkpoints = {
        name: {"tokens": 700, "largest": largest, "mean": mean, "limit": 1e-3} for name, (largest, mean) in off.items()
    }
    check = {"engine": "torch", "version": "2.13.0 " + HOSTILE, "device": "cpu", "dtype": "float32"}
    return {run: {**check, "checkpoints": checkpoints} for run in ("ssd/seed-0", "ssd/seed-1")}


def hypothesis_free_study() -> dict[str, Any]:
    return {**STUDY, "hypotheses": {}}


def report_inputs(**replaced: Any) -> ReportInputs:
    complete: dict[str, Any] = {
        "study": STUDY,
        "study_sha256": "5d41402abc4b2a76b9719d911017c592a1b2c3d4e5f60718293a4b5c6d7e8f90",
        "provenance": {
            "commit": "a715bfa0c0ffee00000000000000000000000000", "created": "2026-11-21T03:00:00+00:00",
            "machine": "x86_64, 2 cores, 16 GB", "python": "3.11.9",
            "versions": {"torch": "2.13.0", "transformers": "5.23.0", "trl": "1.16.0", "polars": "2.1.0"},
        },
        "rule_times": pl.DataFrame({"rule": ["sample", "train", "grade"], "jobs": [26, 5, 26],
                                    "seconds": [341.2, 121.9, 18.4], "max_rss": [910.0, 1490.0, 260.0]}),
        "verdicts": verdicts(),
        "levels": levels(),
        "comparisons": comparisons(),
        "factorial": factorial(),
        "variance": variance(),
        "truncation": truncated()[0],
        "token_budgets": truncated()[1],
        "audits": audits(),
        "run_logs": run_logs(),
        "export_checks": export_checks(),
        "noise_steps": noise_steps(),
        "noise_summary": noise_summary(),
        "weight_change": weight_change(),
        "coherence": coherence(),
        **answers_by_question(),
        **doubted(),
        "completions": completions(),
        "examples": examples(),
        "problem_counts": pl.DataFrame({
            "source": ["exam", "exam", "olympiad", "homework"], "level": [2, 3, 4, 2],
            "split": ["test", "dev", "test", "train"], "problems": [140, 90, 70, 640],
        }),
        "contamination": pl.DataFrame({
            "train_problem_id": ["aa", "bb"], "eval_problem_id": ["cc", "dd"], "train_source": ["homework"] * 2,
            "eval_source": ["exam", "olympiad"], "method": ["exact", "jaccard"], "overlap": [1.0, 0.81],
            "answers_agree": [True, False], "train_problem": [HOSTILE, "b"], "eval_problem": [HOSTILE, "d"],
        }),
        "checks": [
            {"name": "aa-finds-nothing", "passed": True,
             "sentence": "The A/A control differs from base no more than chance allows."},
            {"name": "every-gold-parses", "passed": False,
             "sentence": "2 gold answers could not be read: problems 3fa1 and 90bc."},
        ],
    }  # fmt: skip
    return ReportInputs(**complete | replaced)


def whole_inputs(**replaced: Any) -> ReportInputs:
    """With the tables of a study that climbs the ladder, reads again, has a judge, practises and probes its models, whose
    figures take long."""
    from report_practice_fixture import added_to

    more = told.tables(HOSTILE) | judged_tables(HOSTILE) | disagreement(HOSTILE)
    return added_to(report_inputs(**probed.tables() | more | replaced))


if __name__ == "__main__":
    from selfdistill.reporting.page import build_report

    build_report(whole_inputs(), Path(sys.argv[1]))
