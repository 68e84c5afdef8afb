"""Figures of the token cap: what every smaller cap would have given, and how long answers take to finish."""

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from selfdistill.reporting.inputs import ReportInputs, arm_names, has_rows
from selfdistill.reporting.style import (
    AS_COUNT,
    AS_PERCENT,
    AS_POINTS,
    INK,
    arm_look,
    new_figure,
)
from selfdistill.reporting.truncation import budget_curve, truncation_decode
from selfdistill.tables import words

MOST_PANELS = 9


def token_budgets(inputs: ReportInputs) -> Figure | None:
    """Left: accuracy under every smaller cap. Right: the share of answers that are still unfinished by then."""
    decode = truncation_decode(inputs)
    if decode is None or not has_rows(inputs.token_budgets):
        return None
    figure, axes = new_figure(8.4, 3.6, 1, 2)
    for panel, (estimand, title, label) in zip(
        axes,
        (
            (words.ACCURACY, f"accuracy under a smaller token cap, at {decode}", "token cap"),
            (words.CUT_RATE, "answers still unfinished", "tokens"),
        ),
        strict=True,
    ):
        for arm in reversed(arm_names(inputs.study)):
            curve = budget_curve(inputs, estimand, arm, decode, None)
            if not curve.is_empty():
                look = arm_look(inputs.study, arm).line(marker="", linewidth=1.9 if arm == "base" else 1.3)
                start = 0.0 if estimand == words.ACCURACY else 1.0
                panel.plot([0, *curve["cap"]], [start, *curve["estimate"]], label=arm, **look)
        panel.set_title(title)
        _token_axis(panel, label)
        panel.set_ylim(bottom=0)
        panel.yaxis.set_major_formatter(AS_PERCENT)
    _legend_in_order(figure, axes[0])
    return figure


def _legend_in_order(figure: Figure, axes: Axes) -> None:
    """The base is drawn last, over the arms, and named first."""
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles[::-1], labels[::-1], loc="outside lower center", ncols=min(6, len(labels)))


def token_differences(inputs: ReportInputs) -> Figure | None:
    """A panel per arm: the difference from the base under every smaller cap, with its intervals and its band."""
    decode = truncation_decode(inputs)
    if decode is None or not has_rows(inputs.token_budgets):
        return None
    curves = {arm: budget_curve(inputs, words.ACCURACY, arm, decode, "base") for arm in arm_names(inputs.study)}
    curves = {arm: curve for arm, curve in curves.items() if not curve.is_empty()}
    columns = min(3, len(curves))
    shown = list(curves.items())[:MOST_PANELS]
    rows = -(-len(shown) // columns)
    figure, axes = new_figure(8.4, 0.4 + 2.1 * rows, rows, columns, sharey=True)
    for panel, (arm, curve) in zip(axes, shown, strict=False):
        _draw_difference(panel, inputs, arm, curve)
    for panel in axes[len(shown) :]:
        panel.set_visible(False)
    return figure


def _draw_difference(panel: Axes, inputs: ReportInputs, arm: str, curve: pl.DataFrame) -> None:
    look = arm_look(inputs.study, arm)
    known = curve.drop_nulls("band_low")
    panel.fill_between(known["cap"], known["band_low"], known["band_high"], color=look.colour, alpha=0.13, linewidth=0)
    inner = curve.drop_nulls("low")
    panel.fill_between(inner["cap"], inner["low"], inner["high"], color=look.colour, alpha=0.22, linewidth=0)
    panel.axhline(0, color=INK, linewidth=1, linestyle=(0, (1, 2)))
    panel.plot(curve["cap"], curve["estimate"], color=look.colour, linewidth=1.6)
    panel.set_title(arm)
    _token_axis(panel)
    panel.yaxis.set_major_formatter(AS_POINTS)


def _token_axis(panel: Axes, label: str = "token cap") -> None:
    panel.set_xlabel(label)
    panel.margins(x=0.02)
    panel.set_xlim(left=0)
    panel.xaxis.set_major_formatter(AS_COUNT)
