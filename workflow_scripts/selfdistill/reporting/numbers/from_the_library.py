"""The lines that make a number again by the function of the library that made its table, from the rows behind it alone.

What a row says stands in them as a quoted constant (`!r`), as in `recipes.py`.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from selfdistill.models.lineage import RECORD
from selfdistill.reporting.numbers.behind import (
    Asked,
    asked_by,
    gradients_of,
    models_of,
    probes_of,
    runs_of,
    texts_of,
)
from selfdistill.reporting.numbers.index import Number
from selfdistill.study.ladder_models import climbers, contexts_of_rungs, rungs_of
from selfdistill.study.models import evaluated, learns_of
from selfdistill.study.names import parse_model_id
from selfdistill.study.study import Study
from selfdistill.tables import words


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


LONG = 110  # characters of a line
_OF_A_PAIR = ("estimand", "arm", "percent", "against")


def _printed(columns: Sequence[str], row: Mapping[str, Any], table: str, told_by: Sequence[str]) -> list[str]:
    """The last lines: the one row of the table that is meant."""
    which = [
        f"pl.col({name!r}).is_null()" if row[name] is None else f"pl.col({name!r}) == {row[name]!r}"
        for name in told_by
        if name in row
    ]
    asked = f"row = {table}.filter({', '.join(which)})"
    lines = [asked] if len(asked) <= LONG else [f"row = {table}.filter(", *(f"    {each}," for each in which), ")"]
    return [*lines, f'print(*row.select({list(columns)!r}).row(0), sep="\\n")']


WHICH = (
    "estimand", "model_id", "arm", "percent", "training_seed", "decode_id", "against", "against_decode_id", "split", "budget",
    "comparison", "claim", "base_answer", "cap", "grouping", "group", "marker", "without", "tokens", "scale",
)  # fmt: skip


def fair(study: Study, number: Number, row: Mapping[str, Any]) -> list[str]:
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


def of_the_plan(study: Study, number: Number) -> list[str]:
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


def _ladder(study: Study, number: Number) -> list[str]:
    """Of one climber all rungs, for a problem counts where it has answers on each; of a test all climbers, for Holm."""
    tests = number.table == "ladder_tests"
    of = climbers(study) if tests else [number.row["model_id"]]
    names = [name for climber in of for name in rungs_of(study, climber)]
    return [
        *_study_lines(study),
        "from selfdistill.analysis.ladder import ladder",
        "from selfdistill.analysis.ladder_answers import answers_on_rungs",
        "from selfdistill.study.ladder_models import contexts_of_rungs, rungs_asked",
        f'files = [f"{study.results}/models/{{name}}/graded.parquet" for name in {names!r}]',
        f"answers = answers_on_rungs(files, rungs_asked(study, {of!r}), study.doubt)",
        f"table = ladder(answers, contexts_of_rungs(study), study.doubt.names).{'tests' if tests else 'ladder'}",
        *_printed(number.columns, number.row, "table", ("model_id", "measure", "test", "word", "context", "against")),
    ]


def _information(study: Study, number: Number) -> list[str]:
    texts, logprobs = texts_of(study, number.row)
    return [
        "import polars as pl",
        "from selfdistill.analysis.information import information",
        f"texts, logprobs = pl.read_parquet({texts!r}), pl.read_parquet({logprobs!r})",
        f"table = information([(texts, logprobs)], {contexts_of_rungs(study)!r})",
        *_printed(number.columns, number.row, "table", ("model_id", "context", "measure")),
    ]


def _practice(study: Study, number: Number) -> list[str]:
    row = number.row
    module, function = {
        "practice": ("practice", "practice"),
        "practice_changes": ("practice_changes", "practice_changes"),
        "practice_cost": ("practice", "costs"),
    }[number.table]
    runs = dict.fromkeys(runs_of(study, row), study.practice_of(row["arm"]).rollouts)
    replaying = [run for run in runs if learns_of(study, run)]
    return [
        "import polars as pl",
        f"from selfdistill.analysis.{module} import {function}",
        "from selfdistill.analysis.practice_runs import practised",
        f"runs = {runs!r}  # and how many rollouts are a group",
        f'files = [[f"{study.results}/runs/{{run}}/{{kind}}.parquet" for run in runs] for kind in ("rollouts", "updates", "log")]',
        f'table = {function}(practised(runs, "{study.results}/problems/train.parquet", *files, replaying={replaying!r}))',
        *_printed(number.columns, row, "table", ("arm", "training_seed", "generation", "measure", "claim")),
    ]


def _practice_signal(study: Study, number: Number) -> list[str]:
    runs = runs_of(study, number.row)
    return [
        "import polars as pl",
        "from selfdistill.analysis.noise import noise_of_runs",
        "from selfdistill.analysis.practice_signal import practice_signal",
        f"runs, seed = {runs!r}, {study.seed}",
        f'noise = {{run: pl.read_parquet(f"{study.results}/runs/{{run}}/noise.parquet") for run in runs}}',
        f"steps = noise_of_runs(noise, dict.fromkeys(runs, {study.recipe(number.row['arm']).beta1!r}), seed, by_sequence=runs).steps",
        "table = practice_signal(steps, runs, seed)",
        *_printed(number.columns, number.row, "table", ("arm", "window")),
    ]


def _annotation(study: Study, number: Number) -> list[str]:
    return [
        "import polars as pl",
        "from selfdistill.annotation.agreement import agreement",
        f'judged = pl.read_parquet("{study.results}/annotation/judgements.parquet")',
        f"table = agreement(judged, {[number.row['model_id']]!r})",
        *_printed(number.columns, number.row, "table", ("model_id", "measure")),
    ]


def _context_kl(study: Study, number: Number) -> list[str]:
    row = number.row
    markers = [row["name"]] if row["grouping"] == words.BY_DOUBT else []
    shown = study.disagreement.shown if study.disagreement else 0
    return [
        "import polars as pl",
        "from selfdistill.mechanism.where import where",
        f'tokens = pl.read_parquet("{study.results}/disagreement/tokens.parquet")',
        f"table = where(tokens.filter(reader={row['reader']!r}), {markers!r}, {shown})",
        *_printed(number.columns, row, "table", ("grouping", "name", "place")),
    ]


def _variance(study: Study, number: Number) -> list[str]:
    row, asked = number.row, asked_by(study, number)
    return [
        *_study_lines(study),
        "from selfdistill.analysis.components import variance_components",
        *_graded_lines(study, [*asked.models, *asked.against]),
        "table = variance_components(graded, study.arms, study.evaluation, study.hypotheses)",
        *_printed(
            number.columns,
            row,
            "table",
            (
                "estimand",
                "arm",
                "against",
                "decode_id",
                "against_decode_id",
                "comparison",
                "split",
                "budget",
                "part",
                "of",
            ),
        ),
    ]


def _audited(study: Study, number: Number) -> list[str]:
    """How far the grader usually errs is told by all models that were audited."""
    errors = number.table == "grader_errors"
    models = [model for model in evaluated(study) if parse_model_id(model).percent in (0, 100)]
    return [
        *_study_lines(study),
        "from selfdistill.analysis.audit.corrected import Audit, corrected_effects, grader_errors",
        "from selfdistill.analysis.audit.sheet import judgements",
        *_graded_lines(study, models, ("request_id", "reason", "lenient", "disputed")),
        f'key = pl.read_parquet("{study.results}/audit/key.parquet")',
        "audit = Audit.of(graded, study.evaluation, key, judgements(Path(study.evaluation.audit.filled), key))",
        f"table = {'grader_errors(audit)' if errors else 'corrected_effects(graded, study.evaluation, audit)'}",
        *_printed(number.columns, number.row, "table", ("arm", "decode_id", "side", "kind")),
    ]


def _coherence(study: Study, number: Number) -> list[str]:
    run = number.row["run"]
    return [
        "import polars as pl",
        "from selfdistill.analysis.coherence import path_coherence",
        f"paths = pl.read_parquet({f'{study.results}/runs/{run}/coherence.parquet'!r})",
        f"table = path_coherence(paths, beta1={study.recipe(run.split('/')[0]).beta1!r})",
        *_printed(number.columns, number.row, "table", ("first_step", "last_step", "group")),
    ]


def _branches(study: Study, number: Number) -> list[str]:
    branches = study.mechanism.branches if study.mechanism else None
    return [
        "import polars as pl",
        "from selfdistill.mechanism.trade_off import trade_off",
        f'losses = pl.read_parquet("{study.results}/mechanism/branch_losses.parquet")',
        f"table = trade_off(losses, {study.recipe(branches.arm).batch if branches else 0})",
        *_printed(number.columns, number.row, "table", ("estimand", "batch", "examples", "seed")),
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
    "ladder": _ladder,
    "ladder_tests": _ladder,
    "information": _information,
    "practice": _practice,
    "practice_changes": _practice,
    "practice_cost": _practice,
    "practice_signal": _practice_signal,
    "annotation": _annotation,
    "context_kl": _context_kl,
    "variance": _variance,
    "corrected": _audited,
    "grader_errors": _audited,
    "coherence": _coherence,
    "branches": _branches,
}
