"""Figure of a judge's counts against counted words: differences over means, as Bland and Altman draw them."""

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from selfdistill.reporting.inputs import ReportInputs
from selfdistill.reporting.select import there
from selfdistill.reporting.style import INK, MUTED, arm_look, new_figure
from selfdistill.study.names import parse_model_id
from selfdistill.tables import words
from selfdistill.tables.annotation import ANNOTATION, JUDGEMENTS

MOST = 6  # panels


def judge_and_words(inputs: ReportInputs) -> Figure | None:
    read = there(inputs.judgements, JUDGEMENTS).filter(pl.col("pass") == 1).drop_nulls("judged")
    models = read["model_id"].unique(maintain_order=True).to_list()[:MOST]
    if not models:
        return None
    figure, panels = new_figure(min(8.4, 1.2 + 2.4 * len(models)), 2.6, 1, len(models), sharex=True, sharey=True)
    for panel, model in zip(panels, models, strict=True):
        mine = read.filter(pl.col("model_id") == model)
        means, differences = (mine["judged"] + mine["markers"]) / 2, mine["judged"] - mine["markers"]
        look = arm_look(inputs.study, parse_model_id(model).arm)
        panel.plot(means, differences, linestyle="none", marker="o", color=look.colour, alpha=0.5, markeredgewidth=0)
        _limits(panel, there(inputs.annotation, ANNOTATION).filter(pl.col("model_id") == model))
        panel.set_title(model, fontsize=8)
        panel.set_xlabel("mean of both counts")
    panels[0].set_ylabel("judge less words")
    return figure


def _limits(panel: Axes, rows: pl.DataFrame) -> None:
    for measure, colour, dash in (
        (words.BIAS, INK, "-"),
        (words.LOWER_LIMIT, MUTED, (0, (4, 2))),
        (words.UPPER_LIMIT, MUTED, (0, (4, 2))),
    ):
        for value in rows.filter(pl.col("measure") == words.with_markers(measure))["estimate"].drop_nulls():
            panel.axhline(value, color=colour, linestyle=dash, linewidth=1)
