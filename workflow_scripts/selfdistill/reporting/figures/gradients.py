"""Figures of signal and noise against the batch: what the noise scale predicts, and what short trainings show."""

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from selfdistill.reporting import formatting as fmt
from selfdistill.reporting.figures.training import strength
from selfdistill.reporting.gradients import checkpoint_name
from selfdistill.reporting.inputs import ReportInputs, has_rows
from selfdistill.reporting.select import arm_of_run, runs_in_order, total
from selfdistill.reporting.style import AS_COUNT, AS_PERCENT, MUTED, arm_look, figure_legend, new_figure, whiskers
from selfdistill.tables import words

BATCHES = np.geomspace(1, 100_000, 200)


def signal_share(inputs: ReportInputs) -> Figure | None:
    """A line with its band for each run, and for each frozen checkpoint."""
    summary = total(inputs.noise_summary)
    if summary is None:
        return None
    probe = inputs.noise_probe if has_rows(inputs.noise_probe) else None
    figure, axes = new_figure(8.4, 3.3, 1, 1 if probe is None else 2, sharey=True)
    runs = summary.filter(pl.col("window") == words.WHOLE_RUN)
    for run in runs_in_order(inputs, runs):
        row = runs.filter(pl.col("run") == run).row(0, named=True)
        _draw_share(axes[0], inputs, arm_of_run(run), run, row, strength=strength(inputs, run))
    axes[0].set_title("from the log of training")
    if probe is not None:
        for row in probe.filter((pl.col("part") == words.TOTAL) & pl.col("signal_to_noise").is_not_null()).to_dicts():
            _draw_share(axes[1], inputs, row["arm"], checkpoint_name(row), row, "--" if row["percent"] else ":")
        axes[1].set_title("at frozen checkpoints: base dotted, trained dashed")
    for panel in axes:
        panel.set_xscale("log")
        panel.set_xlabel("batch, sequences")
        panel.set_ylim(0, 1)
        panel.yaxis.set_major_formatter(AS_PERCENT)
        panel.xaxis.set_major_formatter(AS_COUNT)
        if batch := inputs.study.get("training", {}).get("batch"):
            panel.axvline(batch, color=MUTED, linewidth=0.9, linestyle=(0, (1, 1.5)))
    axes[0].set_ylabel("signal in |g|²")
    figure_legend(figure, axes[0], columns=4)
    return figure


def _draw_share(
    axes: Axes,
    inputs: ReportInputs,
    arm: str,
    label: str,
    row: dict[str, float],
    dash: str | None = None,
    strength: float = 1.0,
) -> None:
    look = arm_look(inputs.study, arm)
    estimate, low, high = (max(0.0, row[f"signal_to_noise{end}"] or 0.0) * BATCHES for end in ("", "_low", "_high"))
    axes.plot(
        BATCHES,
        estimate / (1 + estimate),
        color=look.colour,
        linestyle=dash or look.dash,
        linewidth=1.4,
        alpha=strength,
        label=label,
    )
    axes.fill_between(
        BATCHES, low / (1 + low), high / (1 + high), color=look.colour, alpha=0.07 * strength, linewidth=0
    )


def time_and_data(inputs: ReportInputs) -> Figure | None:
    if inputs.branches is None or not has_rows(inputs.branches):
        return None
    table = inputs.branches
    figure, [along, needed] = new_figure(8.4, 3.2, 1, 2)
    losses = table.filter(pl.col("estimand") == words.HELD_OUT_LOSS)
    batches = losses["batch"].unique().sort().to_list()
    for place, batch in enumerate(batches):
        here = losses.filter(pl.col("batch") == batch).sort("examples")
        shade = str(round(0.75 - 0.65 * place / max(1, len(batches) - 1), 3))
        along.plot(here["examples"], here["estimate"], color=shade, label=f"batch {batch}", linewidth=1.3)
    along.set_title("held-out loss, nats per token")
    along.set_xlabel("examples shown")
    along.xaxis.set_major_formatter(AS_COUNT)
    pooled = table.filter(pl.col("seed").is_null())
    points = pooled.filter(pl.col("estimand") == words.EXAMPLES_TO_TARGET).sort("batch").to_dicts()
    if points:
        where = [row["batch"] for row in points]
        needed.errorbar(where, [row["estimate"] for row in points], whiskers(points), fmt="o", color=MUTED)
        _draw_line(needed, pooled, float(max(where)))
    needed.set_title(f"examples to the common loss; critical batch {_critical(pooled)}")
    needed.set_xlabel("batch, examples")
    needed.set_xlim(left=0)
    needed.set_ylim(bottom=0)
    needed.yaxis.set_major_formatter(AS_COUNT)
    figure_legend(figure, along, columns=6)
    return figure


def _draw_line(axes: Axes, pooled: pl.DataFrame, largest: float) -> None:
    found = {row["estimand"]: row["estimate"] for row in pooled.to_dicts()}
    if words.STEPS_LEAST in found:
        ends = np.array([0.0, 1.05 * largest])
        axes.plot(ends, found[words.EXAMPLES_LEAST] + found[words.STEPS_LEAST] * ends, color=MUTED, linewidth=1.0)


def _critical(pooled: pl.DataFrame) -> str:
    row = pooled.row(by_predicate=pl.col("estimand") == words.CRITICAL_BATCH, named=True)
    if row["high"] is None:
        return words.NOT_RESOLVED
    return f"{fmt.count(row['estimate'])} [{fmt.count(row['low'])}, {fmt.count(row['high'])}]"
