"""Figures of doubt: ratios to the base by measure, and the shift of every word of the base's vocabulary."""

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter, NullLocator

from selfdistill.reporting.doubt import against_base, compared_arms, doubt_decode, shifts
from selfdistill.reporting.inputs import ReportInputs, arm_names
from selfdistill.reporting.style import INK, MUTED, arm_look, figure_legend, new_figure
from selfdistill.tables import words

MOST_PANELS = 9
LONGEST_LABEL = 16  # characters of a marker
MEASURES = {
    words.DOUBTS: "per answer",
    words.DOUBT_RATE: "per token",
    words.SAME_LENGTHS_RATE: "per token, same lengths",
    words.FIRST_TOKENS_RATE: "per token, first tokens",
    words.THOUGHT_DOUBT_RATE: "per token of the thought",
    words.SUBSTRING_RATE: "substrings per token",
}
AS_USES = FuncFormatter(lambda uses, _: f"{uses:g}")
AS_TIMES = FuncFormatter(lambda ratio, _: f"×{ratio:g}")


def doubt_ratios(inputs: ReportInputs) -> Figure | None:
    """A row for each measure, in it a bar for each arm."""
    decode = doubt_decode(inputs)
    if decode is None:
        return None
    arms = compared_arms(inputs, decode)
    found = {
        (arm, estimand): row
        for arm in arms
        for estimand in MEASURES
        if (row := against_base(inputs, arm, decode, estimand)).get("low") is not None
    }
    if not found:
        return None
    figure, (panel,) = new_figure(8.4, 0.9 + len(MEASURES) * (0.25 + 0.13 * len(arms)))
    for at, arm in enumerate(arms):
        rows = [(place, found[arm, each]) for place, each in enumerate(MEASURES) if (arm, each) in found]
        look, offset = arm_look(inputs.study, arm), (at - (len(arms) - 1) / 2) * 0.7 / len(arms)
        for place, row in rows:
            panel.plot([row["low"], row["high"]], [place + offset] * 2, color=look.colour, linewidth=1.6)
        panel.plot(
            [row["estimate"] for _, row in rows], [place + offset for place, _ in rows],
            color=look.colour, marker=look.marker, linestyle="", label=arm,
        )  # fmt: skip
    panel.axvline(1, color=INK, linewidth=1, linestyle=(0, (1, 2)))
    panel.set_yticks(range(len(MEASURES)), list(MEASURES.values()))
    panel.invert_yaxis()
    _times_axis(panel, [end for row in found.values() for end in (row["low"], row["high"])])
    panel.set_title(f"words of doubt, as multiples of the base at {decode}")
    figure_legend(figure, panel)
    return figure


def _times_axis(panel: Axes, ends: list[float]) -> None:
    """Logarithmic, so that half and twice lie equally far."""
    low, high = min(*ends, 0.9), max(*ends, 1.1)
    panel.set_xscale("log")
    panel.set_xlim(low / 1.1, high * 1.1)
    steps = [0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1, 1.5, 2, 3, 5, 10, 20, 50, 100]
    panel.xaxis.set_major_locator(FixedLocator([step for step in steps if low / 1.1 <= step <= high * 1.1]))
    panel.xaxis.set_minor_locator(NullLocator())
    panel.xaxis.set_major_formatter(AS_TIMES)


def word_shift(inputs: ReportInputs) -> Figure | None:
    """A panel for each arm: every word by how often the base uses it, and how many times as often the arm does."""
    decode = doubt_decode(inputs)
    if decode is None:
        return None
    by_arm = {arm: shifts(inputs, decode, arm).drop_nulls("word") for arm in arm_names(inputs.study)}
    by_arm = {arm: rows for arm, rows in by_arm.items() if not rows.is_empty()}
    if not by_arm:
        return None
    shown = list(by_arm.items())[:MOST_PANELS]
    columns = min(3, len(shown))
    height = -(-len(shown) // columns)
    figure, axes = new_figure(8.4, 0.4 + 2.4 * height, height, columns, sharey=True, sharex=True)
    for panel, (arm, rows) in zip(axes, shown, strict=False):
        _draw_words(panel, rows, arm_look(inputs.study, arm).colour)
        panel.set_title(arm)
    for panel in axes[len(shown) :]:
        panel.set_visible(False)
    figure.supxlabel(f"uses per 1\u2009000 tokens of the base at {decode}", fontsize=8.5, color=MUTED)
    figure.supylabel("shift, powers of two", fontsize=8.5, color=MUTED)
    return figure


def _draw_words(panel: Axes, rows: pl.DataFrame, colour: str) -> None:
    others = rows.filter(pl.col("kind") == words.OTHER_WORD)
    markers = rows.filter(pl.col("kind") == words.MARKER)
    panel.plot(others["against_uses"], others["shift"], linestyle="", marker=".", color="#9aa5b1", markersize=3)
    panel.plot(markers["against_uses"], markers["shift"], linestyle="", marker="o", color=colour)
    # Labels of words that lie together stand under each other.
    for at, (word, uses, shift) in enumerate(markers.select("word", "against_uses", "shift").sort("shift").iter_rows()):
        shown = word if len(word) <= LONGEST_LABEL else f"{word[: LONGEST_LABEL - 1]}…"
        label = panel.annotate(
            shown, (uses, shift), xytext=(-5, (3, -9)[at % 2]), textcoords="offset points", ha="right", fontsize=7, color=INK
        )  # fmt: skip
        label.set_in_layout(False)
    panel.axhline(0, color=INK, linewidth=1, linestyle=(0, (1, 2)))
    panel.set_xscale("log")
    panel.xaxis.set_major_formatter(AS_USES)
    panel.xaxis.set_minor_formatter(NullFormatter())
