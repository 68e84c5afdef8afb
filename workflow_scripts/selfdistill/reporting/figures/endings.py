"""Figure of how answers end. How long they take is in `truncation.py`."""

import numpy as np
import polars as pl
from matplotlib.figure import Figure

from selfdistill.reporting.inputs import ReportInputs, arm_names
from selfdistill.reporting.select import (
    truncation_rows,
)
from selfdistill.reporting.style import (
    AS_PERCENT,
    FINISH_COLOURS,
    INK,
    figure_legend,
    new_figure,
)


def endings(inputs: ReportInputs) -> Figure | None:
    """How each model's answers ended."""
    graded = truncation_rows(inputs)
    if graded.is_empty():
        return None
    decode = graded["decode_id"][0]
    arms = [arm for arm in arm_names(inputs.study) if arm in graded["arm"].unique().to_list()]
    figure, [axes] = new_figure(8.4, 0.9 + 0.34 * len(arms))
    starts = np.zeros(len(arms))
    for finish, colour in FINISH_COLOURS.items():
        shares = np.array([share_of(graded, arm, finish) for arm in arms])
        axes.barh(range(len(arms)), shares, left=starts, color=colour, height=0.66, label=finish.replace("_", " "))
        starts += shares
    axes.set_yticks(range(len(arms)), arms)
    axes.tick_params(axis="y", labelcolor=INK)
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)
    axes.set_xlim(0, 1)
    axes.xaxis.set_major_formatter(AS_PERCENT)
    axes.set_title(f"how answers end, at {decode}")
    figure_legend(figure, axes)
    return figure


def share_of(graded: pl.DataFrame, arm: str, finish: str) -> float:
    ends = graded.filter(pl.col("arm") == arm)["finish_class"]
    return int((ends == finish).sum()) / max(1, len(ends))
