"""What lies behind a number: which models, which problems, and the rows that it is made of."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from selfdistill.analysis.audit.sheet import judgements
from selfdistill.analysis.information import scored
from selfdistill.analysis.practice import OF_UPDATES
from selfdistill.foundation.errors import UserError
from selfdistill.reporting.numbers.index import Number, reported_row
from selfdistill.study.evaluation import size_of
from selfdistill.study.factorial import factorial_cells
from selfdistill.study.ladder_models import climbers, contexts_of_rungs, rungs_of, source_of_climber
from selfdistill.study.models import evaluated, probed
from selfdistill.study.names import model_id, parse_model_id
from selfdistill.study.study import Study
from selfdistill.tables import words
from selfdistill.tables.analysis import AUDIT_KEY
from selfdistill.tables.annotation import JUDGEMENTS
from selfdistill.tables.ladder import INFORMATION_TEXTS, LOGPROBS
from selfdistill.tables.mechanism import BRANCH_LOSSES, DISAGREEMENTS, GRADIENT_PRODUCTS, TOKEN_CLASSES
from selfdistill.tables.practice import ROLLOUTS, UPDATES
from selfdistill.tables.sampling import GRADED, LATER_GRADED
from selfdistill.tables.training import COHERENCE, NOISE
from selfdistill.tables.whole import read_table

SHOWN = ("problem_id", "draw", "finish_class", "extracted", "gold", "verdict", "n_tokens")
ROLLED_SHOWN = (
    "generation", "step", "problem_id", "draw", "finish_class", "verdict", "reward", "n_tokens", "logprob", "doubts", "looping",
)  # fmt: skip
OF_PROBES = ("mechanism", "ssd_fit", "depth")
OF_THE_BASE_TOO = (words.JUDGED_DIFFERENCE, words.MARKERS_DIFFERENCE)
Rows = Iterator[tuple[str, pl.DataFrame]]


@dataclass(frozen=True)
class Asked:
    """Of a number of answers: whose, at which decodes, on which problems."""

    models: tuple[str, ...]
    against: tuple[str, ...]  # none of a level
    decode: str
    against_decode: str
    size: int | None  # of the ranking; None: all of it
    split: str


def asked_by(study: Study, number: Number) -> Asked:
    row = reported_row(study, number.row) if number.table == "verdicts" else number.row
    if number.table == "variance":
        mine, other = (models_of(study, row[name], 100) or (row[name],) for name in ("arm", "against"))
        size = _size(study, row["budget"])
        return Asked(mine, other, row["decode_id"], row["against_decode_id"], size, row["split"])
    if number.table == "factorial":
        cells = (model for arm in _cells(study) for model in models_of(study, arm, 100))
        return Asked(
            tuple(cells), ("base",), row["decode_id"], row["decode_id"], _size(study, row["budget"]), row["split"]
        )
    seed = row.get("training_seed")
    one = seed is not None or row["model_id"] in evaluated(study)
    models = (row["model_id"],) if one else models_of(study, row["arm"], row["percent"])
    against = models_of(study, row["against"], row["percent"]) if row.get("against") else ()
    if seed is not None and len(against) > 1:
        against = tuple(model for model in against if parse_model_id(model).training_seed == seed)
    other = row.get("against_decode_id") or row["decode_id"]
    return Asked(models, against, row["decode_id"], other, _size(study, row["budget"]), row["split"])


def models_of(study: Study, arm: str, percent: int) -> tuple[str, ...]:
    """The evaluated models of an arm at a point of training; of one that trains nothing, itself."""
    there = set(evaluated(study))
    if arm not in study.arms or study.arms[arm].resample:
        return (arm,) if arm in there else ()
    models = (model_id(arm, seed, at) for at in dict.fromkeys((percent, 100)) for seed in study.arms[arm].seeds)
    found = [model for model in models if model in there]
    same = [model for model in found if parse_model_id(model).percent == percent]
    return tuple(same or found)


def _cells(study: Study) -> tuple[str, ...]:
    cells = factorial_cells(study.arms, study.decodes)
    return cells.arms if cells else ()


def _size(study: Study, budget: str) -> int | None:
    sizes = study.evaluation.sizes
    if budget not in sizes:
        raise UserError(
            f"{budget}: is a mixture of problems with draws of its own, which no few lines choose again; the rule levels does, "
            "and its rows stand in analysis/levels.parquet."
        )
    return size_of(sizes[budget], 0) or None


def rows_behind(study: Study, number: Number) -> Iterator[tuple[str, pl.DataFrame]]:
    """File by file."""
    results = Path(study.results)
    if number.table == "noise_summary":
        file = results / "runs" / number.row["run"] / "noise.parquet"
        yield str(file), read_table(file, NOISE)
    elif number.table == "noise_probe":
        file = results / gradients_of(number.row)
        yield str(file), read_table(file, GRADIENT_PRODUCTS)
    elif number.table in OF_PROBES:
        file = results / "analysis/token_classes.parquet"
        classes = read_table(file, TOKEN_CLASSES)
        known = number.row["token_class"] in words.TOKEN_CLASSES
        yield str(file), classes.filter(token_class=number.row["token_class"]) if known else classes
    elif number.table in ("ladder", "ladder_tests"):
        yield from _on_rungs(study, number)
    elif number.table in FILES_OF:
        yield from FILES_OF[number.table](study, number.row)
    else:
        yield from _answers(study, asked_by(study, number))


def gradients_of(row: dict[str, Any]) -> str:
    return f"mechanism/gradients/{row['arm']}/at-{row['percent']:03d}.parquet"


def probes_of(study: Study, row: dict[str, Any]) -> list[str]:
    """The base, the arm's models, those of its null, and of an arm whose target the row is about."""
    everyone = probed(study)
    arms = dict.fromkeys(model.split("/")[0] for model in everyone if model != "base")
    asks = next((arm for arm in arms if study.arms[arm].decode == row["decode_id"]), None)
    needed = {row["arm"], row.get("null"), asks}
    if row["arm"] not in arms or row["measure"] == words.FIT_BEYOND_NULL:
        return everyone
    return [model for model in everyone if model == "base" or model.split("/")[0] in needed]


def _answers(study: Study, asked: Asked) -> Iterator[tuple[str, pl.DataFrame]]:
    sides = dict.fromkeys(asked.models, asked.decode)
    shown: list[tuple[str, str]] = [*sides.items(), *((model, asked.against_decode) for model in asked.against)]
    for model, decode in dict.fromkeys(shown):
        file = Path(study.results) / "models" / model / "graded.parquet"
        columns = ("model_id", "purpose", "decode_id", "split", "rank", *SHOWN)
        wanted = [pl.col("purpose") == "eval", pl.col("decode_id") == decode]
        wanted += [pl.col("split") == asked.split] if asked.split != "all" else []
        wanted += [pl.col("rank") < asked.size] if asked.size else []
        graded = read_table(file, GRADED, columns, LATER_GRADED).filter(*wanted)
        yield str(file), graded.sort("rank", "draw").select("model_id", *SHOWN)


def _on_rungs(study: Study, number: Number) -> Rows:
    """Of a level or a difference its rungs; of a test, and of a p that is adjusted for other tests, all that they rest on. A
    problem counts where it has answers on every rung of its climber."""
    row = number.row
    tests, every = "test" in row, "test" in row or number.column == "p_adjusted"
    for climber in climbers(study) if tests else [row["model_id"]]:
        rungs = dict(zip(contexts_of_rungs(study), rungs_of(study, climber), strict=True))
        files = {context: f"{study.results}/models/{name}/graded.parquet" for context, name in rungs.items()}
        answers = {
            context: read_table(file, GRADED, ("model_id", *SHOWN), LATER_GRADED) for context, file in files.items()
        }
        whole = set.intersection(*(set(table["problem_id"]) for table in answers.values()))
        for context in files if every else [context for context in (row["context"], row["against"]) if context]:
            yield files[context], answers[context].filter(pl.col("problem_id").is_in(whole))


def _told(study: Study, row: Mapping[str, Any]) -> Rows:
    texts, logprobs = texts_of(study, row)
    found = scored(read_table(texts, INFORMATION_TEXTS), read_table(logprobs, LOGPROBS))
    yield texts, found.filter(context=row["context"], measure=row["measure"]).drop("told", "untold")


def texts_of(study: Study, row: Mapping[str, Any]) -> tuple[str, str]:
    folder = f"{study.results}/ladder/{source_of_climber(row['model_id'])}"
    return f"{folder}/texts.parquet", f"{folder}/logprobs.parquet"


def runs_of(study: Study, row: Mapping[str, Any]) -> list[str]:
    """The training of a row, or all of the arm."""
    seed = row.get("training_seed")
    return [f"{row['arm']}/seed-{one}" for one in ([seed] if seed is not None else study.arms[row["arm"]].seeds)]


def _rolled(study: Study, row: Mapping[str, Any]) -> Rows:
    """Of what is counted in answers the rollouts; of what an update reports the updates; of a cost both."""
    measure = row.get("measure")
    kinds = ("updates",) if measure in OF_UPDATES else ("rollouts",) if measure else ("rollouts", "updates")
    for run in runs_of(study, row):
        for kind in kinds:
            file = f"{study.results}/runs/{run}/{kind}.parquet"
            found = read_table(file, ROLLOUTS, ROLLED_SHOWN) if kind == "rollouts" else read_table(file, UPDATES)
            yield file, found.filter(_generations(row)).select(pl.lit(run).alias("run"), pl.all())


def _generations(row: Mapping[str, Any]) -> pl.Expr:
    """That of a level; of a change the first and the last ones."""
    number = pl.col("generation")
    if "generation" in row:
        return number == row["generation"]
    return (number == 1) | (number > number.max() - row["generations"]) if row.get("measure") else pl.lit(True)


def _norms(study: Study, row: Mapping[str, Any]) -> Rows:
    for run in runs_of(study, row):
        file = f"{study.results}/runs/{run}/noise.parquet"
        yield file, read_table(file, NOISE).select(pl.lit(run).alias("run"), pl.all())


def _judged(study: Study, row: Mapping[str, Any]) -> Rows:
    file = f"{study.results}/annotation/judgements.parquet"
    models = [row["model_id"], "base"] if row["measure"] in OF_THE_BASE_TOO else [row["model_id"]]
    yield file, read_table(file, JUDGEMENTS).filter(pl.col("model_id").is_in(models)).drop("prompt")


def _read_again(study: Study, row: Mapping[str, Any]) -> Rows:
    file, name = f"{study.results}/disagreement/tokens.parquet", row["name"]
    tokens = read_table(file, DISAGREEMENTS).filter(reader=row["reader"])
    column = {words.BY_TOKEN: "piece", words.BY_WORD: "word", words.BY_DOUBT: "marker"}[row["grouping"]]
    together = {
        (words.BY_TOKEN, words.EVERY_TOKEN): pl.lit(True),
        (words.BY_DOUBT, words.EVERY_DOUBT): pl.col("marker").is_not_null(),
        (words.BY_DOUBT, words.NO_DOUBT): pl.col("marker").is_null(),
    }
    found = tokens.filter(together.get((row["grouping"], name), pl.col(column) == name))
    if row["place"] == words.FIRST_TOKEN:
        found = found.filter("first_of_marker" if column == "marker" else "first")
    yield file, found


def _audited(study: Study, row: Mapping[str, Any]) -> Rows:
    """What a person said of each audited answer, and whose it is."""
    file = f"{study.results}/audit/key.parquet"
    key = read_table(file, AUDIT_KEY)
    filled = study.evaluation.audit.filled
    said = judgements(Path(filled), key) if filled else None
    found = key if said is None else key.join(said, on="row")
    sides = [row[name] for name in ("side", "arm", "against") if name in row]
    found = found.filter(pl.col("side").is_in(sides))
    yield file, found.filter(kind=row["kind"]) if "kind" in row else found


def _paths(study: Study, row: Mapping[str, Any]) -> Rows:
    file = f"{study.results}/runs/{row['run']}/coherence.parquet"
    window = read_table(file, COHERENCE).filter(first_step=row["first_step"], last_step=row["last_step"])
    yield file, window if row["group"] == words.TOTAL else window.filter(group=row["group"])


def _branched(study: Study, row: Mapping[str, Any]) -> Rows:
    file = f"{study.results}/mechanism/branch_losses.parquet"
    losses = read_table(file, BRANCH_LOSSES)
    which = {name: row[name] for name in ("batch", "examples", "seed") if row[name] is not None}
    yield file, losses if row["estimand"] == words.HELD_OUT_DIFFERENCE else losses.filter(**which)


FILES_OF: dict[str, Callable[[Study, Mapping[str, Any]], Rows]] = {
    "information": _told,
    "practice": _rolled,
    "practice_changes": _rolled,
    "practice_cost": _rolled,
    "practice_signal": _norms,
    "annotation": _judged,
    "context_kl": _read_again,
    "corrected": _audited,
    "grader_errors": _audited,
    "coherence": _paths,
    "branches": _branched,
}
