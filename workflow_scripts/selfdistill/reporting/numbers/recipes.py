"""The few lines that make a number again, from the folder of the project, with polars and the library's functions.

Means over answers and their differences are made of the graded answers themselves, and the interval by the function of
`docs/api.md` that the row names. What rests on more than that, as a choice that is made again on resampled problems, is made
by the one function of the library that made the table, from the rows behind this number alone.

The lines are run: what a row says stands in them as a quoted constant (`!r`) and nowhere else. Only what the study file
was checked to be, as the folder of its results, stands there as it is.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from selfdistill.foundation.errors import UserError
from selfdistill.models.lineage import RECORD
from selfdistill.reporting.numbers.behind import Asked, asked_by, gradients_of, models_of, probes_of
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
        return "\n".join(_of_the_plan(study, number))
    if table == "verdicts":
        row = reported_row(study, row)
    if table in ("verdicts", "comparisons"):
        lines = _fair(study, number, row) if row["comparison"] == words.FAIR else _difference(study, number, row)
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


# What the library makes.


def _study_lines(study: Study) -> list[str]:
    return [
        "from pathlib import Path",
        "import polars as pl",
        "from selfdistill.study.load import study_of",
        f'study = study_of(Path("{study.results}/{RECORD}"))',
    ]


def _graded_lines(study: Study, models: Sequence[str], more: Sequence[str] = ()) -> list[str]:
    files = [f"{study.results}/models/{model}/graded.parquet" for model in dict.fromkeys(models)]
    return [
        "from selfdistill.analysis.problem_means import read_graded",
        f"graded = read_graded({files!r}{f', more={tuple(more)!r}' if more else ''})",
    ]


_OF_A_PAIR = ("estimand", "arm", "percent", "against")


def _printed(columns: Sequence[str], row: Mapping[str, Any], table: str, told_by: Sequence[str]) -> list[str]:
    """The last lines: the one row of the table that is meant."""
    which = [
        f"pl.col({name!r}).is_null()" if row[name] is None else f"pl.col({name!r}) == {row[name]!r}"
        for name in told_by
        if name in row
    ]
    return [f"row = {table}.filter({', '.join(which)})", f'print(*row.select({list(columns)!r}).row(0), sep="\\n")']


WHICH = (
    "estimand", "model_id", "arm", "percent", "training_seed", "decode_id", "against", "against_decode_id", "split", "budget",
    "comparison", "claim", "base_answer", "cap", "grouping", "group", "marker", "without", "tokens", "scale",
)  # fmt: skip


def _fair(study: Study, number: Number, row: Mapping[str, Any]) -> list[str]:
    """The choice of decodes is made again on resampled dev problems; both sides at every decode that they may choose."""
    asked = asked_by(study, number)
    return [
        *_study_lines(study),
        "from selfdistill.analysis.comparisons import compare",
        "from selfdistill.analysis.pairing import planned",
        "from selfdistill.analysis.problem_means import Evaluations",
        *_graded_lines(study, _every_training(study, row, asked)),
        "evaluations = Evaluations.of(graded, study.evaluation.sizes)",
        'asked = [each for each in planned(evaluations, study.evaluation, study.hypotheses) if each.kind == "fair"]',
        "rows = [row for each in asked for row in compare(evaluations, each, study.evaluation.resamples, study.seed)]",
        "table = pl.DataFrame(rows, infer_schema_length=None)",
        *_printed(number.columns, row, "table", (*_OF_A_PAIR, "training_seed", "comparison", "claim")),
    ]


def _every_training(study: Study, row: Mapping[str, Any], asked: Asked) -> list[str]:
    """The choice is that of all trainings together, of one training too."""
    return [*models_of(study, row["arm"], row["percent"]), *models_of(study, row["against"], row["percent"])] or [
        *asked.models
    ]


def _of_the_plan(study: Study, number: Number) -> list[str]:
    return [
        *_study_lines(study),
        "from selfdistill.analysis.verdicts import verdicts",
        f'compared = pl.read_parquet("{study.results}/analysis/comparisons.parquet")',
        "table = verdicts(compared, study.hypotheses, study.arms, study.decodes)",
        *_printed(number.columns, number.row, "table", ("hypothesis", "role")),
    ]


def _factorial(study: Study, number: Number) -> list[str]:
    asked = asked_by(study, number)
    return [
        *_study_lines(study),
        "from selfdistill.analysis.factorial import factorial",
        *_graded_lines(study, [*asked.models, *asked.against]),
        "table = factorial(graded, study.arms, study.decodes, study.evaluation)",
        *_printed(number.columns, number.row, "table", ("estimand", "decode_id", "split", "budget")),
    ]


def _truncation(study: Study, number: Number) -> list[str]:
    asked = asked_by(study, number)
    models = list(dict.fromkeys((*asked.models, *asked.against, "base")))
    place = ("truncation", "token_budgets").index(number.table)
    return [
        *_study_lines(study),
        "from selfdistill.analysis.truncation import truncation",
        "from selfdistill.sampling.asked import noises_shared",
        *_graded_lines(study, models),
        "caps = {name: decode.max_tokens for name, decode in study.decodes.items()}",
        f"noises = noises_shared(study, {models!r})",
        f"table = truncation(graded, study.evaluation.sizes, caps, study.evaluation.resamples, study.seed, noises)[{place}]",
        *_printed(number.columns, number.row, "table", WHICH),
    ]


def _difficulty(study: Study, number: Number) -> list[str]:
    asked = asked_by(study, number)
    shared = study.evaluation.coupling == "shared"
    return [
        *_study_lines(study),
        "from selfdistill.analysis.difficulty import difficulty",
        *(["from selfdistill.sampling.asked import asked_of"] if shared else []),
        *_graded_lines(study, [*asked.models, *asked.against], ("level", "source")),
        *([f"noises = {{model: asked_of(study, model).noises for model in {list(asked.models)!r}}}"] if shared else []),
        f"table = difficulty(graded, study.evaluation{', noises' if shared else ''})",
        *_printed(number.columns, number.row, "table", WHICH),
    ]


def _grader(study: Study, number: Number) -> list[str]:
    asked = asked_by(study, number)
    return [
        *_study_lines(study),
        "from selfdistill.analysis.grader import grader_panel",
        *_graded_lines(study, [*asked.models, *asked.against], ("reason", "lenient", "disputed")),
        "table = grader_panel(graded, study.evaluation)",
        *_printed(number.columns, number.row, "table", WHICH),
    ]


def _doubt(study: Study, number: Number) -> list[str]:
    """Bins of length, and how many first tokens count, are chosen by the answers of all models."""
    row, asked = number.row, asked_by(study, number)
    of_all = row["estimand"] in (words.SAME_LENGTHS_RATE, words.FIRST_TOKENS_RATE)
    models = "evaluated(study)" if of_all else repr(list(dict.fromkeys((*asked.models, *asked.against))))
    ratios = number.table == "doubt_ratios"
    return [
        *_study_lines(study),
        f"from selfdistill.analysis.doubt import {'doubt_ratios' if ratios else 'doubt_levels'}",
        "from selfdistill.analysis.doubt_counts import counted",
        "from selfdistill.analysis.doubt_measures import Doubted",
        "from selfdistill.doubt.counting import Markers",
        "from selfdistill.models.pieces import tokenizer_of",
        *(["from selfdistill.study.models import evaluated"] if of_all else []),
        f'files = [f"{study.results}/models/{{model}}/graded.parquet" for model in {models}]',
        "markers, tokenizer = Markers(study.doubt), tokenizer_of(Path(study.model.path))",
        "doubted = Doubted.of(counted(files, markers, tokenizer, study.model.thinks), markers, study.evaluation)",
        f"table = {'doubt_ratios(doubted, study.evaluation, study.hypotheses)' if ratios else 'doubt_levels(doubted)'}",
        *_printed(number.columns, number.row, "table", WHICH),
    ]


def _noise(study: Study, number: Number) -> list[str]:
    run = number.row["run"]
    arm = run.split("/")[0]
    by_sequence = ", by_sequence=True" if study.arms[arm].method else ""
    return [
        "import polars as pl",
        "from selfdistill.analysis.noise import noise_steps, noise_summary",
        f"noise = pl.read_parquet({f'{study.results}/runs/{run}/noise.parquet'!r})",
        f"table = noise_summary(noise_steps(noise{by_sequence}), beta1={study.recipe(arm).beta1!r}, seed={study.seed})",
        *_printed(number.columns, number.row, "table", ("window", "group", "geometry")),
    ]


def _noise_probe(study: Study, number: Number) -> list[str]:
    row = number.row
    return [
        "import polars as pl",
        "from selfdistill.mechanism.gradient_noise import of_checkpoints",
        f"products = pl.read_parquet({f'{study.results}/{gradients_of(row)}'!r})",
        f"table = of_checkpoints({{({row['arm']!r}, {row['training_seed']!r}, {row['percent']!r}): products}}, {study.seed})",
        *_printed(number.columns, number.row, "table", ("part",)),
    ]


def _mechanism(study: Study, number: Number) -> list[str]:
    models = probes_of(study, number.row)
    return [
        *_study_lines(study),
        "from selfdistill.mechanism.classes import doubt_ids",
        "from selfdistill.mechanism.tabulate import tabulated",
        "from selfdistill.models.pieces import tokenizer_of",
        f'classes = pl.read_parquet("{study.results}/analysis/token_classes.parquet")',
        f'probes = {{model: Path(f"{study.results}/mechanism/probes/{{model}}.parquet") for model in {models!r}}}',
        "doubt = doubt_ids(tokenizer_of(Path(study.model.path)), study.mechanism.doubt)",
        "tables = tabulated(classes, probes, study.mechanism, study.decodes, study.arms, study.evaluation.decodes.final, doubt)",
        *_printed(
            number.columns,
            number.row,
            f"tables.{number.table}",
            ("measure", "token_class", "arm", "decode_id", "carriers", "position_kind"),
        ),
    ]


def _depth(study: Study, number: Number) -> list[str]:
    model = number.row["model_id"]
    return [
        *_study_lines(study),
        "from selfdistill.mechanism.depths import depth_by_class",
        f'classes = pl.read_parquet("{study.results}/analysis/token_classes.parquet")',
        f"depths = pl.read_parquet({f'{study.results}/mechanism/depths/{model}.parquet'!r})",
        "table = depth_by_class(classes, depths, study.mechanism.classes.least)",
        *_printed(
            number.columns, number.row, "table", ("measure", "token_class", "model_id", "carriers", "position_kind")
        ),
    ]


BY_THE_LIBRARY: dict[str, Callable[[Study, Number], list[str]]] = {
    "factorial": _factorial,
    "truncation": _truncation,
    "token_budgets": _truncation,
    "difficulty": _difficulty,
    "grader": _grader,
    "doubt": _doubt,
    "doubt_ratios": _doubt,
    "noise_summary": _noise,
    "noise_probe": _noise_probe,
    "mechanism": _mechanism,
    "ssd_fit": _mechanism,
    "depth": _depth,
}
