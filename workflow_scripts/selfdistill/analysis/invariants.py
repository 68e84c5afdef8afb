"""Tests of the results themselves. A study whose tables break one of these gets no report.

Goes in: what was planned, graded and trained on. Comes out: one entry a check, with a sentence that names what broke.
"""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import polars as pl

from selfdistill.foundation.wording import count, plural
from selfdistill.study.evaluation import Draws
from selfdistill.study.names import context_of, parse_model_id
from selfdistill.tables import words
from selfdistill.tables.endings import CORRECT

Frames = Mapping[str, pl.DataFrame]
Check = dict[str, Any]


def check_results(
    plans: Frames,
    graded: Frames,
    datasets: Frames,
    evaluation: pl.DataFrame,
    contamination: pl.DataFrame,
    levels: pl.DataFrame,
    budgets: Mapping[str, int],
    manifests: Sequence[Mapping[str, Any]],
    draws: Draws,
    unequal: Sequence[str] = (),
    alike: Sequence[Sequence[str]] = (),
    questions: Frames = MappingProxyType({}),
) -> list[Check]:
    """`alike` are the arms that learn right answers to the same problems, group by group; `questions` are what the arms
    practise on that have no dataset."""
    practising = list(questions)
    checks: list[tuple[str, Callable[[], str | None], str]] = [
        ("request ids are unique", lambda: repeated_requests(graded), "No request was sampled or counted twice."),
        ("plan equals completions", lambda: plan_gaps(plans, graded), "Every planned request has one graded completion."),
        ("denominators agree", lambda: uneven_problems(graded, budgets, draws), denominators_agree(draws)),
        ("no arm trained on an evaluation problem", lambda: leaks({**datasets, **questions}, evaluation, contamination), "No training example is an evaluation problem or too similar to one."),
        ("accuracy does not depend on the number of draws", lambda: draw_dependence(graded, levels, budgets), "The reported accuracy is the mean over single draws."),
        ("arms took equally many steps", lambda: uneven_steps(manifests, unequal, practising), steps_held(manifests, unequal, practising)),
    ]  # fmt: skip
    if alike:
        same = ("right answers are of the same problems", lambda: uneven_answers(datasets, alike), answers_alike(alike))
        checks.append(same)
    return [
        {"name": name, "passed": complaint is None, "sentence": complaint or holds}
        for name, find, holds in checks
        for complaint in [find()]
    ]


def repeated_requests(graded: Frames) -> str | None:
    """Two contexts that happen to tell the same are one request, which each of them counts."""
    ids = pl.concat(frame.select("request_id", "model_id") for frame in graded.values())
    told = {model: context_of(model) and model for model in ids["model_id"].unique().to_list()}
    ids = ids.with_columns(told=pl.col("model_id").replace_strict(told, return_dtype=pl.String))
    repeated = ids.filter(pl.struct("request_id", "told").is_duplicated())
    if repeated.is_empty():
        return None
    first = repeated.row(0, named=True)
    return f"request {first['request_id']} of model {first['model_id']} occurs more than once ({plural(repeated.height, 'row')})."


def plan_gaps(plans: Frames, graded: Frames) -> str | None:
    for model, plan in plans.items():
        wanted, found = set(plan["request_id"]), set(graded[model]["request_id"])
        if wanted != found:
            return f"model {model}: planned requests without a completion: {count(len(wanted - found))}; completions that were not planned: {count(len(found - wanted))}."
    return None


def denominators_agree(draws: Draws) -> str:
    """What holds for the numbers of answers, in the words of the report."""
    if draws.base == draws.arms:
        return "Models that are compared answered the same problems equally often."
    return (
        "Models that are compared answered the same problems, each of them equally often: "
        f"{draws.base} times the base and its twins, {draws.arms} times the trained models."
    )


def uneven_problems(graded: Frames, budgets: Mapping[str, int], draws: Draws) -> str | None:
    """Every model answered the first problems of the ranking, as many as one of the budgets holds, as often as its side is
    asked."""
    rows = pl.concat(frame.filter(pl.col("purpose") == "eval") for frame in graded.values())
    sides = rows.group_by("model_id", "decode_id", maintain_order=True).agg(
        pl.col("rank").n_unique().alias("problems"), pl.col("rank").max().alias("last"), pl.len().alias("answers")
    )
    asked = {
        model: draws.of(parse_model_id(model).training_seed is not None)
        for model in sides["model_id"].unique().to_list()
    }
    times = pl.col("model_id").replace_strict(asked, return_dtype=pl.Int64)
    whole = pl.col("problems").is_in(list(budgets.values())) & (pl.col("problems") == pl.col("last") + 1)
    odd = sides.filter(~whole | (pl.col("answers") != pl.col("problems") * times))
    if odd.is_empty():
        return None
    first = odd.row(0, named=True)
    return (
        f"model {first['model_id']} at {first['decode_id']} has {count(first['answers'])} answers to {count(first['problems'])} problems, "
        f"not {asked[first['model_id']]} to each problem of a budget ({', '.join(f'{name}: {count(size)}' for name, size in budgets.items())})."
    )


def leaks(datasets: Frames, evaluation: pl.DataFrame, contamination: pl.DataFrame) -> str | None:
    forbidden = {*evaluation["problem_id"], *contamination["train_problem_id"]}
    for arm, dataset in datasets.items():
        leaked = sorted(forbidden & set(dataset["problem_id"]))
        if leaked:
            return f"arm {arm} trained on {plural(len(leaked), 'problem')} of the evaluation or too similar to one; the first is {leaked[0]}."
    return None


def answers_alike(alike: Sequence[Sequence[str]]) -> str:
    groups = "; ".join(", ".join(arms) for arms in alike)
    return f"Arms with keep: correct learned right answers alone, one to each of the same problems ({groups})."


def uneven_answers(datasets: Frames, alike: Sequence[Sequence[str]]) -> str | None:
    for arms in alike:
        first = datasets[arms[0]]["problem_id"].to_list()
        for arm in arms:
            learned = datasets[arm]
            wrong = learned.filter(pl.col("verdict") != CORRECT)
            if wrong.height:
                return f"arm {arm} learned {plural(wrong.height, 'answer')} that were not right; the first is request {wrong['request_id'][0]}."
            if learned["problem_id"].to_list() != first or learned["problem_id"].n_unique() < learned.height:
                return f"arm {arm} learned answers to other problems than {arms[0]}, or several to one of them."
    return None


def draw_dependence(graded: Frames, levels: pl.DataFrame, budgets: Mapping[str, int]) -> str | None:
    """Accuracy computed draw by draw, then averaged, against the accuracy in the tables, at every budget."""
    reported = levels.filter((pl.col("estimand") == words.ACCURACY) & (pl.col("split") == "all"))
    known = {
        (row["model_id"], row["decode_id"], row["budget"]): row["estimate"] for row in reported.iter_rows(named=True)
    }
    for model, frame in graded.items():
        answers = frame.filter(pl.col("purpose") == "eval").with_columns(correct=pl.col("verdict") == CORRECT)
        for budget, size in budgets.items():
            within = answers.filter(pl.col("rank") < size)
            by_draw = within.group_by("decode_id", "draw").agg(pl.col("correct").mean())
            for decode, accuracy in by_draw.group_by("decode_id").agg(pl.col("correct").mean()).iter_rows():
                stated = known.get((model, decode, budget))
                if stated is not None and abs(stated - accuracy) > 1e-9:
                    return (
                        f"model {model} at {decode}, budget {budget}: the tables say {stated:.6f}, "
                        f"the mean over its draws is {accuracy:.6f}."
                    )
    return None


def steps_held(manifests: Sequence[Mapping[str, Any]], unequal: Sequence[str], practising: Sequence[str] = ()) -> str:
    """What holds for the numbers of steps, in the words of the report."""
    own = [f"{m['arm']} ({m['steps']} steps)" for m in manifests if m["arm"] in unequal]
    others = [m["arm"] for m in manifests if m["arm"] not in practising]
    kinds = " Arms that practise and arms that learn from a dataset are not compared in steps." * bool(
        practising and others
    )
    if not own:
        return f"Differences between arms are not differences in steps.{kinds}"
    return f"Differences between arms are not differences in steps, but for {', '.join(dict.fromkeys(own))}, as the study says.{kinds}"


def uneven_steps(
    manifests: Sequence[Mapping[str, Any]], unequal: Sequence[str] = (), practising: Sequence[str] = ()
) -> str | None:
    """`unequal` are the arms that the study gives budgets of their own: only their seeds must agree. Arms that practise
    agree with each other, and so do those that learn from a dataset."""
    taken: dict[tuple[bool, str], set[int]] = {}
    for manifest in manifests:
        group = manifest["arm"] if manifest["arm"] in unequal else ""
        taken.setdefault((manifest["arm"] in practising, group), set()).add(manifest["steps"])
    if all(len(steps) == 1 for steps in taken.values()):
        return None
    steps = {f"{manifest['arm']} (seed {manifest['training_seed']})": manifest["steps"] for manifest in manifests}
    return f"runs took unequal numbers of steps: {steps}; lower training.examples to what the smallest arm keeps."
