"""The few lines that make a number again, from the folder of the project, with polars and the library's functions.

Means over answers and their differences are made of the graded answers themselves by `by_problem`, and the interval by the
function that the row names, all of `docs/api.md`. What rests on more than that, as a choice that is made again on resampled problems, is made
by the one function of the library that made the table, from the rows behind this number alone.

The lines are run: what a row says stands in them as a quoted constant (`!r`) and nowhere else. Only what the study file
was checked to be, as the folder of its results, stands there as it is.
"""

from collections.abc import Mapping
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
    if made.weights:
        value, weights, exact = 'mine["right"]', ', mine["finished"]', 'mine["right"].sum(), mine["finished"].sum()'
        draws = f", draws=({FINISHED}).sum()"
    else:
        value, weights, exact, draws = 'mine["value"]', "", 'mine["value"].sum(), mine.height', ""
    interval = {
        words.T: "t_interval(mean)",
        words.WILSON: f"wilson_interval({exact})",
        words.WILSON_EFFECTIVE: 'wilson_effective_interval(mean, mine["draws"].sum())',
    }[row["method"]]
    return [
        *_imports(interval),
        f"answers = {_answers(study, asked, repr(list(asked.models)), repr(asked.decode), made.means)}",
        f"mine = by_problem(answers, {_mapping(made.means)}{draws})",
        f'mean = cluster_mean(*cluster_totals({value}, mine["family"]{weights}))',
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
        *_imports(interval, by_problem=False),
        f"from selfdistill.statistics.{'voting' if votes else 'solving'} import {function}",
        *(["from selfdistill.grading.votes import answer_classes"] if votes else []),
        'KEYS = ["model_id", "decode_id", "problem_id", "family"]',
        f"answers = {_answers(study, asked, repr(list(asked.models)), repr(asked.decode), {'votes': 'extracted'} if votes else {})}",
        'answers = answers.with_columns(pl.col("family").fill_null(pl.col("problem_id")))',
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
    values = 'found["difference"].to_numpy(), found["weight"].to_numpy()'
    paired = f"PairedShares.of({values}, mean)" if shares else "PairedMeans(mean)"
    lines = [
        *_imports(),
        f"from selfdistill.statistics.paired import {'PairedShares' if shares else 'PairedMeans'}",
        *(["from selfdistill.statistics.trainings import of_the_method, trainings"] if of_method else []),
        *(["import numpy as np"] if of_method else []),
        "def means(models, decode):",
        f"    answers = {_answers(study, asked, 'models', 'decode', made.means)}",
        f"    return by_problem(answers, {_mapping(made.means)})",
        "def paired_by_problem(mine, other):",
        f"    mine, other = means(mine, {asked.decode!r}), means(other, {asked.against_decode!r})",
        '    both = mine.join(other, on=["problem_id", "family"], suffix="_other").sort("problem_id")',
        f'    return both.select("family", difference={made.values}, weight={made.weights or "pl.lit(1.0)"})',
        f"mine, other = {list(asked.models)!r}, {list(asked.against)!r}",
        "found = paired_by_problem(mine, other)",
        'mean = cluster_mean(*cluster_totals(found["difference"], found["family"], found["weight"]))',
    ]
    if of_method:
        each = [
            ("[paired_by_problem([one], other) for one in mine]", asked.models),
            ("[paired_by_problem(mine, [one]) for one in other]", asked.against),
        ]
        trained = [text for text, models in each if "/" in models[0]]
        lines.append('code = np.unique(found["family"], return_inverse=True)[1]')
        lines += [
            f'each = {text}\nside_{place} = trainings([one["difference"].to_numpy() for one in each], [one["weight"].to_numpy() for one in each], code)'
            for place, text in enumerate(trained, 1)
        ]
        lines.append(
            f"mean = of_the_method(mean, [{', '.join(f'(1.0, side_{place})' for place in range(1, len(trained) + 1))}])"
        )
    lines += [f"paired = {paired}", "interval = paired.interval()"]
    printed = {"estimate": "mean.estimate", "low": "interval.low", "high": "interval.high", "p_value": "paired.p()"}
    return [*lines, f'print({", ".join(printed[name] for name in number.columns)}, sep="\\n")']


def _imports(interval: str = "", by_problem: bool = True) -> list[str]:
    return [
        "import polars as pl",
        *(["from selfdistill.analysis.by_problem import by_problem"] if by_problem else []),
        "from selfdistill.analysis.problem_means import read_graded",
        "from selfdistill.statistics.clusters import cluster_mean, cluster_totals",
        *([f"from selfdistill.statistics.intervals import {interval.split('(')[0]}"] if interval else []),
    ]


def _mapping(means: Mapping[str, str]) -> str:
    return f"{{{', '.join(f'{name!r}: {text}' for name, text in means.items())}}}"


def _answers(study: Study, asked: Asked, models: str, decode: str, needed: Mapping[str, str]) -> str:
    """An expression of the lines: the evaluation answers of these models at this decode, on the problems of the number."""
    more = tuple(column for column in ("extracted", "other_correct") if any(column in text for text in needed.values()))
    which = [f'pl.col("rank") < {asked.size}'] if asked.size else []
    which += [f"decode_id={decode}", *([f"split={asked.split!r}"] if asked.split != "all" else [])]
    files = f'[f"{study.results}/models/{{model}}/graded.parquet" for model in {models}]'
    return f"read_graded({files}{f', more={more!r}' if more else ''}).filter({', '.join(which)})"
