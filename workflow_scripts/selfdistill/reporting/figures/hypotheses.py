"""Figure of the planned differences: each with its interval, over the band that counts as no difference."""

from typing import Any

import polars as pl
from matplotlib.figure import Figure

from selfdistill.analysis.sentences import OUTCOME_IN_WORDS
from selfdistill.reporting.inputs import ReportInputs
from selfdistill.reporting.style import (
    AS_POINTS,
    INK,
    MUTED,
    arm_look,
    new_figure,
    whiskers,
)
from selfdistill.tables import words


def hypotheses(inputs: ReportInputs) -> Figure | None:
    """Forest plot: each planned difference with its interval, over the band that counts as no difference."""
    if inputs.verdicts is None or inputs.verdicts.is_empty():
        return None
    rows = inputs.verdicts.filter(pl.col("estimand") != words.MEAN_TOKENS).to_dicts()
    figure, [axes] = new_figure(8.4, 0.75 + 0.42 * len(rows))
    for place, row in enumerate(rows):
        look = arm_look(inputs.study, row["arm"])
        axes.barh(place, 2 * row["margin"], left=-row["margin"], height=0.62, color="#eef1f4", zorder=0)
        axes.errorbar(row["estimate"], place, xerr=whiskers([row]), color=look.colour, marker=look.marker, elinewidth=2)
    axes.axvline(0, color=MUTED, linewidth=0.9)
    axes.set_yticks(range(len(rows)), [_name(row) for row in rows])
    axes.tick_params(axis="y", labelcolor=INK)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.grid(axis="y", visible=False)
    axes.xaxis.set_major_formatter(AS_POINTS)
    axes.set_xlabel("difference, percentage points")
    return figure


def _name(row: dict[str, Any]) -> str:
    of_accuracy = row["estimand"] == words.ACCURACY
    return str(row["hypothesis"]) if of_accuracy else f"{row['hypothesis']} ({OUTCOME_IN_WORDS[row['estimand']]})"
