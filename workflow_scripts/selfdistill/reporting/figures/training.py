"""Figures of what training did: loss, learning rate, gradient norm against its signal, weights changed and predicted.

Each function returns a matplotlib figure, or None when its tables are missing. `run` is `{arm}/seed-{n}`.
"""

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from selfdistill.reporting.inputs import ReportInputs
from selfdistill.reporting.select import arm_of_run, runs_in_order, total
from selfdistill.reporting.style import AS_PERCENT, MUTED, arm_look, figure_legend, new_figure
from selfdistill.tables import words

MOST_PANELS = 9


def whole_steps() -> MaxNLocator:
    return MaxNLocator(5, integer=True)


def training(inputs: ReportInputs) -> Figure | None:
    if inputs.run_logs is None or inputs.run_logs.is_empty():
        return None
    figure, axes = new_figure(8.4, 3.0, 1, 2, width_ratios=[1.5, 1])
    for run in runs_in_order(inputs, inputs.run_logs):
        rows = inputs.run_logs.filter(pl.col("run") == run).sort("step")
        look = arm_look(inputs.study, arm_of_run(run))
        for panel, column in zip(axes, ("loss", "learning_rate"), strict=True):
            panel.plot(
                rows["step"],
                rows[column],
                color=look.colour,
                linestyle=look.dash,
                label=run,
                linewidth=1.3,
                alpha=strength(inputs, run),
            )
    for panel, title in zip(axes, ("training loss, nats per token", "learning rate"), strict=True):
        panel.set_title(title)
        panel.set_xlabel("optimiser step")
        panel.xaxis.set_major_locator(whole_steps())
    axes[1].ticklabel_format(axis="y", style="sci", scilimits=(0, 0))
    axes[1].set_ylim(bottom=0)
    figure_legend(figure, axes[0], columns=5)
    return figure


def gradient_noise(inputs: ReportInputs) -> Figure | None:
    """A panel per run: |g|² of every step as dots, the signal |G|² estimated in windows as bars with intervals."""
    steps = total(inputs.noise_steps)
    if steps is None:
        return None
    runs = runs_in_order(inputs, steps)[:MOST_PANELS]
    columns = min(3, len(runs))
    rows = -(-len(runs) // columns)
    figure, axes = new_figure(8.4, 0.6 + 2.0 * rows, rows, columns, sharex=True, sharey=True)
    windows = total(inputs.noise_summary)
    for panel, run in zip(axes, runs, strict=False):
        here = steps.filter(pl.col("run") == run).sort("step")
        colour = arm_look(inputs.study, arm_of_run(run)).colour
        panel.plot(
            here["step"], here["step_norm_squared"], ".", color="#9aa5b1", markersize=3.5, label="|g|², each step"
        )
        panel.plot(
            here["step"],
            here["signal"],
            "x",
            color=colour,
            markersize=3,
            alpha=0.45,
            label="signal, each step (unbiased, may be negative)",
        )
        panel.axhline(0, color=MUTED, linewidth=0.8)
        if windows is not None:
            _draw_windows(panel, windows.filter((pl.col("run") == run) & (pl.col("window") != words.WHOLE_RUN)), colour)
        panel.set_title(run)
        panel.xaxis.set_major_locator(whole_steps())
    for panel in axes[len(runs) :]:
        panel.set_visible(False)
    for place, panel in enumerate(axes[: len(runs)]):
        if place + columns >= len(runs):
            panel.set_xlabel("optimiser step")
            panel.tick_params(labelbottom=True)
        if place % columns == 0:
            panel.set_ylabel("squared norm")
    _grey_legend(figure, axes[0])
    return figure


def _draw_windows(axes: Axes, windows: pl.DataFrame, colour: str) -> None:
    for place, row in enumerate(windows.sort("first_step").to_dicts()):
        if row["signal"] is None:
            continue
        ends = [row["first_step"] - 0.4, row["last_step"] + 0.4]
        low, high = (row[end] if row[end] is not None else row["signal"] for end in ("signal_low", "signal_high"))
        axes.fill_between(ends, low, high, color=colour, alpha=0.16, linewidth=0)
        axes.plot(
            ends,
            [row["signal"]] * 2,
            color=colour,
            linewidth=2.2,
            label="signal |G|², a window of steps, with its interval" if not place else None,
        )


def _grey_legend(figure: Figure, axes: Axes) -> None:
    """Colours differ from panel to panel, so the legend explains the marks in grey."""
    handles, labels = axes.get_legend_handles_labels()
    legend = figure.legend(handles, labels, loc="outside lower center", ncols=3)
    for handle in legend.legend_handles:
        if handle is not None and hasattr(handle, "set_color"):
            handle.set_color(MUTED)


def weights_changed(inputs: ReportInputs) -> Figure | None:
    """Left: changed since the base. Right: changed in a step against what rounding alone predicts."""
    table = total(inputs.weight_change)
    if table is None:
        return None
    figure, [over_time, against] = new_figure(8.4, 3.4, 1, 2)
    for run in runs_in_order(inputs, table):
        rows = table.filter(pl.col("run") == run).sort("step")
        look = arm_look(inputs.study, arm_of_run(run))
        line = {"color": look.colour, "linestyle": look.dash, "alpha": strength(inputs, run)}
        since = rows.drop_nulls("changed_since_start_fraction")
        over_time.plot(since["step"], since["changed_since_start_fraction"], label=run, **line)
        over_time.plot(rows["step"], rows["changed_fraction"], linewidth=0.8, **line)
        against.plot(
            rows["predicted_fraction"],
            rows["changed_fraction"],
            marker=look.marker,
            color=look.colour,
            linestyle="",
            markersize=3.2,
            alpha=0.75,
        )
    over_time.set_title("weights changed: since the base (thick), in a step (thin)")
    over_time.set_xlabel("optimiser step")
    over_time.xaxis.set_major_locator(whole_steps())
    over_time.set_ylim(bottom=0)
    top = float(np.nanmax(table.select("predicted_fraction", "changed_fraction").fill_null(0).to_numpy())) * 1.08
    against.plot([0, top], [0, top], color=MUTED, linewidth=0.9, linestyle=(0, (3, 2)))
    against.set_title("in one step: seen against predicted")
    against.set_xlabel("predicted from rounding alone")
    against.set_ylabel("seen")
    against.set_xlim(0, top)
    against.set_ylim(0, top)
    for axis in (over_time.yaxis, against.xaxis, against.yaxis):
        axis.set_major_formatter(AS_PERCENT)
    figure_legend(figure, over_time, columns=5)
    return figure


def strength(inputs: ReportInputs, run: str) -> float:
    """Further training seeds of an arm are drawn paler than its first."""
    seeds = inputs.study.get("arms", {}).get(arm_of_run(run), {}).get("seeds") or [0]
    return 1.0 if run.endswith(f"seed-{seeds[0]}") else 0.45
