"""Figure of the 2×2 of decode and filter: accuracies of the four cells, and the effects computed from them."""

from itertools import product

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from selfdistill.reporting.inputs import ReportInputs, has_rows
from selfdistill.reporting.select import (
    factorial_effects,
    final_levels,
    pooled_first,
    trained_cells,
)
from selfdistill.reporting.style import (
    AS_PERCENT,
    AS_POINTS,
    INK,
    MUTED,
    arm_look,
    figure_legend,
    new_figure,
    whiskers,
)
from selfdistill.study.factorial import Factorial
from selfdistill.tables import words

KEPT = {"everything": "all", "finished": "finished"}  # from left to right, as the axis names them


def factorial(inputs: ReportInputs) -> Figure | None:
    """Left, a panel per decode: the four cells. Right: main effects and interaction."""
    if inputs.factorial is None or inputs.factorial.is_empty():
        return None
    table = factorial_effects(inputs)
    cells = trained_cells(inputs.study)
    decodes = table["decode_id"].unique(maintain_order=True).to_list()
    effects = table["estimand"].unique(maintain_order=True).to_list()
    panels = len(decodes) if cells and has_rows(inputs.levels) else 0
    widths = [1.0] * panels + [1.0 + 0.45 * max(panels, 1)]
    figure, axes = new_figure(8.4, 3.1, 1, panels + 1, width_ratios=widths)
    if cells and panels:
        for panel, decode in zip(axes[:-1], decodes, strict=True):
            _draw_cells(panel, inputs, cells, decode)
        _share_height(axes[:panels])
        axes[0].set_ylabel("accuracy")
        figure_legend(figure, axes[0])
    _draw_effects(axes[-1], table, decodes, effects)
    return figure


def _draw_cells(axes: Axes, inputs: ReportInputs, cells: Factorial, decode: str) -> None:
    levels = final_levels(inputs, words.ACCURACY).filter(pl.col("decode_id") == decode)
    base = levels.filter(pl.col("arm") == "base")
    if not base.is_empty():
        axes.axhline(base["estimate"][0], color=INK, linewidth=0.9, linestyle=(0, (1, 2)), label="base")
    for shift, arms in enumerate(cells.by_decode):
        models = [pooled_first(levels.filter(pl.col("arm") == arms[keep])) for keep in KEPT]
        if not all(models):
            continue
        look = arm_look(inputs.study, arms["finished"])
        at = np.arange(2) + 0.09 * (shift - 0.5)
        leads = [arm[0].row(0, named=True) for arm in models]
        estimates = [row["estimate"] for row in leads]
        label = f"trained on samples of decode {inputs.study['arms'][arms['finished']]['decode']}"
        axes.errorbar(at, estimates, yerr=whiskers(leads), label=label, elinewidth=1, **look.line())
        for place, arm in zip(at, models, strict=True):
            for seed in arm[1:]:
                axes.plot(place, seed["estimate"][0], **look.line(linestyle="", alpha=0.4))
    axes.set_xticks([0, 1], list(KEPT.values()))
    axes.set_xlabel("samples kept")
    axes.set_xlim(-0.35, 1.35)
    axes.yaxis.set_major_formatter(AS_PERCENT)
    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.grid(axis="x", visible=False)
    axes.set_title(f"at {decode}")


def _share_height(axes: list[Axes]) -> None:
    lows, highs = zip(*(panel.get_ylim() for panel in axes), strict=True)
    for place, panel in enumerate(axes):
        panel.set_ylim(min(lows), max(highs))
        panel.tick_params(labelleft=place == 0)


def _draw_effects(axes: Axes, table: pl.DataFrame, decodes: list[str], effects: list[str]) -> None:
    step = 0.7 / max(1, len(decodes))
    for (place, effect), (shift, decode) in product(enumerate(effects), enumerate(decodes)):
        for row in table.filter((pl.col("estimand") == effect) & (pl.col("decode_id") == decode)).to_dicts()[:1]:
            height = place + (shift - (len(decodes) - 1) / 2) * step
            axes.errorbar(
                row["estimate"], height, xerr=whiskers([row]), color=INK, marker="o", markersize=3.5, elinewidth=1.3
            )
            axes.annotate(
                decode, (row["high"], height), (4, 0), textcoords="offset points", va="center", fontsize=7, color=MUTED
            )
    axes.axvline(0, color=MUTED, linewidth=0.9)
    axes.set_yticks(range(len(effects)), [effect.replace(" of the ", "\nof the ") for effect in effects])
    axes.tick_params(axis="y", labelcolor=INK)
    axes.set_ylim(len(effects) - 0.5, -0.5)
    axes.margins(x=0.16)
    axes.grid(axis="y", visible=False)
    axes.xaxis.set_major_formatter(AS_POINTS)
    axes.set_xlabel("effect, percentage points")
    axes.set_title("effects")
