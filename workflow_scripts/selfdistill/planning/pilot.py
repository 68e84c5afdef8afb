"""A finished study, or a trial of one, as the pilot of another: the components of its errors in place of stated figures.

What the pilot compared itself is taken as it was; another comparison is taken to be like the pilot's of the same kind, arm
against base or arm against arm. Estimates below 0 count as 0.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

from selfdistill.analysis.components import components_of
from selfdistill.foundation.errors import UserError
from selfdistill.planning.figures import Figures
from selfdistill.planning.power import answers_a_problem, couples, is_trained
from selfdistill.statistics.components import Components, Design, SideComponents
from selfdistill.study.evaluation import Hypothesis
from selfdistill.study.study import Study
from selfdistill.tables import words
from selfdistill.tables.analysis import VARIANCE
from selfdistill.tables.whole import read_table

Row = dict[str, Any]

CELL = ("arm", "decode_id", "against", "against_decode_id", "comparison")


@dataclass(frozen=True)
class Pilot:
    variance: pl.DataFrame  # of accuracy
    training_sd: float | None  # where the pilot trained once
    draw_correlation: float | None  # where the pilot did not share noise

    def components(self, study: Study, hypothesis: Hypothesis) -> Components:
        found, design = components_of(self._rows(study, hypothesis))
        sides = (found.side, is_trained(study, hypothesis.arm)), (found.other, is_trained(study, hypothesis.against))
        side, other = (self._side(part, trained) for part, trained in sides)
        coupled = found.coupled
        if not design.is_coupled:
            coupled = (self.draw_correlation or 0.0) * math.sqrt(side.draws * other.draws)
            side, other = (replace(part, shared=coupled) for part in (side, other))
        return replace(found, problems=max(0.0, found.problems), side=side, other=other, coupled=coupled)

    def design(self, study: Study, hypothesis: Hypothesis, problems: float) -> Design:
        _, design = components_of(self._rows(study, hypothesis))
        side, other = (answers_a_problem(study, arm) for arm in (hypothesis.arm, hypothesis.against))
        families = (design.families or design.problems) * problems / design.problems
        return replace(
            design, problems=problems, families=families, side=side, other=other, is_coupled=couples(study, hypothesis)
        )

    def _side(self, part: SideComponents, trained: bool) -> SideComponents:
        between = 0.0
        if trained:
            of_one = math.isnan(part.trainings) or part.trainings == 0.0
            between = (self.training_sd or math.nan) ** 2 if of_one else max(0.0, part.trainings)
        return replace(part, trainings=between, by_training=max(0.0, part.by_training))

    def _rows(self, study: Study, hypothesis: Hypothesis) -> list[Row]:
        """Of the closest comparison of the pilot: each wish is dropped where nothing answers it."""
        cells = [rows.to_dicts() for rows in self.variance.partition_by(*CELL, maintain_order=True)]
        twin = not is_trained(study, hypothesis.arm)
        wishes: list[Callable[[Row], bool]] = [
            lambda row: (row["how"] == words.NOT_TRAINED) == twin,  # the first row is that of the arm's trainings
            lambda row: (row["against"] == "base") == (hypothesis.against == "base"),
            lambda row: bool(row["arm"] == hypothesis.arm),
            lambda row: bool(row["comparison"] == hypothesis.comparison),
            lambda row: bool(row["against"] == hypothesis.against),
            lambda row: hypothesis.decode in (None, row["decode_id"]),
        ]
        for wish in wishes:
            cells = [rows for rows in cells if wish(rows[0])] or cells
        return cells[0]


def pilot_of(results: Path, figures: Figures) -> Pilot:
    file = results / "analysis/variance.parquet"
    if not file.is_file():
        raise UserError(f"{file}: is not there, so {results} is no pilot; run that study to its report first.")
    variance = read_table(file, VARIANCE).filter(pl.col("estimand") == words.ACCURACY)
    variance = variance.filter(pl.col("tells_draws"))
    if variance.is_empty():
        raise UserError(
            f"{file}: each problem was answered once on both sides, which cannot tell problems from draws; give a pilot with two "
            "draws (evaluation.draws)."
        )
    figure = {key: figures.value(key) if figures.has(key) else None for key in ("training_sd", "draw_correlation")}
    return Pilot(variance, figure["training_sd"], figure["draw_correlation"])
