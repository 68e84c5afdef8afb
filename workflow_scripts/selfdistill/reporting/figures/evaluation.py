"""Figures of what the models answer: hypotheses, factorial, temperature sweep, checkpoints, lengths, the filter.

Each function returns a matplotlib figure, or None when its tables are missing. Intervals are the tables' own 95 %.
"""

from itertools import product
from typing import Any

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from selfdistill.foundation.wording import plural
from selfdistill.reporting.inputs import ReportInputs, arm_names, has_rows, split_to_report
from selfdistill.reporting.style import FINISH_COLOURS, INK, MUTED, arm_look, figure_legend, new_figure
from selfdistill.study.arms import Arm
from selfdistill.study.factorial import Factorial, factorial_cells
from selfdistill.study.sampling import Decode
from selfdistill.tables import words
from selfdistill.tables.analysis import COMPARISONS, ESTIMATES
from selfdistill.tables.endings import ANSWERED, CUT, EMPTY, LOOP

AS_PERCENT = FuncFormatter(lambda share, _: f"{100 * share:g} %")
KEPT = {"everything": "all", "finished": "finished"}  # from left to right, as the axis names them
AS_POINTS = FuncFormatter(lambda share, _: f"{100 * share:+g}".replace("-", "\u2212") if round(share, 9) else "0")


def fair_menus(inputs: ReportInputs) -> str:
    """What each side of a fair comparison chose from: a longer menu is a better chance at a good decode."""
    tables = [table for table in (inputs.verdicts, inputs.comparisons) if table is not None]
    if not any(words.FAIR in table["comparison"] for table in tables):
        return ""
    decodes = inputs.study.get("evaluation", {}).get("decodes", {})
    base, arm = decodes.get("base", []), decodes.get("final", [])
    return (
        "In fair comparisons each side stands at its most accurate decode on dev: the base chose among "
        f"{plural(len(base), 'decode')} ({', '.join(base)}), an arm among {len(arm)} ({', '.join(arm)})."
    )


def hypotheses(inputs: ReportInputs) -> Figure | None:
    """Forest plot: each planned difference with its interval, over the band that counts as no difference."""
    if inputs.verdicts is None or inputs.verdicts.is_empty():
        return None
    rows = inputs.verdicts.to_dicts()
    figure, [axes] = new_figure(8.4, 0.75 + 0.42 * len(rows))
    for place, row in enumerate(rows):
        look = arm_look(inputs.study, row["arm"])
        axes.barh(place, 2 * row["margin"], left=-row["margin"], height=0.62, color="#eef1f4", zorder=0)
        axes.errorbar(row["estimate"], place, xerr=_arms_of(row), color=look.colour, marker=look.marker, elinewidth=2)
    axes.axvline(0, color=MUTED, linewidth=0.9)
    axes.set_yticks(range(len(rows)), [row["hypothesis"] for row in rows])
    axes.tick_params(axis="y", labelcolor=INK)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.grid(axis="y", visible=False)
    axes.xaxis.set_major_formatter(AS_POINTS)
    axes.set_xlabel("difference in accuracy, percentage points")
    return figure


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


def factorial_effects(inputs: ReportInputs) -> pl.DataFrame:
    """Main effects and interaction on accuracy at every decode, lead method."""
    if inputs.factorial is None:
        return pl.DataFrame(schema=ESTIMATES)
    return inputs.factorial.filter((pl.col("method") == words.LEAD) & pl.col("estimand").is_in(words.EFFECTS))


def trained_cells(study: dict[str, Any]) -> Factorial | None:
    """The arms that are the study's four cells, as the table and its effects know them."""
    arms = {name: Arm.model_validate(fields) for name, fields in study.get("arms", {}).items()}
    decodes = {name: Decode.model_validate(fields) for name, fields in study.get("decodes", {}).items()}
    return factorial_cells(arms, decodes)


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
        axes.errorbar(at, estimates, yerr=_all_arms(leads), label=label, elinewidth=1, **look.line())
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
                row["estimate"], height, xerr=_arms_of(row), color=INK, marker="o", markersize=3.5, elinewidth=1.3
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


def sweep_levels(inputs: ReportInputs, estimand: str) -> pl.DataFrame:
    """Final levels at the decodes that differ in temperature only."""
    levels = final_levels(inputs, estimand)
    decodes = decodes_of_one_kind(inputs.study, levels["decode_id"].unique().to_list())
    return levels.filter(pl.col("decode_id").is_in(decodes))


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
            axes.errorbar(at, estimates, yerr=_all_arms(rows), label=arm, elinewidth=0.9, **look.line())


def decodes_of_one_kind(study: dict[str, Any], names: list[str]) -> list[str]:
    """The decodes that differ in temperature only: a line through others would join unlike things."""

    def kind(name: str) -> tuple[Any, ...]:
        decode = study["decodes"][name]
        return (*(decode.get(key) or 0 for key in ("top_k", "min_p", "presence_penalty")), decode.get("top_p", 1.0))

    known = sorted(name for name in names if name in study.get("decodes", {}))
    kinds = [kind(name) for name in known]
    common = max(dict.fromkeys(kinds), key=kinds.count, default=None)
    return [name for name in known if kind(name) == common]


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


def differences_along_training(inputs: ReportInputs, decode: str, budget: str) -> pl.DataFrame:
    """Paired differences in accuracy from the base at every checkpoint, lead method."""
    if inputs.comparisons is None or inputs.comparisons.is_empty():
        return pl.DataFrame(schema=COMPARISONS)
    return inputs.comparisons.filter(
        (pl.col("estimand") == words.ACCURACY)
        & (pl.col("method") == words.LEAD)
        & (pl.col("comparison") == words.MATCHED)
        & (pl.col("against") == "base")
        & (pl.col("decode_id") == decode)
        & (pl.col("budget") == budget)
        & (pl.col("split") == split_to_report(inputs.comparisons))
        & (pl.col("percent") > 0)
    )


def _draw_differences_along_training(axes: Axes, inputs: ReportInputs, decode: str, budget: str) -> None:
    axes.axhline(0, color=INK, linewidth=1, linestyle=(0, (1, 2)))
    axes.set_xlim(-6, 106)
    rows = differences_along_training(inputs, decode, budget)
    arms = [arm for arm in arm_names(inputs.study) if arm in rows["arm"].unique().to_list()]
    for position, arm in enumerate(arms):
        of_arm = rows.filter(pl.col("arm") == arm)
        pooled = of_arm.filter(pl.col("training_seed").is_null())
        path = (of_arm if pooled.is_empty() else pooled).sort("percent").to_dicts()
        at = [row["percent"] + 1.3 * (position - (len(arms) - 1) / 2) for row in path]
        estimates = [row["estimate"] for row in path]
        axes.errorbar(at, estimates, yerr=_all_arms(path), elinewidth=1, **arm_look(inputs.study, arm).line())


def checkpoint_levels(inputs: ReportInputs) -> pl.DataFrame:
    """Accuracy of every checkpoint and the base on the same problems: the budget of the earlier checkpoints."""
    if inputs.levels is None or inputs.levels.is_empty():
        return pl.DataFrame(schema={"percent": pl.Int32, "n": pl.Int64})
    reported = (pl.col("estimand") == words.ACCURACY) & (pl.col("split") == split_to_report(inputs.levels))
    levels = inputs.levels.filter(reported)
    earlier = levels.filter(pl.col("percent").is_between(1, 99) & pl.col("training_seed").is_not_null())
    if earlier.is_empty():
        return earlier
    same = pl.col("decode_id").is_in(earlier["decode_id"].unique().to_list())
    return levels.filter(same & (pl.col("budget") == earlier["budget"][0]))


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


def truncation(inputs: ReportInputs) -> Figure | None:
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
    right.set_xlim(left=0)
    right.yaxis.set_major_formatter(AS_PERCENT)
    handles = [right.plot([], [], **arm_look(inputs.study, arm).line(marker=""))[0] for arm in arms]
    right.legend(handles, arms, loc="lower right", fontsize=7.5)
    return figure


def truncation_rows(inputs: ReportInputs) -> pl.DataFrame:
    """The graded answers of untrained and fully trained models at the lead decode, with their arm."""
    if inputs.completions is None or inputs.completions.is_empty():
        return pl.DataFrame(schema={"arm": pl.String, "decode_id": pl.String})
    graded = inputs.completions.with_columns(arm=arm_of_model())
    if "purpose" in graded.columns:
        graded = graded.filter(pl.col("purpose") == "eval")
    finished = ~pl.col("model_id").str.contains("/at-") | pl.col("model_id").str.ends_with("/at-100")
    final = inputs.study.get("evaluation", {}).get("decodes", {}).get("final", [])
    decodes = [name for name in graded["decode_id"].unique().to_list() if name in final or not final]
    if not decodes:
        return graded.clear()
    return graded.filter(finished & (pl.col("decode_id") == lead_decode(inputs.study, decodes)))


def share_of(graded: pl.DataFrame, arm: str, finish: str) -> float:
    ends = graded.filter(pl.col("arm") == arm)["finish_class"]
    return int((ends == finish).sum()) / max(1, len(ends))


def audit(inputs: ReportInputs) -> Figure | None:
    """What the filter of each arm kept of what was sampled, and how often the kept ones were right."""
    audits = [(arm, inputs.audits[arm]) for arm in arm_names(inputs.study) if arm in inputs.audits]
    if not audits:
        return None
    figure, [left, right] = new_figure(8.4, 1.0 + 0.42 * len(audits), 1, 2, width_ratios=[1.15, 1], sharey=True)
    starts = np.zeros(len(audits))
    parts = {"finished": ANSWERED, "cut": CUT, "looped": LOOP, "empty": EMPTY}
    for key, finish in parts.items():
        shares = np.array([(entry.get(key) or 0) / max(1, entry.get("sampled") or 1) for _, entry in audits])
        left.barh(range(len(audits)), shares, left=starts, color=FINISH_COLOURS[finish], height=0.6, label=key)
        starts += shares
    for place, (_, entry) in enumerate(audits):
        kept = (entry.get("kept") or 0) / max(1, entry.get("sampled") or 1)
        left.plot(
            [kept, kept],
            [place - 0.42, place + 0.42],
            color=INK,
            linewidth=1.6,
            label="kept up to here" if not place else None,
        )
    left.set_yticks(range(len(audits)), [arm for arm, _ in audits])
    left.tick_params(axis="y", labelcolor=INK)
    left.set_ylim(len(audits) - 0.5, -0.5)
    left.set_xlim(0, 1.01)
    left.xaxis.set_major_formatter(AS_PERCENT)
    left.set_title("samples drawn for training")
    left.grid(axis="y", visible=False)
    figure_legend(figure, left)
    for place, (arm, entry) in enumerate(audits):
        before, after = (share_correct(entry, stage) for stage in ("before", "after"))
        if before is None or after is None:
            continue
        look = arm_look(inputs.study, arm)
        right.annotate(
            "",
            (after, place),
            (before, place),
            arrowprops={"arrowstyle": "-|>", "color": look.colour, "shrinkA": 0, "shrinkB": 3},
        )
        right.plot(before, place, marker="o", color="white", markeredgecolor=look.colour)
        right.plot(after, place, marker="o", color=look.colour)
    right.xaxis.set_major_formatter(AS_PERCENT)
    right.set_title("share correct: ○ sampled → ● kept")
    right.margins(x=0.2)
    right.grid(axis="y", visible=False)
    return figure


def share_correct(audit: dict[str, Any], stage: str) -> float | None:
    """Share of correct samples `before` or `after` the filter."""
    return (audit.get(stage) or {}).get("correctness", {}).get("rate")


def final_levels(inputs: ReportInputs, estimand: str) -> pl.DataFrame:
    """Levels of untrained and fully trained models on the reported split and the largest budget."""
    if inputs.levels is None or inputs.levels.is_empty():
        return pl.DataFrame(schema=ESTIMATES)
    return inputs.levels.filter(
        (pl.col("estimand") == estimand)
        & pl.col("percent").is_in([0, 100])
        & (pl.col("split") == split_to_report(inputs.levels))
        & (pl.col("budget") == largest_budget(inputs.levels))
    )


def pooled_first(levels: pl.DataFrame) -> list[pl.DataFrame]:
    """The rows of each model of an arm; the one over all its training seeds leads where there is one."""
    ordered = levels.sort(pl.col("training_seed").is_not_null(), "training_seed", maintain_order=True)
    return ordered.partition_by("model_id", maintain_order=True)


def largest_budget(levels: pl.DataFrame) -> str | None:
    budgets = set(levels["budget"].drop_nulls().unique())
    return "full" if "full" in budgets else min(budgets, default=None)


def lead_decode(study: dict[str, Any], available: list[str]) -> str:
    """The decode shown where there is room for one: the first hypothesis's, else the first of the final evaluation."""
    planned = [h.get("decode") for h in study.get("hypotheses", {}).values()]
    wanted = [*planned, *study.get("evaluation", {}).get("decodes", {}).get("final", []), *sorted(available)]
    return next(decode for decode in wanted if decode in available)


def arm_of_model() -> pl.Expr:
    return pl.col("model_id").str.split("/").list.first()


def _arms_of(row: dict[str, Any]) -> list[list[float]]:
    """The two lengths matplotlib wants around an estimate; none where an end is missing."""
    low, high, middle = row["low"], row["high"], row["estimate"]
    return [
        [max(0.0, middle - low) if low is not None else 0.0],
        [max(0.0, high - middle) if high is not None else 0.0],
    ]


def _all_arms(rows: list[dict[str, Any]]) -> np.ndarray:
    return np.array([_arms_of(row) for row in rows]).reshape(-1, 2).T if rows else np.zeros((2, 0))
