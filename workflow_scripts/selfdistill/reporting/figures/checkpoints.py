"""Figure along the training: accuracy of every checkpoint, and its difference from the base."""

from typing import Any

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from selfdistill.reporting.inputs import ReportInputs, arm_names
from selfdistill.reporting.select import (
    checkpoint_levels,
    differences_along_training,
    pooled_first,
)
from selfdistill.reporting.style import (
    AS_PERCENT,
    AS_POINTS,
    INK,
    arm_look,
    figure_legend,
    new_figure,
    whiskers,
)
from selfdistill.tables import words


def checkpoints(inputs: ReportInputs) -> Figure | None:
    """Left: accuracy against the share of training done. Right: the paired difference from the base."""
    levels = checkpoint_levels(inputs)
    earlier = levels.filter(pl.col("percent").is_between(1, 99))
    if earlier.is_empty():
        return None
    decodes = earlier["decode_id"].unique(maintain_order=True).to_list()[:3]
    figure, axes = new_figure(8.4, 0.5 + 2.8 * len(decodes), len(decodes), 2)
    for decode, accuracy, difference in zip(decodes, axes[::2], axes[1::2], strict=True):
        for arm in arm_names(inputs.study):
            _draw_training_path(accuracy, inputs.study, levels.filter(pl.col("decode_id") == decode), arm)
        _draw_differences_along_training(difference, inputs, decode, earlier["budget"][0])
        accuracy.set_title(f"accuracy at {decode}")
        accuracy.yaxis.set_major_formatter(AS_PERCENT)
        difference.set_title("difference from base, percentage points")
        difference.yaxis.set_major_formatter(AS_POINTS)
        for panel in (accuracy, difference):
            panel.set_xlabel("share of training done")
            panel.xaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{share:g} %"))
            panel.set_xticks([0, *sorted(levels.filter(pl.col("percent") > 0)["percent"].unique())])
    figure_legend(figure, axes[0])
    return figure


def _draw_training_path(axes: Axes, study: dict[str, Any], levels: pl.DataFrame, arm: str) -> None:
    look = arm_look(study, arm)
    base = levels.filter(pl.col("arm") == "base")
    if arm == "base":
        for row in base.to_dicts()[:1]:
            axes.axhspan(row["low"], row["high"], color="#eef1f4", zorder=0)
            axes.axhline(
                row["estimate"], color=look.colour, linewidth=1, linestyle=(0, (1, 2)), label="base, with its interval"
            )
        return
    trained = levels.filter((pl.col("arm") == arm) & (pl.col("percent") > 0)).with_columns(
        model_id=pl.concat_str("arm", "training_seed", separator=" ", ignore_nulls=True)
    )
    for place, path in enumerate(pooled_first(trained)):
        rows = path.sort("percent")
        percent, accuracy = rows["percent"].to_list(), rows["estimate"].to_list()
        if not base.is_empty():
            percent, accuracy = [0, *percent], [base["estimate"][0], *accuracy]
        axes.plot(percent, accuracy, label=None if place else arm, **look.line(alpha=0.35 if place else 1.0))


def _draw_differences_along_training(axes: Axes, inputs: ReportInputs, decode: str, budget: str) -> None:
    axes.axhline(0, color=INK, linewidth=1, linestyle=(0, (1, 2)))
    axes.set_xlim(-6, 106)
    rows = differences_along_training(inputs, decode, budget)
    arms = [arm for arm in arm_names(inputs.study) if arm in rows["arm"].unique().to_list()]
    for position, arm in enumerate(arms):
        of_arm = rows.filter(pl.col("arm") == arm)
        pooled = of_arm.filter(pl.col("training_seed").is_null() & (pl.col("claim") == words.CHECKPOINTS))
        path = (of_arm if pooled.is_empty() else pooled).sort("percent").to_dicts()
        at = [row["percent"] + 1.3 * (position - (len(arms) - 1) / 2) for row in path]
        estimates = [row["estimate"] for row in path]
        look = arm_look(inputs.study, arm)
        bands = [row | {"low": row["band_low"], "high": row["band_high"]} for row in path]
        axes.errorbar(at, estimates, yerr=whiskers(bands), elinewidth=0.6, linestyle="", color=look.colour, capsize=1.5)
        axes.errorbar(at, estimates, yerr=whiskers(path), elinewidth=1.4, **look.line())
