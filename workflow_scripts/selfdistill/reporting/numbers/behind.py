"""What lies behind a number: which models, which problems, and the rows that it is made of."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from selfdistill.foundation.errors import UserError
from selfdistill.reporting.numbers.index import Number, reported_row
from selfdistill.study.evaluation import size_of
from selfdistill.study.factorial import factorial_cells
from selfdistill.study.models import evaluated, probed
from selfdistill.study.names import model_id, parse_model_id
from selfdistill.study.study import Study
from selfdistill.tables import words
from selfdistill.tables.mechanism import GRADIENT_PRODUCTS, TOKEN_CLASSES
from selfdistill.tables.sampling import GRADED, LATER_GRADED
from selfdistill.tables.training import NOISE
from selfdistill.tables.whole import read_table

SHOWN = ("problem_id", "draw", "finish_class", "extracted", "gold", "verdict", "n_tokens")
OF_PROBES = ("mechanism", "ssd_fit", "depth")


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
