"""Figure of lengths and truncation: how answers end, and how many tokens they take."""

import numpy as np
import polars as pl
from matplotlib.figure import Figure

from selfdistill.reporting.inputs import ReportInputs, arm_names
from selfdistill.reporting.select import (
    truncation_rows,
)
from selfdistill.reporting.style import (
    AS_COUNT,
    AS_PERCENT,
    FINISH_COLOURS,
    INK,
    arm_look,
    figure_legend,
    new_figure,
)


def lengths(inputs: ReportInputs) -> Figure | None:
    """Left: how each model's answers ended. Right: the share of answers no longer than a number of tokens."""
    graded = truncation_rows(inputs)
    if graded.is_empty():
        return None
    decode = graded["decode_id"][0]
    arms = [arm for arm in arm_names(inputs.study) if arm in graded["arm"].unique().to_list()]
    figure, [left, right] = new_figure(8.4, 0.9 + max(2.3, 0.34 * len(arms)), 1, 2, width_ratios=[1.15, 1])
    starts = np.zeros(len(arms))
    for finish, colour in FINISH_COLOURS.items():
        shares = np.array([share_of(graded, arm, finish) for arm in arms])
        left.barh(range(len(arms)), shares, left=starts, color=colour, height=0.66, label=finish.replace("_", " "))
        starts += shares
    left.set_yticks(range(len(arms)), arms)
    left.tick_params(axis="y", labelcolor=INK)
    left.invert_yaxis()
    left.grid(axis="y", visible=False)
    left.set_xlim(0, 1)
    left.xaxis.set_major_formatter(AS_PERCENT)
    left.set_title(f"how answers end, at {decode}")
    figure_legend(figure, left)
    for arm in arms:
        lengths = graded.filter(pl.col("arm") == arm)["n_tokens"].sort().to_numpy()
        look = arm_look(inputs.study, arm)
        quantiles = np.linspace(0, 1, 101)
        right.plot(np.quantile(lengths, quantiles), quantiles, color=look.colour, linestyle=look.dash, linewidth=1.3)
    right.set_title("share of answers up to a length")
    right.set_xlabel("tokens")
    right.xaxis.set_major_formatter(AS_COUNT)
    right.set_xlim(left=0)
    right.yaxis.set_major_formatter(AS_PERCENT)
    handles = [right.plot([], [], **arm_look(inputs.study, arm).line(marker=""))[0] for arm in arms]
    right.legend(handles, arms, loc="lower right", fontsize=7.5)
    return figure


def share_of(graded: pl.DataFrame, arm: str, finish: str) -> float:
    ends = graded.filter(pl.col("arm") == arm)["finish_class"]
    return int((ends == finish).sum()) / max(1, len(ends))
