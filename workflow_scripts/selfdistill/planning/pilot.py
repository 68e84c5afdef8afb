"""A finished study, or a trial of one, as the pilot of another: the components of its errors in place of stated figures.

What the pilot compared itself is taken as it was; another comparison is taken to be like the pilot's of the same kind, arm
against base or arm against arm. Estimates below 0 count as 0.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl

from selfdistill.analysis.components import components_of
from selfdistill.foundation.errors import UserError
from selfdistill.planning.figures import Figures
from selfdistill.planning.power import answers_a_problem, couples, is_trained
from selfdistill.statistics.components import Components, Design
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
    _known: dict[tuple[str | None, ...], tuple[Components, Design]] = field(default_factory=dict, repr=False)

    @cached_property
    def between_trainings(self) -> dict[str, list[float]]:
        """Of every arm that the pilot trained more than once, at each decode, against the base."""
        rows = self.variance.filter(
            pl.col("variance").is_not_null(), how=words.MEASURED, part=words.BETWEEN_TRAININGS, of=words.THE_ARM,
            comparison=words.MATCHED, against="base",
        )  # fmt: skip
        return {
            str(arm): found["variance"].to_list() for (arm,), found in rows.partition_by("arm", as_dict=True).items()
        }

    def components(self, study: Study, hypothesis: Hypothesis) -> Components:
        found, design = self._found(study, hypothesis)
        side, other = (
            replace(part, by_training=max(0.0, part.by_training), trainings=self._between_trainings(study, arm))
            for part, arm in ((found.side, hypothesis.arm), (found.other, hypothesis.against))
        )
        coupled = found.coupled
        if not design.is_coupled:
            coupled = (self.draw_correlation or 0.0) * math.sqrt(side.draws * other.draws)
            side, other = (replace(part, shared=coupled) for part in (side, other))
        return replace(found, problems=max(0.0, found.problems), side=side, other=other, coupled=coupled)

    def design(self, study: Study, hypothesis: Hypothesis, problems: float) -> Design:
        _, design = self._found(study, hypothesis)
        side, other = (answers_a_problem(study, arm) for arm in (hypothesis.arm, hypothesis.against))
        families = (design.families or design.problems) * problems / design.problems
        return replace(
            design, problems=problems, families=families, side=side, other=other, is_coupled=couples(study, hypothesis)
        )

    def _between_trainings(self, study: Study, arm: str) -> float | None:
        """τ², on average over the pilot's decodes, of this arm or else of all: each alone has next to no degrees of freedom."""
        if not is_trained(study, arm):
            return None
        of_arm = self.between_trainings.get(arm) or [
            each for found in self.between_trainings.values() for each in found
        ]
        if not of_arm:
            return math.nan if self.training_sd is None else self.training_sd**2
        return max(0.0, sum(of_arm) / len(of_arm))

    def _found(self, study: Study, hypothesis: Hypothesis) -> tuple[Components, Design]:
        asked = (hypothesis.arm, hypothesis.against, hypothesis.comparison, hypothesis.decode)
        if asked not in self._known:
            self._known[asked] = components_of(self._rows(study, hypothesis))
        return self._known[asked]

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
