"""Two studies or more side by side: the same arms at the same decodes, paired on the test problems that all of them asked.

A decode is the same where its settings are, whatever its name. A problem is the same where its text is: its name is made of
that. What was dev in any of them is left out, because choices were made on it. Each study is held against the first: its level
less that one's, and for a trained arm its effect over its own base less the effect there.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import yaml

from selfdistill.analysis.differences import Difference, judged_row
from selfdistill.analysis.problem_means import Evaluations, Side, family_codes, pool, read_graded, unit_of
from selfdistill.foundation.errors import UserError
from selfdistill.models.lineage import RECORD
from selfdistill.study.load import typed_study
from selfdistill.study.models import resample_arms, trained_arms
from selfdistill.study.names import model_id
from selfdistill.study.study import Study
from selfdistill.tables import words
from selfdistill.tables.analysis import ACROSS_STUDIES
from selfdistill.tables.schema import conform

ESTIMANDS = {words.ACCURACY: True, words.CUT_RATE: True, words.MEAN_TOKENS: False}  # whether it is a share
BASE = "base"


@dataclass(frozen=True)
class OneOfThem:
    name: str  # how it is called here: the study's name, or its folder where two have one name
    study: Study
    evaluations: Evaluations

    def side(self, arm: str, decode: str) -> Side | None:
        """An arm at the end of its training, with all its trainings; the base, or an arm that trains nothing, as it is."""
        seeds = self.study.arms[arm].seeds if arm in trained_arms(self.study) else None
        models = (arm,) if seeds is None else tuple(model_id(arm, seed, 100) for seed in seeds)
        there = tuple(model for model in models if (model, decode) in self.evaluations.cells)
        return Side(arm, 0 if seeds is None else 100, there, decode) if there else None

    def cells(self, arm: str, decode: str) -> pl.DataFrame | None:
        """By problem of the test split; None where it was not asked."""
        side = self.side(arm, decode)
        if side is None:
            return None
        return pool([self.evaluations.cells[model, decode] for model in side.models]).filter(pl.col("split") == "test")

    @property
    def arms(self) -> list[str]:
        return [BASE, *trained_arms(self.study), *resample_arms(self.study)]


def read_studies(folders: Sequence[Path]) -> list[OneOfThem]:
    """Of folders of results."""
    studies = [_recorded(folder) for folder in folders]
    names = [study.study for study in studies]
    called = [name if names.count(name) == 1 else str(folder) for name, folder in zip(names, folders, strict=True)]
    if len(set(called)) < len(called):
        raise UserError(
            f"{next(name for name in called if called.count(name) > 1)}: is given twice; give two studies or more."
        )
    return [
        OneOfThem(name, study, _evaluations(study, folder))
        for name, study, folder in zip(called, studies, folders, strict=True)
    ]


def _recorded(folder: Path) -> Study:
    record = folder / RECORD
    try:
        content = yaml.safe_load(record.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{record}: is not there; give folders of results, or study files that have run.") from None
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise UserError(
            f"{record}: cannot be read ({type(error).__name__}); run that study again, which writes it anew."
        ) from error
    if not isinstance(content, dict):
        raise UserError(f"{record}: is no study; run that study again, which writes it anew.")
    try:
        return typed_study(content)
    except UserError as error:
        raise UserError(
            f"{record}: is of another version of this code ({error}); compare with the version that made it."
        ) from error


def _evaluations(study: Study, folder: Path) -> Evaluations:
    models = [BASE, *resample_arms(study)]
    models += [model_id(arm, seed, 100) for arm in trained_arms(study) for seed in study.arms[arm].seeds]
    tables = [str(folder / "models" / model / "graded.parquet") for model in models]
    return Evaluations.of(
        read_graded([table for table in tables if table == tables[0] or Path(table).is_file()]), study.evaluation.sizes
    )


def across_studies(studies: Sequence[OneOfThem]) -> pl.DataFrame:
    """A row for each arm, decode and estimand of each study but the first. Arms that only one of them has are not there."""
    first = studies[0]
    rows: list[dict[str, Any]] = []
    for other in studies[1:]:
        for decode, theirs in shared_decodes(first.study, other.study).items():
            for arm in (arm for arm in first.arms if arm in other.arms):
                rows += _rows(first, other, arm, decode, theirs, studies)
    if not rows:
        raise UserError(
            f"{', '.join(study.name for study in studies)}: share no test problem at a decode of the same settings, so that nothing can be "
            "held side by side; the keys in which they differ say why."
        )
    return conform(pl.DataFrame(rows, schema=ACROSS_STUDIES, strict=False), ACROSS_STUDIES, "across_studies")


def shared_decodes(first: Study, other: Study) -> dict[str, str]:
    """The decodes of the first that the other has, by its names for them."""
    theirs = {repr(sorted(decode.model_dump().items())): name for name, decode in reversed(other.decodes.items())}
    ours = {name: repr(sorted(decode.model_dump().items())) for name, decode in first.decodes.items()}
    return {name: theirs[settings] for name, settings in ours.items() if settings in theirs}


def _rows(
    first: OneOfThem, other: OneOfThem, arm: str, decode: str, theirs: str, studies: Sequence[OneOfThem]
) -> Iterator[dict[str, Any]]:
    mine, against = other.cells(arm, theirs), first.cells(arm, decode)
    everywhere = [each.cells(arm, shared_decodes(first.study, each.study).get(decode, "")) for each in studies]
    if mine is None or against is None:
        return
    mine, against, problems = _on_shared(mine, against, [cells for cells in everywhere if cells is not None])
    if not problems:
        return
    named = {
        "study": other.name,
        "against": first.name,
        "arm": arm,
        "decode_id": decode,
        "study_decode_id": theirs,
        "problems": problems,
    }
    yield from _held(named | {"what": words.LEVEL}, mine, against, [(mine, against)])
    bases = other.cells(BASE, theirs), first.cells(BASE, decode)
    if arm in trained_arms(first.study) and bases[0] is not None and bases[1] is not None:
        mine, my_base, here = _on_shared(mine, bases[0], [against])
        against, its_base, there = _on_shared(against, bases[1], [mine])
        if here == there == problems:
            yield from _held(named | {"what": words.EFFECT}, mine, against, [(mine, against), (my_base, its_base)])


def _on_shared(
    mine: pl.DataFrame, other: pl.DataFrame, everywhere: Sequence[pl.DataFrame]
) -> tuple[pl.DataFrame, pl.DataFrame, int]:
    """Both cut to the problems that all asked, in one order, with the families that join either's."""
    shared = set(mine["problem_id"]) & set(other["problem_id"])
    for cells in everywhere:
        shared &= set(cells["problem_id"])
    cut = [cells.filter(pl.col("problem_id").is_in(list(shared))).sort("problem_id") for cells in (mine, other)]
    return cut[0], cut[1], len(shared)


def _held(
    named: dict[str, Any], mine: pl.DataFrame, against: pl.DataFrame, pairs: Sequence[tuple[pl.DataFrame, pl.DataFrame]]
) -> Iterator[dict[str, Any]]:
    """The first pair's difference, less that of the second where there is one: an effect here less the effect there."""
    families, unit = family_codes(against), unit_of(against)
    for estimand, is_share in ESTIMANDS.items():
        values = [
            np.asarray(one[estimand].to_numpy() - other[estimand].to_numpy(), dtype=float) for one, other in pairs
        ]
        value = values[0] if len(values) == 1 else values[0] - values[1]
        difference = Difference(estimand, value, np.ones(len(value)), is_share, span=2.0 if len(values) > 1 else 1.0)
        row = judged_row(difference, difference.mean(families), unit)
        levels = [float(np.mean(cell[estimand].to_numpy())) for cell in (mine, against)]
        if len(pairs) > 1:
            levels = [
                levels[0] - float(np.mean(pairs[1][0][estimand].to_numpy())),
                levels[1] - float(np.mean(pairs[1][1][estimand].to_numpy())),
            ]
        kept = ("estimate", "low", "high", "p_value", "n", "unit", "method")
        yield (
            named
            | {"estimand": estimand, "level": levels[0], "against_level": levels[1]}
            | {key: row[key] for key in kept}
        )
