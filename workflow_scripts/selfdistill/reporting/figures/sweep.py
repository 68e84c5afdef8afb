"""Figure of the temperature of evaluation: accuracy, and how many answers the token cap cut."""

from typing import Any

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from selfdistill.reporting.inputs import ReportInputs, arm_names
from selfdistill.reporting.select import (
    pooled_first,
    sweep_levels,
)
from selfdistill.reporting.style import (
    AS_PERCENT,
    arm_look,
    figure_legend,
    new_figure,
    whiskers,
)
from selfdistill.tables import words


def sweep(inputs: ReportInputs) -> Figure | None:
    """Accuracy and cut rate against the temperature of evaluation, base and every finished arm."""
    if sweep_levels(inputs, words.ACCURACY).is_empty():
        return None
    figure, axes = new_figure(8.4, 3.6, 1, 2)
    for panel, (estimand, title) in zip(
        axes, ((words.ACCURACY, "accuracy"), (words.CUT_RATE, "answers cut by the token cap")), strict=True
    ):
        table = sweep_levels(inputs, estimand)
        arms = [arm for arm in arm_names(inputs.study) if arm in table["arm"].unique().to_list()]
        for position, arm in enumerate(arms):
            shift = 0.010 * (position - (len(arms) - 1) / 2)
            _draw_temperatures(panel, inputs.study, table.filter(pl.col("arm") == arm), arm, shift)
        panel.set_title(title)
        panel.set_xlabel("temperature of evaluation")
        panel.yaxis.set_major_formatter(AS_PERCENT)
    axes[1].set_ylim(bottom=0)
    figure_legend(figure, axes[0])
    return figure


def _draw_temperatures(axes: Axes, study: dict[str, Any], levels: pl.DataFrame, arm: str, shift: float) -> None:
    """A strong line with intervals for the arm (over its training seeds, if several), pale ones for its seeds."""
    look = arm_look(study, arm)
    for place, model in enumerate(pooled_first(levels)):
        rows = model.to_dicts()
        rows.sort(key=lambda row: study["decodes"][row["decode_id"]]["temperature"])
        at = [study["decodes"][row["decode_id"]]["temperature"] + shift for row in rows]
        estimates = [row["estimate"] for row in rows]
        if place:
            axes.plot(at, estimates, **look.line(alpha=0.4))
        else:
            axes.errorbar(at, estimates, yerr=whiskers(rows), label=arm, elinewidth=0.9, **look.line())
