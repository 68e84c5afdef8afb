"""The numbers of a report by a name each, the rows of answers behind one, and a few lines of polars that make it again.

A level is `accuracy:ssd/seed-0/at-100:t07`: what, of whom, at which decode. A difference from another model has that behind a
minus: `accuracy:ssd/seed-0/at-100-base:t07`. Other problems than the test problems of the full budget are said behind that:
`accuracy:base:t07:quick:dev`. The answer to a hypothesis goes by the name of the hypothesis.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from selfdistill.foundation.errors import UserError
from selfdistill.foundation.suggestions import suggested
from selfdistill.study.evaluation import size_of
from selfdistill.study.models import evaluated
from selfdistill.study.names import model_id, parse_model_id
from selfdistill.study.study import Study
from selfdistill.tables import words
from selfdistill.tables.analysis import COMPARISONS, ESTIMATES, VERDICTS
from selfdistill.tables.sampling import GRADED, LATER_GRADED
from selfdistill.tables.whole import read_table

# Of each answer, as a text that polars takes; `analysis/problem_means.py` says the same, and a test compares all of them.
OF_AN_ANSWER = {
    words.ACCURACY: 'pl.col("verdict") == "correct"',
    words.UNANSWERED_RATE: 'pl.col("verdict") == "unanswered"',
    words.THINK_CLOSE_RATE: 'pl.col("think_closed")',
    words.BOXED_RATE: 'pl.col("boxed")',
    words.CUT_RATE: 'pl.col("finish_class").is_in(["cut", "loop"])',
    words.LOOP_RATE: 'pl.col("finish_class") == "loop"',
    words.MEAN_TOKENS: 'pl.col("n_tokens")',
}
USUAL = ("full", "test")
SHOWN = ("problem_id", "draw", "finish_class", "extracted", "gold", "verdict", "n_tokens")


@dataclass(frozen=True)
class Number:
    name: str
    table: str  # under the results
    estimate: float | None
    low: float | None
    high: float | None
    n: int
    unit: str
    estimand: str
    models: tuple[str, ...]
    against: tuple[str, ...]  # none of a level
    decode: str
    budget: str
    split: str
    said: str = ""  # the sentence of a verdict

    @property
    def can_be_redone(self) -> bool:
        return self.estimand in OF_AN_ANSWER and bool(self.models)


def numbers(study: Study) -> dict[str, Number]:
    """Verdicts first, then levels and differences as they stand in their tables."""
    room = Path(study.results) / "analysis"
    verdicts = read_table(room / "verdicts.parquet", VERDICTS)
    comparisons = read_table(room / "comparisons.parquet", COMPARISONS)
    levels = read_table(room / "levels.parquet", ESTIMATES)
    found = [
        *(_verdict(study, row) for row in verdicts.iter_rows(named=True)),
        *(_row(study, row, "levels") for row in levels.iter_rows(named=True)),
        *(
            _row(study, row, "comparisons")
            for row in comparisons.filter(
                (pl.col("comparison") == words.MATCHED) & (pl.col("leads") | pl.col("training_seed").is_not_null())
            ).iter_rows(named=True)
        ),
    ]
    return {number.name: number for number in reversed(found)}


def number_of(study: Study, name: str) -> Number:
    found = numbers(study)
    if name not in found:
        raise UserError(
            f"{name!r}: the report of {study.study} has no such number; {suggested(name, list(found))} forklock redo lists all."
        )
    return found[name]


def _verdict(study: Study, row: Mapping[str, Any]) -> Number:
    """Of a fair comparison the decodes were chosen, and it is the mean over the choices: no one decode makes it again."""
    matched = row["comparison"] == words.MATCHED
    models = _models(study, row["arm"], 100) if matched else ()
    against = _models(study, row["against"], 100) if matched else ()
    return Number(
        row["hypothesis"], "analysis/verdicts.parquet", row["estimate"], row["low"], row["high"], row["n"], row["unit"],
        row["estimand"], models, against, row["decode_id"], "full", "test", row["sentence"],
    )  # fmt: skip


def _row(study: Study, row: Mapping[str, Any], table: str) -> Number:
    models = _models(study, row["arm"], row["percent"]) if row["training_seed"] is None else (row["model_id"],)
    against = _models(study, row["against"], row["percent"]) if row["against"] else ()
    if row["training_seed"] is not None and len(against) > 1:
        against = tuple(model for model in against if parse_model_id(model).training_seed == row["training_seed"])
    whom = f"{row['model_id']}-{row['against']}" if row["against"] else row["model_id"]
    place = (row["budget"], row["split"])
    name = ":".join([row["estimand"], whom, row["decode_id"], *(place if place != USUAL else ())])
    return Number(
        name, f"analysis/{table}.parquet", row["estimate"], row["low"], row["high"], row["n"], row["unit"], row["estimand"],
        models, against, row["decode_id"], *place,
    )  # fmt: skip


def _models(study: Study, arm: str, percent: int) -> tuple[str, ...]:
    """The evaluated models of an arm at a point of training; of one that trains nothing, itself."""
    if arm not in study.arms or study.arms[arm].resample:
        return (arm,) if arm in evaluated(study) else ()
    there = set(evaluated(study))
    return tuple(model for seed in study.arms[arm].seeds if (model := model_id(arm, seed, percent)) in there)


def lines_of(study: Study, number: Number) -> str:
    """Lines that print the number, from the folder of the project, with polars alone."""
    if not number.can_be_redone:
        raise UserError(
            f"{number.name}: is no plain mean over answers ({number.estimand}), so that no few lines make it again; docs/statistics.md says how it is made."
        )
    lines = ["import polars as pl"]
    for side, models in (("mine", number.models), ("other", number.against)):
        if models:
            tables = [f"{study.results}/models/{model}/graded.parquet" for model in models]
            lines.append(
                f"{side} = pl.concat(pl.read_parquet(table, columns={_columns(number)!r}) for table in {tables!r}).filter({_which(study, number)})"
            )
            by_problem = f'group_by("problem_id", "model_id").agg(value=({OF_AN_ANSWER[number.estimand]}).mean()).group_by("problem_id").agg(pl.col("value").mean())'
            lines.append(f"{side} = {side}.{by_problem}")
    ends = 'mine["value"].mean()'
    lines.append(f"print({ends}{' - other[' + repr('value') + '].mean()' if number.against else ''})")
    return "\n".join(lines)


def _columns(number: Number) -> list[str]:
    needed = {"verdict", "think_closed", "boxed", "finish_class", "n_tokens"}
    said = OF_AN_ANSWER[number.estimand]
    return [
        "model_id",
        "problem_id",
        "purpose",
        "decode_id",
        "split",
        "rank",
        *sorted(name for name in needed if f'"{name}"' in said),
    ]


def _which(study: Study, number: Number) -> str:
    split = f', split="{number.split}"' if number.split != "all" else ""
    size = _size(study, number.budget)
    return (
        f'pl.col("rank") < {size}, purpose="eval", decode_id="{number.decode}"{split}'
        if size
        else f'purpose="eval", decode_id="{number.decode}"{split}'
    )


def _size(study: Study, budget: str) -> int | None:
    """How many problems of the ranking; None where it is all of them."""
    sizes = study.evaluation.sizes
    if budget not in sizes:
        raise UserError(
            f"{budget}: is a mixture of problems with draws of its own; the rows of its levels stand in analysis/levels.parquet."
        )
    return size_of(sizes[budget], 0) or None


def rows_of(study: Study, number: Number) -> Iterator[pl.DataFrame]:
    """The answers behind a number, a table for each model."""
    size = _size(study, number.budget)
    for model in dict.fromkeys((*number.models, *number.against)):
        graded = read_table(
            Path(study.results) / "models" / model / "graded.parquet",
            GRADED,
            ("model_id", "purpose", "decode_id", "split", "rank", *SHOWN),
            LATER_GRADED,
        )
        wanted = (
            (pl.col("purpose") == "eval")
            & (pl.col("decode_id") == number.decode)
            & (pl.lit(number.split == "all") | (pl.col("split") == number.split))
        )
        wanted = wanted & (pl.col("rank") < size) if size else wanted
        yield graded.filter(wanted).sort("rank", "draw").select("model_id", *SHOWN)
