"""Figures of the probes: mass by rank, survivors of truncation by temperature, the way to the target, the movement, depth."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter, NullLocator

from selfdistill.foundation.wording import MINUS
from selfdistill.reporting.inputs import ReportInputs, arm_names, has_rows
from selfdistill.reporting.mechanism import CLASSES, curve, everywhere, fits, fitted_arms, row_of
from selfdistill.reporting.select import arm_of_run, there
from selfdistill.reporting.style import INK, MUTED, arm_look, figure_legend, new_figure, whiskers
from selfdistill.tables import words
from selfdistill.tables.mechanism import CURVES, DEPTH

AS_PERCENT = FuncFormatter(lambda share, _: f"{100 * share:g} %".replace("-", MINUS))
FINISHED = "/at-100"  # models whose name need not say it
IN_THOUSANDTHS = FuncFormatter(lambda value, _: f"{1000 * value:g}")
TOWARDS, ELSEWHERE = "#0072B2", "#d5dae0"


def mass_by_rank(inputs: ReportInputs) -> Figure | None:
    """A panel a class: the mass beyond each rank, so that a tail that is cut shows as a line that falls."""
    shown = _classes_with_curves(inputs, words.MASS_BY_RANK)
    if not shown:
        return None
    figure, axes = new_figure(8.4, 3.3, 1, len(shown), sharey=True)
    for panel, token_class in zip(axes, shown, strict=True):
        for model, rows in _models(inputs, words.MASS_BY_RANK, token_class):
            look = arm_look(inputs.study, model).line(markersize=2.5, linewidth=1.9 if model == "base" else 1.2)
            beyond = (1 - rows["estimate"]).clip(1e-9)
            panel.plot(rows["x"], beyond, label=model, **look)
        panel.set_xscale("log")
        panel.set_yscale("log")
        ticks = [1, 2, 5, 10, 20, 60]
        panel.set_xticks(ticks, [str(tick) for tick in ticks])
        panel.xaxis.set_minor_locator(NullLocator())
        panel.yaxis.set_major_formatter(AS_PERCENT)
        panel.yaxis.set_minor_formatter(NullFormatter())
        panel.set_title(token_class)
        panel.set_xlabel("likeliest tokens")
    axes[0].set_ylabel("probability beyond them")
    figure_legend(figure, axes[0])
    return figure


def survivors(inputs: ReportInputs) -> Figure | None:
    """Above: how many tokens the decode's truncation leaves; below: the entropy among them."""
    shown = _classes_with_curves(inputs, words.SURVIVORS_BY_TEMPERATURE)
    if not shown:
        return None
    figure, axes = new_figure(8.4, 4.6, 2, len(shown), sharex=True)
    told = (
        (words.SURVIVORS_BY_TEMPERATURE, "tokens that survive"),
        (words.ENTROPY_BY_TEMPERATURE, "entropy among them, nats"),
    )
    for line, (name, label) in enumerate(told):
        for column, token_class in enumerate(shown):
            panel = axes[line * len(shown) + column]
            _draw_by_temperature(panel, inputs, name, token_class)
            if line == 0:
                panel.set_title(token_class)
            else:
                panel.set_xlabel("temperature of evaluation")
            if column == 0:
                panel.set_ylabel(label)
    figure_legend(figure, axes[0])
    return figure


def _draw_by_temperature(panel: Axes, inputs: ReportInputs, name: str, token_class: str) -> None:
    models = list(_models(inputs, name, token_class))
    temperatures = sorted({x for _, rows in models for x in rows["x"]})
    narrowest = min((b - a for a, b in pairwise(temperatures)), default=0.2)
    for place, (model, rows) in enumerate(models):
        shift = 0.05 * narrowest * (place - (len(models) - 1) / 2)
        look = arm_look(inputs.study, model).line(markersize=3, linewidth=1.2)
        panel.errorbar(
            rows["x"] + shift, rows["estimate"], yerr=whiskers(rows.to_dicts()), label=model, elinewidth=0.9, **look
        )
    panel.set_ylim(bottom=1 if name == words.SURVIVORS_BY_TEMPERATURE else 0)


def _classes_with_curves(inputs: ReportInputs, name: str) -> list[str]:
    """Those of which enough was probed."""
    table = everywhere(there(inputs.curves, CURVES)).filter(pl.col("curve") == name).drop_nulls("low")
    found = set(table["token_class"])
    return [token_class for token_class in words.TOKEN_CLASSES if token_class in found]


def _models(inputs: ReportInputs, name: str, token_class: str) -> list[tuple[str, pl.DataFrame]]:
    found = [(model, curve(inputs, name, model, token_class)) for model in arm_names(inputs.study)]
    return [(model, rows) for model, rows in found if not rows.is_empty()]


def fit_ratio(inputs: ReportInputs) -> Figure | None:
    """By class and arm: how much of the way to its target an arm was moved, and how much more than the null."""
    arms = fitted_arms(inputs)
    found = {arm: everywhere(fits(inputs, arm)) for arm in arms}
    classes = [name for name in CLASSES if any(_row(found[arm], words.FIT_RATIO, name) for arm in arms)]
    if not classes:
        return None
    measures = [(words.FIT_RATIO, "of the way to the target")]
    if any(_row(rows, words.FIT_BEYOND_NULL, name) for rows in found.values() for name in classes):
        measures.append((words.FIT_BEYOND_NULL, "of the way, beyond the null"))
    figure, axes = new_figure(8.4, 1.0 + 0.14 * len(classes) * (len(arms) + 1), 1, len(measures), sharey=True)
    for panel, (measure, title) in zip(axes, measures, strict=True):
        _by_class(panel, inputs, classes, arms, lambda arm, name, measure=measure: _row(found[arm], measure, name))  # type: ignore[misc]
        panel.axvline(0, color=MUTED, linewidth=0.9)
        panel.axvline(1, color=MUTED, linewidth=0.9, linestyle=(0, (2, 2)))
        panel.set_title(title)
        panel.xaxis.set_major_formatter(AS_PERCENT)
    figure_legend(figure, axes[0])
    return figure


def movement(inputs: ReportInputs) -> Figure | None:
    """A panel a class: how far each arm was moved, and which part of that was towards its target."""
    arms = fitted_arms(inputs)
    found = {arm: everywhere(fits(inputs, arm)) for arm in arms}
    classes = [
        name for name in CLASSES if any(_row(found[arm], words.MOVEMENT, name).get("low") is not None for arm in arms)
    ]
    if not classes:
        return None
    classes = classes[:3]
    figure, axes = new_figure(8.4, 0.9 + 0.34 * len(arms), 1, len(classes), sharey=True)
    for panel, name in zip(axes, classes, strict=True):
        for place, arm in enumerate(arms):
            _draw_movement(
                panel, place, _row(found[arm], words.MOVEMENT, name), _row(found[arm], words.REMAINDER, name)
            )
        panel.set_title(name)
        panel.set_xlim(left=0)
        panel.margins(x=0.3)
        panel.xaxis.set_major_formatter(IN_THOUSANDTHS)
        panel.grid(axis="y", visible=False)
        panel.set_xlabel("squared movement, thousandths")
    axes[0].set_yticks(range(len(arms)), arms)
    axes[0].tick_params(axis="y", labelcolor=INK)
    axes[0].set_ylim(len(arms) - 0.5, -0.5)
    figure_legend(figure, axes[0])
    return figure


def _draw_movement(panel: Axes, place: int, whole: dict[str, Any], rest: dict[str, Any]) -> None:
    if not whole or whole["estimate"] is None:
        return
    towards = whole["estimate"] * (1 - rest["estimate"]) if rest.get("estimate") is not None else 0.0
    first = place == 0
    panel.barh(place, towards, color=TOWARDS, height=0.62, label="towards the target" if first else None)
    panel.barh(
        place, whole["estimate"] - towards, left=towards, color=ELSEWHERE, hatch="////", edgecolor="#9aa5b1", linewidth=0, height=0.62,
        label="not towards it" if first else None,
    )  # fmt: skip
    panel.errorbar(whole["estimate"], place, xerr=whiskers([whole]), color=INK, elinewidth=1.1)
    end = whole["high"] if whole["high"] is not None else whole["estimate"]
    if rest.get("estimate") is not None:
        panel.annotate(
            f"{100 * (1 - rest['estimate']):.0f} %", (end, place), (4, 0), textcoords="offset points", va="center",
            fontsize=7, color=MUTED,
        )  # fmt: skip


def depth_by_class(inputs: ReportInputs) -> Figure | None:
    """Mean depth of each class, as a share of the layers, in the base and in trained models."""
    if not has_rows(inputs.depth):
        return None
    rows = everywhere(there(inputs.depth, DEPTH)).filter(pl.col("measure") == words.MEAN_DEPTH)
    models = rows["model_id"].unique(maintain_order=True).to_list()
    classes = [
        name
        for name in words.TOKEN_CLASSES
        if not rows.filter(pl.col("token_class") == name).drop_nulls("estimate").is_empty()
    ]
    if not classes:
        return None
    figure, [panel] = new_figure(8.4, 1.1 + 0.14 * len(classes) * (len(models) + 1))
    _by_class(
        panel,
        inputs,
        classes,
        models,
        lambda model, name: row_of(rows, model_id=model, token_class=name),
        arm_of=arm_of_run,
    )
    panel.xaxis.set_major_formatter(AS_PERCENT)
    panel.set_xlabel("layer from which the law stays near the last one’s, of all layers")
    figure_legend(figure, panel, 4)
    return figure


def _row(rows: pl.DataFrame, measure: str, token_class: str) -> dict[str, Any]:
    row = row_of(rows, measure=measure, token_class=token_class)
    return row if row.get("estimate") is not None else {}


def _by_class(
    panel: Axes,
    inputs: ReportInputs,
    classes: Sequence[str],
    models: Sequence[str],
    row: Callable[[str, str], dict[str, Any]],
    arm_of: Callable[[str], str] = str,
) -> None:
    """A line a class, in it a mark a model; one without an interval is open."""
    step = 0.75 / max(1, len(models))
    for shift, model in enumerate(models):
        look = arm_look(inputs.study, arm_of(model))
        for place, name in enumerate(classes):
            found = row(model, name)
            if not found or found["estimate"] is None:
                continue
            height = place + (shift - (len(models) - 1) / 2) * step
            known = found["low"] is not None
            panel.errorbar(
                found["estimate"], height, xerr=whiskers([found]), color=look.colour, marker=look.marker, markersize=3.8,
                elinewidth=1.3, linestyle="none", markerfacecolor=look.colour if known else "white",
            )  # fmt: skip
        panel.errorbar(
            [], [], xerr=[], color=look.colour, marker=look.marker, linestyle="none", label=model.removesuffix(FINISHED)
        )
    panel.set_yticks(range(len(classes)), classes)
    panel.tick_params(axis="y", labelcolor=INK)
    panel.set_ylim(len(classes) - 0.5, -0.5)
    panel.grid(axis="y", visible=False)
    panel.margins(x=0.1)
