"""What the filter did to an arm's samples: what it threw away, and which way that leans."""

from typing import Any

import numpy as np
import polars as pl

from selfdistill.foundation.plugins import without_place
from selfdistill.statistics.intervals import Interval, wilson_interval
from selfdistill.tables.endings import ANSWERED, CORRECT, CUT, EMPTY, FINISHED_WITH_TEXT, LOOP, NO_ANSWER

IS_CORRECT = pl.col("verdict") == CORRECT
RESAMPLES, BOOTSTRAP_SEED = 2000, 0


def audit(
    sampled: pl.DataFrame, kept: pl.DataFrame, used: pl.DataFrame, keep: str | None, decode_id: str
) -> dict[str, Any]:
    """How many samples of which kind there were, and how the kept differ from the sampled."""
    count = dict(sampled.group_by("finish_class").len().iter_rows())
    before, after = _profile(sampled), _profile(kept)
    leaning = leaning_interval(sampled, kept)
    return {
        "keep": without_place(keep) if keep else None,
        "decode": decode_id,
        "sampled": sampled.height,
        "finished": sum(count.get(name, 0) for name in FINISHED_WITH_TEXT),
        "answered": count.get(ANSWERED, 0),
        "no_answer": count.get(NO_ANSWER, 0),
        "cut": count.get(CUT, 0),
        "looped": count.get(LOOP, 0),
        "empty": count.get(EMPTY, 0),
        "kept": kept.height,
        "used": used.height,
        "before": before,
        "after": after,
        "used_profile": _profile(used),
        "favour": {
            "correctness_difference": after["correctness"]["rate"] - before["correctness"]["rate"],
            "correctness_difference_low": leaning.low if leaning else None,
            "correctness_difference_high": leaning.high if leaning else None,
            "mean_tokens_difference": after["mean_tokens"] - before["mean_tokens"],
        },
        "levels": _levels(sampled, kept, used),
    }


def leaning_interval(sampled: pl.DataFrame, kept: pl.DataFrame) -> Interval | None:
    """95 % interval of how much more often the kept are correct than the sampled; none where nothing was dropped.

    The kept are a part of the sampled, so both shares come from the same resample of the problems: a percentile bootstrap,
    whose resamples are drawn as counts of problems of each pattern of the four kinds {kept | dropped} × {correct | not}.
    """
    if kept.height == sampled.height:
        return None
    patterns, problems = _patterns(sampled, kept)
    n = problems.sum()
    drawn = np.random.default_rng(BOOTSTRAP_SEED).multinomial(n, problems / n, RESAMPLES) @ patterns
    drawn = drawn[drawn[:, 0] + drawn[:, 1] > 0]
    differences = drawn[:, 0] / (drawn[:, 0] + drawn[:, 1]) - (drawn[:, 0] + drawn[:, 2]) / drawn.sum(axis=1)
    low, high = np.quantile(differences, (0.025, 0.975))
    return Interval(float(low), float(high))


def _patterns(sampled: pl.DataFrame, kept: pl.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """How many samples of each kind a problem has, and how many problems are like that."""
    here, right = pl.col("request_id").is_in(kept["request_id"].implode()), IS_CORRECT
    kinds = [(here & right), (here & ~right), (~here & right), (~here & ~right)]
    counts = [kind.sum().cast(pl.Int64).alias(str(place)) for place, kind in enumerate(kinds)]
    if sampled["problem_id"].is_unique().all():
        return np.eye(len(kinds), dtype=np.int64), sampled.select(counts).to_numpy()[0]
    by_problem = sampled.group_by("problem_id").agg(counts).drop("problem_id")
    alike = by_problem.group_by(by_problem.columns).len().sort(by_problem.columns)
    return alike.drop("len").to_numpy(), alike["len"].to_numpy()


def _profile(samples: pl.DataFrame) -> dict[str, Any]:
    return {
        "mean_tokens": float(samples["n_tokens"].mean() or 0),  # type: ignore[arg-type]
        "median_tokens": float(samples["n_tokens"].median() or 0),  # type: ignore[arg-type]
        "correctness": _correctness(samples),
    }


def _correctness(samples: pl.DataFrame) -> dict[str, Any]:
    correct, n = samples.filter(IS_CORRECT).height, samples.height
    if not n:
        return {"correct": 0, "n": 0, "rate": None, "low": None, "high": None}
    interval = wilson_interval(correct, n)
    return {"correct": correct, "n": n, "rate": correct / n, "low": interval.low, "high": interval.high}


def _levels(sampled: pl.DataFrame, kept: pl.DataFrame, used: pl.DataFrame) -> dict[str, dict[str, Any]]:
    stages = {"sampled": sampled, "kept": kept, "used": used}
    counts = {stage: dict(frame.group_by("level").len().iter_rows()) for stage, frame in stages.items()}
    return {
        "unknown" if level is None else str(level): {
            **{stage: counts[stage].get(level, 0) for stage in stages},
            "share_before": counts["sampled"].get(level, 0) / sampled.height,
            "share_after": counts["kept"].get(level, 0) / kept.height,
        }
        for level in sorted(counts["sampled"], key=lambda level: (level is None, level))
    }
