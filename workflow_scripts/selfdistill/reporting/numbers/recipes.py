"""The few lines that make a number again, from the folder of the project, with polars and the library's functions.

Means over answers and their differences are made of the graded answers themselves, and the interval by the function of
`docs/api.md` that the row names. What rests on more than that, as a choice that is made again on resampled problems, is made
by the one function of the library that made the table, from the rows behind this number alone.

The lines are run: what a row says stands in them as a quoted constant (`!r`) and nowhere else. Only what the study file
was checked to be, as the folder of its results, stands there as it is.
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from selfdistill.foundation.errors import UserError
from selfdistill.reporting.numbers.behind import Asked, asked_by
from selfdistill.reporting.numbers.from_the_library import BY_THE_LIBRARY, fair, of_the_plan
from selfdistill.reporting.numbers.index import Number, reported_row
from selfdistill.study.study import Study
from selfdistill.tables import words

CORRECT = 'pl.col("verdict") == "correct"'
CUT = 'pl.col("finish_class").is_in(["cut", "loop"])'
FINISHED = f"~{CUT}"
# Of each answer, as a text that polars takes; `analysis/problem_means.py` says the same, and a test compares all of them.
OF_AN_ANSWER = {
    words.ACCURACY: CORRECT,
    words.UNANSWERED_RATE: 'pl.col("verdict") == "unanswered"',
    words.THINK_CLOSE_RATE: 'pl.col("think_closed")',
    words.BOXED_RATE: 'pl.col("boxed")',
    words.CUT_RATE: CUT,
    words.LOOP_RATE: 'pl.col("finish_class") == "loop"',
    words.MEAN_TOKENS: 'pl.col("n_tokens")',
    words.NO_ANSWER_RATE: 'pl.col("finish_class") == "no_answer"',
    words.RIGHT_OTHERWISE_RATE: 'pl.col("other_correct").fill_null(False)',
}


class Made(NamedTuple):
    """An estimand as means by problem, and how these are put together: of one side, or of a pair of sides."""

    means: dict[str, str]
    values: str
    weights: str = ""  # none: every problem counts alike


def _made(estimand: str, against: str) -> Made | None:
    if estimand in OF_AN_ANSWER:
        means = {"value": OF_AN_ANSWER[estimand]}
        return Made(means, 'pl.col("value") - pl.col("value_other")' if against else 'pl.col("value")')
    finished = {"right": f"({CORRECT}) & {FINISHED}", "finished": FINISHED}
    if estimand == words.WHEN_FINISHED:
        return Made(finished, 'pl.col("right")', 'pl.col("finished")')
    if estimand == words.WHEN_BOTH_FINISHED:
        gain = 'pl.col("right") * pl.col("finished_other") - pl.col("finished") * pl.col("right_other")'
        return Made(finished, gain, 'pl.col("finished") * pl.col("finished_other")')
    bounds = {"right": CORRECT, "cut": CUT}
    if estimand == words.cut_counted_for(against):
        return Made(bounds, 'pl.col("right") - pl.col("right_other") - pl.col("cut_other")')
    if estimand == words.cut_counted_for(words.THE_ARM):
        return Made(bounds, 'pl.col("right") + pl.col("cut") - pl.col("right_other")')
    return None


def lines_of(study: Study, number: Number) -> str:
    """Lines that print what the row has: the number, and where it has them the ends of its interval and p, a line each."""
    table, row = number.table, number.row
    if table == "verdicts" and number.column != "estimate":
        return "\n".join(of_the_plan(study, number))
    if table == "verdicts":
        row = reported_row(study, row)
    if table in ("verdicts", "comparisons"):
        lines = fair(study, number, row) if row["comparison"] == words.FAIR else _difference(study, number, row)
    elif table in ("levels", "solving"):
        lines = _several(study, number) if "@" in row["estimand"] else _level(study, number)
    else:
        lines = BY_THE_LIBRARY[table](study, number)
    return "\n".join(lines)


def _level(study: Study, number: Number) -> list[str]:
    row, asked = number.row, asked_by(study, number)
    made = _made(row["estimand"], "")
    if made is None:
        raise UserError(f"{number.name}: {row['estimand']} has no lines; analysis/levels.py makes it.")
    means = made.means if row["estimand"] == words.MEAN_TOKENS else made.means | {"draws": "sum"}
    total = 'mine["draws"].sum()'
    if made.weights:
        means, total = made.means | {"draws": f"({FINISHED}).sum()"}, 'mine["draws"].sum()'
    summed = "weights.sum()" if made.weights else "mine.height"
    interval = {
        words.T: "t_interval(mean)",
        words.WILSON: f"wilson_interval(values.sum(), {summed})",
        words.WILSON_EFFECTIVE: f"wilson_effective_interval(mean, {total})",
    }[row["method"]]
    return [
        *_imports(["cluster_mean", "cluster_totals"], interval.split("(")[0]),
        *_by_problem(study, asked, means),
        f"mine = by_problem({list(asked.models)!r}, {asked.decode!r})",
        f'values = mine.select(value={made.values})["value"]',
        *([f'weights = mine.select(weight={made.weights})["weight"]'] if made.weights else []),
        f'mean = cluster_mean(*cluster_totals(values, mine["family"]{", weights" if made.weights else ""}))',
        f"interval = {interval}",
        'print(mean.estimate, interval.low, interval.high, sep="\\n")',
    ]


def _several(study: Study, number: Number) -> list[str]:
    """pass@k and maj@k: a number for each problem of a model, then as any other share."""
    row, asked = number.row, asked_by(study, number)
    k = int(row["estimand"].split("@")[1])
    votes = row["estimand"].startswith(words.MAJORITY_AT)
    function = "majority_at_k" if votes else "pass_at_k"
    exact = row["method"] == words.WILSON
    interval = (
        'wilson_interval(mine["value"].sum(), mine.height)'
        if exact
        else 'wilson_effective_interval(mean, mine["draws"].sum())'
    )
    if votes:
        seconds = study.grading.seconds_per_answer
        solved = [
            f"answers = answers.with_columns(answer_classes(answers, KEYS, seconds={seconds}))",
            "votes = answers.group_by(KEYS).agg(",
            '    draws=pl.len(), right=(pl.col("answer_class") == 0).sum(), silent=pl.col("answer_class").is_null().sum(),',
            '    others=pl.col("answer_class").filter(pl.col("answer_class") > 0),',
            ")",
            "def chance(right, others, silent):",
            f"    return majority_at_k(right, tuple(sorted(others.count(each) for each in set(others))), silent, {k})",
            'values = [chance(*row) for row in votes.select("right", "others", "silent").iter_rows()]',
        ]
    else:
        solved = [
            f"votes = answers.group_by(KEYS).agg(draws=pl.len(), right=({CORRECT}).sum())",
            f'values = pass_at_k(votes["draws"].to_numpy(), votes["right"].to_numpy(), {k})',
        ]
    return [
        *_imports(["cluster_mean", "cluster_totals"], interval.split("(")[0]),
        f"from selfdistill.statistics.{'voting' if votes else 'solving'} import {function}",
        *(["from selfdistill.grading.votes import answer_classes"] if votes else []),
        'KEYS = ["model_id", "decode_id", "problem_id", "family"]',
        *_answers(study, asked, ("verdict", "extracted") if votes else ("verdict",), "asked"),
        f"answers = asked({list(asked.models)!r}, {asked.decode!r})",
        *solved,
        'mine = votes.with_columns(value=pl.Series(values)).group_by("problem_id", "family")',
        'mine = mine.agg(pl.col("value").mean(), pl.col("draws").sum())',
        'mean = cluster_mean(*cluster_totals(mine["value"], mine["family"]))',
        f"interval = {interval}",
        'print(mean.estimate, interval.low, interval.high, sep="\\n")',
    ]


def _difference(study: Study, number: Number, row: Mapping[str, Any]) -> list[str]:
    asked = asked_by(study, number)
    made = _made(row["estimand"], row["against"])
    if made is None:
        raise UserError(f"{number.name}: {row['estimand']} has no lines; analysis/differences.py makes it.")
    shares = row["method"] == words.SCORE
    of_method = row["claim"] == words.METHOD
    paired = "PairedShares.of(values, weights, mean)" if shares else "PairedMeans(mean)"
    lines = [
        *_imports(["cluster_mean", "cluster_totals"]),
        f"from selfdistill.statistics.paired import {'PairedShares' if shares else 'PairedMeans'}",
        *(["from selfdistill.statistics.trainings import of_the_method, trainings"] if of_method else []),
        *_by_problem(study, asked, made.means),
        "def difference(mine, other):",
        f'    pairs = by_problem(mine, {asked.decode!r}).join(by_problem(other, {asked.against_decode!r}), on=["problem_id", "family"], suffix="_other").sort("problem_id")',
        f"    pairs = pairs.with_columns(difference={made.values}, weight={made.weights or 'pl.lit(1.0)'})",
        '    return pairs["difference"].to_numpy(), pairs["weight"].to_numpy(), pairs["family"].to_numpy()',
        f"mine, other = {list(asked.models)!r}, {list(asked.against)!r}",
        "values, weights, family = difference(mine, other)",
        "mean = cluster_mean(*cluster_totals(values, family, weights))",
    ]
    if of_method:
        each = [
            ("[difference([one], other) for one in mine]", asked.models),
            ("[difference(mine, [one]) for one in other]", asked.against),
        ]
        trained = [text for text, models in each if "/" in models[0]]
        lines.append("code = np.unique(family, return_inverse=True)[1]")
        lines += [
            f"side_{place} = {text}\nside_{place} = trainings([one[0] for one in side_{place}], [one[1] for one in side_{place}], code)"
            for place, text in enumerate(trained, 1)
        ]
        lines.append(
            f"mean = of_the_method(mean, [{', '.join(f'(1.0, side_{place})' for place in range(1, len(trained) + 1))}])"
        )
    lines += [f"paired = {paired}", "interval = paired.interval()"]
    printed = {"estimate": "mean.estimate", "low": "interval.low", "high": "interval.high", "p_value": "paired.p()"}
    return [*lines, f'print({", ".join(printed[name] for name in number.columns)}, sep="\\n")']


def _imports(clusters: Iterable[str], interval: str = "") -> list[str]:
    found = ["import numpy as np"] if not interval else []
    found += ["import polars as pl", f"from selfdistill.statistics.clusters import {', '.join(clusters)}"]
    return [*found, *([f"from selfdistill.statistics.intervals import {interval}"] if interval else [])]


def _answers(study: Study, asked: Asked, columns: Iterable[str], name: str) -> list[str]:
    """A function of the lines: the evaluation answers of some models at a decode, on the problems of the number."""
    read = ["model_id", "problem_id", "family", "purpose", "decode_id", "split", "rank", *columns]
    which = [f'pl.col("rank") < {asked.size}'] if asked.size else []
    which += ['purpose="eval"', "decode_id=decode", *([f"split={asked.split!r}"] if asked.split != "all" else [])]
    return [
        f"def {name}(models, decode):",
        f'    files = [f"{study.results}/models/{{model}}/graded.parquet" for model in models]',
        f"    answers = pl.concat(pl.read_parquet(file, columns={read!r}) for file in files)",
        '    answers = answers.with_columns(pl.col("family").fill_null(pl.col("problem_id")))',
        f"    return answers.filter({', '.join(which)})",
    ]


def _by_problem(study: Study, asked: Asked, means: Mapping[str, str]) -> list[str]:
    """Draws are averaged within their problem, then trainings; draws themselves are added up."""
    first, then = [], []
    for name, expression in means.items():
        counted = name == "draws"
        text = "pl.len()" if expression == "sum" else expression if counted else f"({expression}).mean()"
        first.append(f"{name}={text}")
        then.append(f'pl.col("{name}").{"sum" if counted else "mean"}()')
    columns = ("verdict", "think_closed", "boxed", "finish_class", "n_tokens", "other_correct")
    needed = [name for name in columns if any(f'"{name}"' in text for text in means.values())]
    return [
        *_answers(study, asked, needed, "answers"),
        "def by_problem(models, decode):",
        f'    each = answers(models, decode).group_by("problem_id", "family", "model_id").agg({", ".join(first)})',
        f'    return each.group_by("problem_id", "family").agg({", ".join(then)}).sort("problem_id")',
    ]
