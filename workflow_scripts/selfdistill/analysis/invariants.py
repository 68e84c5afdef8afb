"""Tests of the results themselves. A study whose tables break one of these gets no report.

Goes in: what was planned, graded and trained on. Comes out: one entry a check, with a sentence that names what broke.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import polars as pl

Frames = Mapping[str, pl.DataFrame]
Check = dict[str, Any]


def check_results(
    plans: Frames,
    graded: Frames,
    datasets: Frames,
    evaluation: pl.DataFrame,
    levels: pl.DataFrame,
    manifests: Sequence[Mapping[str, Any]],
) -> list[Check]:
    checks: list[tuple[str, Callable[[], str | None], str]] = [
        ("request ids are unique", lambda: repeated_requests(graded), "No request was sampled or counted twice."),
        ("plan equals completions", lambda: plan_gaps(plans, graded), "Every planned request has one graded completion."),
        ("denominators agree", lambda: uneven_problems(graded), "Models that are compared answered the same problems equally often."),
        ("no arm trained on an evaluation problem", lambda: leaks(datasets, evaluation), "No training example is an evaluation problem."),
        ("accuracy does not depend on the number of draws", lambda: draw_dependence(graded, levels), "The reported accuracy is the mean over single draws."),
        ("arms took equally many steps", lambda: uneven_steps(manifests), "Differences between arms are not differences in steps."),
    ]  # fmt: skip
    return [
        {"name": name, "passed": complaint is None, "sentence": complaint or holds}
        for name, find, holds in checks
        for complaint in [find()]
    ]


def repeated_requests(graded: Frames) -> str | None:
    ids = pl.concat(frame.select("request_id", "model_id") for frame in graded.values())
    repeated = ids.filter(pl.col("request_id").is_duplicated())
    if repeated.is_empty():
        return None
    first = repeated.row(0, named=True)
    return f"request {first['request_id']} of model {first['model_id']} stands there more than once ({repeated.height} rows)."


def plan_gaps(plans: Frames, graded: Frames) -> str | None:
    for model, plan in plans.items():
        wanted, found = set(plan["request_id"]), set(graded[model]["request_id"])
        if wanted != found:
            return f"model {model}: {len(wanted - found)} planned requests have no completion, {len(found - wanted)} were not planned."
    return None


def uneven_problems(graded: Frames) -> str | None:
    """Within a decode every model has a nested set of problems (a budget), and all have equally many draws."""
    rows = pl.concat(frame.filter(pl.col("purpose") == "eval") for frame in graded.values())
    sides = rows.group_by("model_id", "decode_id", maintain_order=True).agg(
        pl.col("rank").n_unique().alias("problems"), pl.col("rank").max().alias("last"), pl.len().alias("answers")
    )
    draws = rows["draw"].n_unique()
    odd = sides.filter((pl.col("problems") != pl.col("last") + 1) | (pl.col("answers") != pl.col("problems") * draws))
    if odd.is_empty():
        return None
    first = odd.row(0, named=True)
    return (
        f"model {first['model_id']} at {first['decode_id']} has {first['answers']} answers to {first['problems']} problems, "
        f"not {draws} to each of the first {first['last'] + 1}."
    )


def leaks(datasets: Frames, evaluation: pl.DataFrame) -> str | None:
    for arm, dataset in datasets.items():
        leaked = dataset.join(evaluation, on="problem_id", how="semi")
        if not leaked.is_empty():
            return f"arm {arm} trained on {leaked.height} evaluation problems, the first is {leaked['problem_id'][0]}."
    return None


def draw_dependence(graded: Frames, levels: pl.DataFrame) -> str | None:
    """Accuracy computed draw by draw, then averaged, against the accuracy in the tables."""
    reported = levels.filter(
        (pl.col("estimand") == "accuracy") & (pl.col("split") == "all") & (pl.col("budget") == "full")
    )
    known = {(row["model_id"], row["decode_id"]): row["estimate"] for row in reported.iter_rows(named=True)}
    for model, frame in graded.items():
        answers = frame.filter(pl.col("purpose") == "eval").with_columns(correct=pl.col("verdict") == "correct")
        by_draw = answers.group_by("decode_id", "draw").agg(pl.col("correct").mean())
        for decode, accuracy in by_draw.group_by("decode_id").agg(pl.col("correct").mean()).iter_rows():
            stated = known.get((model, decode))
            if stated is not None and abs(stated - accuracy) > 1e-9:
                return f"model {model} at {decode}: the tables say {stated:.6f}, the mean over its draws is {accuracy:.6f}."
    return None


def uneven_steps(manifests: Sequence[Mapping[str, Any]]) -> str | None:
    steps = {f"{manifest['arm']} (seed {manifest['training_seed']})": manifest["steps"] for manifest in manifests}
    if len(set(steps.values())) <= 1:
        return None
    return f"runs took unequal numbers of steps: {steps}; lower training.examples to what the smallest arm keeps."
