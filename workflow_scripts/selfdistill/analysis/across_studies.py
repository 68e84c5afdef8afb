"""Two studies or more side by side: the same arms at the same decodes, paired on the test problems that all of them asked.

A decode is the same where its settings are, whatever its name. A problem is the same where its text is: its name is made of
that. What was dev in any of them is left out, because choices were made on it. Each study is held against the first: its level
less that one's; for a trained arm its effect over its own base less the effect there; and where a hypothesis sets two arms
against each other, the difference of these arms less their difference there. As within a study, a row speaks of these
checkpoints, and beside it stands one of the method where every trained side has two trainings or more.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import yaml
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from selfdistill.analysis.differences import Difference, judged_row
from selfdistill.analysis.problem_means import Evaluations, Side, read_graded
from selfdistill.analysis.what_made import what_made
from selfdistill.foundation.errors import UserError
from selfdistill.models.lineage import RECORD
from selfdistill.statistics.clusters import Array
from selfdistill.statistics.trainings import of_the_method, trainings
from selfdistill.study.load import typed_study
from selfdistill.study.models import resample_arms, trained_arms
from selfdistill.study.names import model_id
from selfdistill.study.study import Study
from selfdistill.tables import words
from selfdistill.tables.analysis import ACROSS_STUDIES, VERDICTS
from selfdistill.tables.schema import conform
from selfdistill.tables.whole import read_table

ESTIMANDS = {words.ACCURACY: True, words.CUT_RATE: True, words.MEAN_TOKENS: False}  # whether it is a share
BASE = "base"


@dataclass(frozen=True)
class OneOfThem:
    name: str  # how it is called here: the study's name, or its folder where two have one name
    study: Study
    evaluations: Evaluations
    verdicts: pl.DataFrame  # VERDICTS; without rows where the study has none yet
    made: dict[str, str] = field(default_factory=dict)  # what made its results

    def side(self, arm: str, decode: str) -> Side | None:
        """An arm at the end of its training, with all its trainings; the base, or an arm that trains nothing, as it is."""
        seeds = self.study.arms[arm].seeds if arm in trained_arms(self.study) else None
        models = (arm,) if seeds is None else tuple(model_id(arm, seed, 100) for seed in seeds)
        there = tuple(model for model in models if (model, decode) in self.evaluations.cells)
        return Side(arm, 0 if seeds is None else 100, there, decode) if there else None

    def cells(self, arm: str, decode: str) -> list[pl.DataFrame]:
        """By problem of the test split, of each training; none where it was not asked."""
        side = self.side(arm, decode)
        models = side.models if side else ()
        return [self.evaluations.cells[model, decode].filter(pl.col("split") == "test") for model in models]

    @property
    def arms(self) -> list[str]:
        return [BASE, *trained_arms(self.study), *resample_arms(self.study)]


def read_studies(folders: Sequence[Path]) -> list[OneOfThem]:
    """Of folders of results."""
    places: dict[Path, Path] = {}
    for folder in folders:
        if (before := places.setdefault(folder.resolve(), folder)) is not folder:
            also = f", as {before} too" if before != folder else ""
            raise UserError(f"{folder}: is given twice{also}; give two studies or more.")
    studies = [_recorded(folder) for folder in folders]
    names = [study.study for study in studies]
    called = [name if names.count(name) == 1 else str(folder) for name, folder in zip(names, folders, strict=True)]
    return [
        OneOfThem(
            name,
            study,
            _evaluations(study, folder),
            _verdicts(folder),
            what_made(folder, _graded_models(study, folder)),
        )
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


def _graded_models(study: Study, folder: Path) -> list[str]:
    """The base, without which there is nothing, and whatever of the others was graded."""
    models = resample_arms(study)
    models += [model_id(arm, seed, 100) for arm in trained_arms(study) for seed in study.arms[arm].seeds]
    return [BASE, *(model for model in models if _answers_of(model, folder).is_file())]


def _answers_of(model: str, folder: Path) -> Path:
    return folder / "models" / model / "graded.parquet"


def _evaluations(study: Study, folder: Path) -> Evaluations:
    tables = [str(_answers_of(model, folder)) for model in _graded_models(study, folder)]
    return Evaluations.of(read_graded(tables), study.evaluation.sizes)


def _verdicts(folder: Path) -> pl.DataFrame:
    table = folder / "analysis" / "verdicts.parquet"
    return read_table(table, VERDICTS) if table.is_file() else pl.DataFrame(schema=VERDICTS)


def across_studies(studies: Sequence[OneOfThem]) -> pl.DataFrame:
    """A row for each arm, decode and estimand of each study but the first. Arms that only one of them has are not there."""
    first = studies[0]
    rows: list[dict[str, Any]] = []
    for other in studies[1:]:
        for decode, theirs in shared_decodes(first.study, other.study).items():
            for arm, over in held(first, other):
                rows += _rows(arm, over, decode, theirs, studies, other)
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


def held(first: OneOfThem, other: OneOfThem) -> Iterator[tuple[str, str | None]]:
    """Each arm of both by itself, over the base where it was trained, and over the arms that a hypothesis sets against it."""
    hypotheses = [hypothesis for each in (first, other) for hypothesis in each.study.hypotheses.values()]
    for arm in (arm for arm in first.arms if arm in other.arms):
        yield arm, None
        asked = [hypothesis.against for hypothesis in hypotheses if hypothesis.arm == arm]
        trained = [BASE] if all(arm in trained_arms(each.study) for each in (first, other)) else []
        for over in dict.fromkeys([*trained, *(name for name in asked if name != BASE)]):
            if over != arm and over in first.arms and over in other.arms:
                yield arm, over


@dataclass(frozen=True)
class Term:
    """One of the sides that a number adds up: with which sign, whether it was trained, and its trainings by problem."""

    sign: float
    trained: bool
    each: list[pl.DataFrame]

    def on(self, problems: pl.DataFrame) -> "Term":
        return Term(
            self.sign,
            self.trained,
            [cell.join(problems, on="problem_id", how="semi").sort("problem_id") for cell in self.each],
        )

    def values(self, estimand: str) -> list[Array]:
        return [np.asarray(cell[estimand].to_numpy(), dtype=float) for cell in self.each]


def _rows(
    arm: str, over: str | None, decode: str, theirs: str, studies: Sequence[OneOfThem], other: OneOfThem
) -> Iterator[dict[str, Any]]:
    first = studies[0]
    sides = [name for name in (arm, over) if name is not None]
    called = {id(each): shared_decodes(first.study, each.study).get(decode, "") for each in studies}
    terms = [
        Term(sign * part, name in trained_arms(each.study), each.cells(name, called[id(each)]))
        for each, sign in ((other, 1.0), (first, -1.0))
        for name, part in zip(sides, (1.0, -1.0), strict=False)
    ]
    if not all(term.each for term in terms):
        return
    asked = [cell for term in terms for cell in term.each] + [
        cell for each in studies for name in sides for cell in each.cells(name, called[id(each)])
    ]
    problems = asked[0].select("problem_id")
    for cell in asked[1:]:
        problems = problems.join(cell, on="problem_id", how="semi")
    if problems.is_empty():
        return
    what = words.LEVEL if over is None else words.EFFECT if over == BASE else words.BETWEEN_ARMS
    named = {
        "study": other.name, "against": first.name, "what": what, "arm": arm, "over": over, "decode_id": decode,
        "study_decode_id": theirs, "problems": problems.height,
    }  # fmt: skip
    yield from (named | row for row in held_against([term.on(problems) for term in terms]))


def held_against(terms: Sequence[Term]) -> Iterator[dict[str, Any]]:
    """The sum of the terms by problem, those of the other study first: a difference, or one of two differences."""
    families = joined_families([term.each[0] for term in terms])
    problems = len(families)
    unit = words.PROBLEM if families.max() + 1 == problems else words.FAMILY
    ones, half = np.ones(problems), len(terms) // 2
    for estimand, is_share in ESTIMANDS.items():
        parts = [term.sign * np.mean(term.values(estimand), axis=0) for term in terms]
        difference = Difference(estimand, np.sum(parts, axis=0), ones, is_share, span=float(half))
        mean = difference.mean(families)
        sides = [
            (term.sign, trainings(term.values(estimand), [ones] * len(term.each), families))
            for term in terms
            if term.trained
        ]
        method = of_the_method(mean, sides)
        levels = [float(np.sum(parts[:half], axis=0).mean()), -float(np.sum(parts[half:], axis=0).mean())]
        counted = [min((len(t.each) for t in side if t.trained), default=0) for side in (terms[:half], terms[half:])]
        named = {"estimand": estimand, "level": levels[0], "against_level": levels[1]}
        named |= {"training_seeds": counted[0], "against_training_seeds": counted[1]}
        claims = [(words.CHECKPOINTS, mean)] + [(words.METHOD, method)] * math.isfinite(method.standard_error)
        for claim, of in claims:
            row = judged_row(difference, of, unit)
            yield named | {"claim": claim} | {key: row[key] for key in KEPT}


KEPT = ("estimate", "low", "high", "p_value", "n", "unit", "method", "standard_error", "degrees_of_freedom")


def joined_families(cells: Sequence[pl.DataFrame]) -> Array:
    """Of each problem the number of its family: problems are of one that are of one in any of the studies."""
    problems = cells[0].height
    names = [np.unique(cell["family"].to_numpy(), return_inverse=True)[1] for cell in cells]
    starts = np.cumsum([problems, *(int(codes.max()) + 1 for codes in names)])[:-1]
    ends = np.concatenate([start + codes for start, codes in zip(starts, names, strict=True)])
    whole = problems + sum(int(codes.max()) + 1 for codes in names)
    links = coo_matrix((np.ones(len(ends)), (np.tile(np.arange(problems), len(cells)), ends)), shape=(whole, whole))
    labels = connected_components(links, directed=False)[1]
    codes: Array = np.unique(labels[:problems], return_inverse=True)[1]
    return codes


# What a hypothesis asks, and each study's own verdict on it; None where it does not ask.
Finding = tuple[dict[str, Any], list[dict[str, Any] | None]]


def findings(studies: Sequence[OneOfThem]) -> list[Finding]:
    """What hypotheses of any of the studies ask, once."""
    asked: dict[tuple[str, ...], Finding] = {}
    for place, each in enumerate(studies):
        ours = {theirs: name for name, theirs in shared_decodes(studies[0].study, each.study).items()}
        for row in each.verdicts.filter(pl.col("role") == words.HYPOTHESIS).to_dicts():
            decode = words.FAIR if row["comparison"] == words.FAIR else ours.get(row["decode_id"], row["decode_id"])
            key = (row["arm"], row["against"], row["estimand"], decode, row["question"])
            asked.setdefault(key, (row | {"decode_id": decode}, [None] * len(studies)))[1][place] = row
    return list(asked.values())
