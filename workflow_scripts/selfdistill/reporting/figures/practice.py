"""Figures of arms that practise: what became of their answers, of their updates, of the gradient, and what |D| does."""

import math
from collections.abc import Sequence
from typing import Any

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from selfdistill.foundation.wording import count
from selfdistill.reporting.figures.training import whole_steps
from selfdistill.reporting.inputs import ReportInputs
from selfdistill.reporting.practice import (
    asked_questions,
    changed,
    curve,
    overstates_signal,
    practising,
    recipe_of,
)
from selfdistill.reporting.select import (
    decodes_at_the_end,
    final_levels,
    lead_decode,
    split_to_report,
    there,
)
from selfdistill.reporting.style import (
    AS_COUNT,
    AS_PERCENT,
    MUTED,
    arm_look,
    figure_legend,
    new_figure,
    whiskers,
)
from selfdistill.tables import words
from selfdistill.tables.doubt import DOUBT
from selfdistill.tables.practice_analysis import PRACTICE_SIGNAL

STEPS = "optimiser steps behind the answers"
BEFORE = "the base on the first questions of training"
ANSWERS = {
    words.REWARD: "right answers (reward)",
    words.MEAN_TOKENS: "tokens of an answer",
    words.DOUBTS: words.DOUBTS,
    words.DOUBT_RATE: f"doubts per {count(1000)} tokens",
    words.CUT_RATE: "cut answers, loops too",
    words.LOOP_RATE: "looping answers",
}
UPDATES = {
    "groups with one reward": (words.FLAT_RATE,),
    "clipped tokens": (words.CLIPPED_LOW, words.CLIPPED_HIGH),
    "engine weights cut": (words.IS_CLIPPED,),
    "KL to the teacher, nats per token": (words.TEACHER_KL,),
    "KL to the base, nats per token": (words.BASE_KL,),
    "entropy, nats per token": (words.LAW_ENTROPY,),
}
SHARES = {words.REWARD, words.CUT_RATE, words.LOOP_RATE, words.FLAT_RATE, words.CLIPPED_LOW, words.IS_CLIPPED}


def practice_answers(inputs: ReportInputs) -> Figure | None:
    """Each measure of the rollouts over training, a line with its band for each arm."""
    if not _answering(inputs):
        return None
    figure, axes = new_figure(8.4, 5.4, 2, 3)
    for panel, (measure, title) in zip(axes, ANSWERS.items(), strict=True):
        for arm in _answering(inputs):
            _draw_arm(panel, inputs, arm, (measure,), band=True)
        _finish(panel, title, measure)
    figure_legend(figure, axes[0])
    return figure


def practice_updates(inputs: ReportInputs) -> Figure | None:
    """What each update reports, a line for each arm that has it."""
    arms = practising(inputs)
    shown = {
        title: measures
        for title, measures in UPDATES.items()
        if any(curve(inputs, arm, measure) for arm in arms for measure in measures)
    }
    if not shown:
        return None
    rows = -(-len(shown) // 3)
    figure, axes = new_figure(8.4, 0.6 + 2.4 * rows, rows, 3)
    for panel, (title, measures) in zip(axes, shown.items(), strict=False):
        for arm in arms:
            _draw_arm(panel, inputs, arm, measures, band=False)
        _finish(panel, title, measures[0])
    for panel in axes[len(shown) :]:
        panel.set_visible(False)
    handles = {
        label: handle for panel in axes for handle, label in zip(*panel.get_legend_handles_labels(), strict=True)
    }
    figure.legend(handles.values(), handles, loc="outside lower center", ncols=6)
    return figure


def _answering(inputs: ReportInputs) -> list[str]:
    return [arm for arm in practising(inputs) if curve(inputs, arm, words.REWARD)]


def _draw_arm(axes: Axes, inputs: ReportInputs, arm: str, measures: Sequence[str], band: bool) -> None:
    look = arm_look(inputs.study, arm)
    curves = [curve(inputs, arm, measure) for measure in measures]
    for place, parts in enumerate(zip(*(each for each in curves if each), strict=False)):
        values = sum((part["estimate"] for part in parts[1:]), start=parts[0]["estimate"])
        style = {"color": look.colour, "linestyle": look.dash}
        if place:
            axes.plot(parts[0]["step"], values, alpha=0.28, linewidth=0.8, **style)
            continue
        axes.plot(parts[0]["step"], values, label=arm, linewidth=1.5, **style)
        if band:
            # Of shares no band where none or all are: it would hide the others'.
            drawn = pl.col("estimate").is_between(0, 1, closed="none") | pl.lit(measures[0] not in SHARES)
            ends = parts[0].select(pl.when(drawn).then(pl.col("low", "high")).fill_null(math.nan))
            axes.fill_between(parts[0]["step"], ends["low"], ends["high"], color=look.colour, alpha=0.1, linewidth=0)


def _finish(axes: Axes, title: str, measure: str) -> None:
    axes.set_title(title)
    axes.set_xlabel(STEPS)
    axes.set_ylim(bottom=0)
    axes.xaxis.set_major_locator(whole_steps())
    if measure in SHARES:
        axes.yaxis.set_major_formatter(AS_PERCENT)


def practice_scores(inputs: ReportInputs) -> Figure | None:
    """Accuracy on the evaluation against the length and the doubt of answers: from the base to each finished arm."""
    decode = _lead(inputs)
    if decode is None:
        return None
    panels = {
        "tokens of an answer": _levels_by_arm(inputs, words.MEAN_TOKENS, decode),
        f"doubts per {count(1000)} tokens": _doubt_by_arm(inputs, decode),
    }
    accuracy = _levels_by_arm(inputs, words.ACCURACY, decode)
    panels = {title: across for title, across in panels.items() if "base" in across}
    if not panels or "base" not in accuracy:
        return None
    figure, axes = new_figure(8.4, 3.3, 1, len(panels), sharey=True)
    for panel, (title, across) in zip(axes, panels.items(), strict=True):
        for arm in ["base", *practising(inputs)]:
            if arm in across and arm in accuracy:
                _draw_way(panel, inputs, arm, across, accuracy)
        panel.set_xlabel(title)
        panel.set_xlim(left=0)
        panel.yaxis.set_major_formatter(AS_PERCENT)
    axes[0].set_title(f"accuracy at {decode}")
    figure_legend(figure, axes[0])
    return figure


def _draw_way(
    axes: Axes, inputs: ReportInputs, arm: str, across: dict[str, dict[str, Any]], accuracy: dict[str, dict[str, Any]]
) -> None:
    look = arm_look(inputs.study, arm)
    start, end = (across["base"], accuracy["base"]), (across[arm], accuracy[arm])
    if arm != "base":
        ends = [[each[axis]["estimate"] for each in (start, end)] for axis in (0, 1)]
        axes.plot(*ends, color=look.colour, linestyle=look.dash, linewidth=0.8, alpha=0.6)
    axes.errorbar(
        [end[0]["estimate"]],
        [end[1]["estimate"]],
        xerr=whiskers([end[0]]),
        yerr=whiskers([end[1]]),
        color=look.colour,
        marker=look.marker,
        linestyle="none",
        elinewidth=0.9,
        label=arm,
    )


def _lead(inputs: ReportInputs) -> str | None:
    decodes = decodes_at_the_end(inputs)
    return lead_decode(inputs.study, decodes) if decodes and practising(inputs) else None


def _levels_by_arm(inputs: ReportInputs, estimand: str, decode: str) -> dict[str, dict[str, Any]]:
    """The row over all trainings where there is one, else the first training's."""
    rows = final_levels(inputs, estimand).filter(pl.col("decode_id") == decode)
    rows = rows.sort(pl.col("training_seed").is_not_null(), "training_seed", maintain_order=True)
    return {str(row["arm"]): row for row in reversed(rows.to_dicts())}


def _doubt_by_arm(inputs: ReportInputs, decode: str) -> dict[str, dict[str, Any]]:
    table = there(inputs.doubt, DOUBT)
    rows = table.filter(
        pl.col("estimand") == words.DOUBT_RATE,
        pl.col("decode_id") == decode,
        pl.col("percent").is_in([0, 100]),
        pl.col("split") == split_to_report(table),
        pl.all_horizontal(pl.col("marker", "without", "tokens").is_null()),
    )
    return {str(row["arm"]): row for row in reversed(rows.to_dicts())}


def practice_coverage(inputs: ReportInputs) -> Figure | None:
    """Against the number of different questions asked: the score on them, before and at the end, and on held-out ones."""
    arms = [arm for arm in _answering(inputs) if changed(inputs, arm, words.REWARD)]
    decode = _lead(inputs)
    if decode is None or not any(recipe_of(inputs.study, arm).coverage for arm in arms):
        return None
    held_out = _levels_by_arm(inputs, words.ACCURACY, decode)
    sizes = asked_questions(inputs)
    figure, [panel] = new_figure(8.4, 3.4)
    for arm in arms:
        look = arm_look(inputs.study, arm)
        along = curve(inputs, arm, words.REWARD)[0]
        before, training = along.row(0, named=True), along.row(-1, named=True)
        alike = [other for other in arms if sizes[other] == sizes[arm]]
        place = sizes[arm] * 1.07 ** (alike.index(arm) - (len(alike) - 1) / 2)
        points = [training, *([held_out[arm]] if arm in held_out else [])]
        panel.plot(
            [place] * len(points), [row["estimate"] for row in points], color=look.colour, linewidth=0.8, alpha=0.5
        )
        panel.errorbar(
            [place], [before["estimate"]], yerr=whiskers([before]), color=MUTED, marker="_", elinewidth=0.6, linestyle="none",
            label=BEFORE if arm == arms[0] else None, zorder=1,
        )  # fmt: skip
        for row, filled in zip(points, (True, False), strict=False):
            panel.errorbar(
                [place], [row["estimate"]], yerr=whiskers([row]), color=look.colour, marker=look.marker, elinewidth=0.9,
                markerfacecolor=look.colour if filled else "white", label=arm if filled else None, linestyle="none",
            )  # fmt: skip
    if "base" in held_out:
        panel.axhline(held_out["base"]["estimate"], color=MUTED, linewidth=0.9, linestyle=(0, (1, 1.5)))
    panel.set_xscale("log")
    ticks = sorted({sizes[arm] for arm in arms})
    panel.set_xticks(ticks, [count(size) for size in ticks])
    panel.set_xticks([], minor=True)
    panel.set_xlabel("different questions asked in training, |D|")
    panel.set_title("right answers: filled on questions of training, open on held-out problems")
    panel.set_ylim(0, 1.03)
    panel.yaxis.set_major_formatter(AS_PERCENT)
    figure_legend(figure, panel)
    return figure


def practice_signal(inputs: ReportInputs) -> Figure | None:
    """Left: the share of signal in a step along training. Right: the noise scale of whole trainings."""
    table = there(inputs.practice_signal, PRACTICE_SIGNAL)
    arms = [arm for arm in practising(inputs) if arm in table["arm"]]
    if not arms:
        return None
    figure, [along, scales] = new_figure(8.4, max(3.2, 1.4 + 0.22 * len(arms)), 1, 2, width_ratios=[1.3, 1])
    for place, arm in enumerate(arms):
        here = table.filter(pl.col("arm") == arm)
        shift = 0.4 * (place - (len(arms) - 1) / 2)
        _draw_windows(along, inputs, arm, here.filter(pl.col("window") != words.WHOLE_RUN), shift)
        for row in here.filter(pl.col("window") == words.WHOLE_RUN).to_dicts():
            _draw_scale(scales, inputs, arm, row, len(arms) - place)
    along.axhline(0, color=MUTED, linewidth=0.8)
    along.set_title("share of |g|² that is signal")
    along.set_xlabel("optimiser step")
    along.set_xlim(0, table["last_step"].max())  # type: ignore[arg-type]
    along.xaxis.set_major_locator(whole_steps())
    along.yaxis.set_major_formatter(AS_PERCENT)
    scales.set_title("noise scale, sequences")
    scales.set_xscale("log")
    scales.xaxis.set_major_formatter(AS_COUNT)
    scales.set_ylim(0.4, len(arms) + 0.6)
    scales.set_yticks([len(arms) - place for place in range(len(arms))], arms)
    for batch in {recipe_of(inputs.study, arm).batch for arm in arms}:
        scales.axvline(batch, color=MUTED, linewidth=0.9, linestyle=(0, (1, 1.5)))
    return figure


def _draw_windows(axes: Axes, inputs: ReportInputs, arm: str, windows: pl.DataFrame, shift: float) -> None:
    rows = [
        {name: row[f"signal_fraction{end}"] for name, end in (("estimate", ""), ("low", "_low"), ("high", "_high"))}
        | {"at": (row["first_step"] + row["last_step"]) / 2 + shift}
        for row in windows.sort("first_step").to_dicts()
        if row["signal_fraction"] is not None
    ]
    if rows:
        at, estimates = ([row[name] for row in rows] for name in ("at", "estimate"))
        face = _face(inputs, arm)
        axes.errorbar(at, estimates, yerr=whiskers(rows), elinewidth=0.9, **arm_look(inputs.study, arm).line(), **face)


def _face(inputs: ReportInputs, arm: str) -> dict[str, Any]:
    """Hollow where the estimate of the signal is too large by what answers to one question share."""
    return {"markerfacecolor": "white"} if overstates_signal(inputs, arm) else {}


def _draw_scale(axes: Axes, inputs: ReportInputs, arm: str, row: dict[str, Any], height: float) -> None:
    """From the lower end to the upper one; an arrow where there is none."""
    look = arm_look(inputs.study, arm)
    low, middle, high = row["noise_scale_low"], row["noise_scale"], row["noise_scale_high"]
    if low is None:
        axes.annotate("no signal resolved", (0.98, height), xycoords=("axes fraction", "data"), ha="right", va="center",
                      color=look.colour, fontsize=7.5)  # fmt: skip
        return
    end = high if high is not None else 10 * max(low, middle or low)
    axes.plot([low, end], [height, height], color=look.colour, linewidth=1.2)
    if high is None:
        axes.plot([end], [height], marker=">", color=look.colour, markersize=4)
    if middle is not None and math.isfinite(middle) and middle <= end:
        axes.plot([middle], [height], marker=look.marker, color=look.colour, **_face(inputs, arm))
