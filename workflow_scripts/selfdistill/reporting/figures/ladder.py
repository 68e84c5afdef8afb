"""Figures of the ladder: what a model writes the more it is told, and which words of doubt go."""

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from selfdistill.foundation.wording import count
from selfdistill.reporting.inputs import ReportInputs
from selfdistill.reporting.ladder import climbers, contexts, ladder_rows
from selfdistill.reporting.style import (
    ARM_COLOURS,
    ARM_MARKERS,
    AS_COUNT,
    AS_PERCENT,
    arm_look,
    figure_legend,
    new_figure,
    whiskers,
)
from selfdistill.study.names import parse_model_id
from selfdistill.tables import words

PANELS = {
    words.ACCURACY: "right answers",
    words.MEAN_TOKENS: "tokens of an answer",
    words.DOUBTS: words.DOUBTS,
    words.DOUBT_RATE: f"doubts per {count(1000)} tokens",
}


def ladder(inputs: ReportInputs) -> Figure | None:
    """Each measure along the rungs, a line for each climber."""
    if not climbers(inputs):
        return None
    figure, axes = new_figure(8.4, 5.2, 2, 2)
    rungs = contexts(inputs)
    for panel, (measure, title) in zip(axes, PANELS.items(), strict=True):
        for position, model in enumerate(climbers(inputs)):
            _climb(panel, inputs, model, measure, 0.06 * (position - (len(climbers(inputs)) - 1) / 2))
        panel.set_title(title)
        panel.set_xticks(range(len(rungs)), rungs, rotation=20, ha="right")
        panel.set_xlim(-0.4, len(rungs) - 0.6)
        panel.set_ylim(bottom=0)
        panel.yaxis.set_major_formatter(AS_PERCENT if measure == words.ACCURACY else AS_COUNT)
    if len(climbers(inputs)) > 1:
        figure_legend(figure, axes[0])
    return figure


def _climb(axes: Axes, inputs: ReportInputs, model: str, measure: str, shift: float) -> None:
    rows = (
        ladder_rows(inputs, model)
        .filter(pl.col("measure") == measure, pl.col("against").is_null())
        .sort("rung")
        .to_dicts()
    )
    look = arm_look(inputs.study, parse_model_id(model).arm)
    axes.errorbar(
        [row["rung"] + shift for row in rows],
        [row["estimate"] for row in rows],
        yerr=whiskers(rows),
        label=model,
        elinewidth=0.9,
        **look.line(),
    )


def ladder_words(inputs: ReportInputs) -> Figure | None:
    """Each word of doubt by itself on every rung, of the first climber."""
    if inputs.ladder is None or not climbers(inputs):
        return None
    rows = inputs.ladder.filter(
        pl.col("model_id") == climbers(inputs)[0],
        pl.col("word").is_not_null(),
        pl.col("measure") == words.DOUBTS,
        pl.col("against").is_null(),
    )
    most = rows.group_by("word").agg(pl.col("estimate").max()).filter(pl.col("estimate") > 0).sort("estimate", "word")
    if most.is_empty():
        return None
    shown, rungs = most["word"].to_list(), contexts(inputs)
    figure, (panel,) = new_figure(8.4, 1.3 + 0.34 * len(shown))
    for place, context in enumerate(rungs):
        here = {row["word"]: row for row in rows.filter(pl.col("context") == context).iter_rows(named=True)}
        height = 0.6 * (place / max(1, len(rungs) - 1) - 0.5)
        points = [here[word] for word in shown]
        panel.errorbar(
            [row["estimate"] for row in points],
            [level - height for level in range(len(shown))],
            xerr=whiskers(points),
            linestyle="none",
            color=ARM_COLOURS[place % len(ARM_COLOURS)],
            marker=ARM_MARKERS[place % len(ARM_MARKERS)],
            markersize=3.5,
            elinewidth=0.9,
            label=context,
        )
    panel.set_yticks(range(len(shown)), shown)
    panel.set_xlim(left=0)
    panel.set_xlabel(words.DOUBTS)
    figure_legend(figure, panel)
    return figure
