"""One look for every figure, and SVG text that may be pasted into a page beside others.

Text from the study is drawn as glyph outlines, never parsed as mathematics, so nothing in a name can become markup.
The same figure gives the same bytes: no dates, ids hashed from the figure's name.
"""

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from selfdistill.foundation.wording import MINUS, count
from selfdistill.reporting.compact import compact
from selfdistill.reporting.inputs import arm_names
from selfdistill.tables.endings import ANSWERED, CUT, EMPTY, LOOP, NO_ANSWER

INK = "#1f2933"
MUTED = "#5f6b7a"
GRID = "#e4e7eb"

# Okabe and Ito's palette, its pale colours darkened until they read on white; told apart by marker and dash as well.
ARM_COLOURS = ["#0072B2", "#D55E00", "#00805A", "#B3508B", "#B8860B", "#2E9BD6", "#6B4FA0", "#7A5C3E"]
ARM_MARKERS = ["o", "s", "^", "D", "v", "P", "X", "h"]
ARM_DASHES: list[Any] = [
    "-",
    (0, (5, 2)),
    (0, (2, 1.5)),
    (0, (6, 2, 1.5, 2)),
    (0, (8, 2)),
    (0, (1, 1)),
    "-",
    (0, (4, 1)),
]

FINISH_COLOURS = {
    ANSWERED: "#3B7EA1",
    NO_ANSWER: "#9CC3D5",
    CUT: "#E08E45",
    LOOP: "#A8432F",
    EMPTY: "#C9CDD2",
}

STYLE: dict[str, Any] = {
    "svg.fonttype": "path",
    "text.parse_math": False,
    "text.usetex": False,
    "axes.unicode_minus": True,
    "font.family": "DejaVu Sans",
    "font.size": 8.5,
    "axes.titlesize": 9,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 8.5,
    "axes.labelcolor": MUTED,
    "axes.edgecolor": "#9aa5b1",
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "xtick.major.size": 3,
    "ytick.major.size": 0,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "lines.linewidth": 1.6,
    "lines.markersize": 4.5,
    "errorbar.capsize": 0,
    "figure.dpi": 100,
    "path.simplify": True,
}


AS_PERCENT = FuncFormatter(lambda share, _: f"{100 * share:g} %")
AS_POINTS = FuncFormatter(lambda share, _: f"{100 * share:+g}".replace("-", MINUS) if round(share, 9) else "0")
AS_COUNT = FuncFormatter(lambda value, _: count(value))


@dataclass(frozen=True)
class Drawing:
    """A figure ready for the page: its SVG, what a reader who cannot see it is told, and where its numbers lie."""

    name: str
    svg: str
    alt: str
    caption: str
    source: str


@dataclass(frozen=True)
class ArmLook:
    colour: str
    marker: str
    dash: Any

    def line(self, **more: Any) -> dict[str, Any]:
        return {"color": self.colour, "marker": self.marker, "linestyle": self.dash, **more}


def arm_look(study: dict[str, Any], arm: str) -> ArmLook:
    """The arm's colour, marker and dash, the same in every figure of a study."""
    arms = [name for name in arm_names(study) if name != "base" and not study["arms"][name].get("resample")]
    if arm in arms:
        position = arms.index(arm) % len(ARM_COLOURS)
        return ArmLook(ARM_COLOURS[position], ARM_MARKERS[position], ARM_DASHES[position])
    return ArmLook(INK, "o", "-") if arm == "base" else ArmLook("#8a94a0", "o", (0, (1, 1.5)))


@contextmanager
def figure_style(name: str) -> Iterator[None]:
    style: Any = STYLE | {"svg.hashsalt": name}
    with matplotlib.rc_context(style):
        yield


def new_figure(width: float, height: float, rows: int = 1, columns: int = 1, **grid: Any) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasSVG(figure)
    axes = figure.subplots(rows, columns, squeeze=False, **grid)
    return figure, list(axes.flat)


def svg_text(figure: Figure, name: str) -> str:
    """The figure as one `<svg>` element: no comments, no metadata, every id opening with the figure's name."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    text = compact(buffer.getvalue(), name)
    return text.replace("<svg ", '<svg role="presentation" focusable="false" ', 1)


def whiskers(rows: Sequence[Mapping[str, Any]]) -> np.ndarray:
    """What matplotlib wants of intervals around estimates: lengths below, lengths above; 0 where an end is missing."""
    ends = [(row["estimate"], row["low"], row["high"]) for row in rows]
    below = [0.0 if low is None else max(0.0, middle - low) for middle, low, _ in ends]
    above = [0.0 if high is None else max(0.0, high - middle) for middle, _, high in ends]
    return np.array([below, above])


def figure_legend(figure: Figure, axes: Axes, columns: int = 6) -> None:
    """One legend under the whole figure, with the names of one panel."""
    handles, labels = axes.get_legend_handles_labels()
    if labels:
        figure.legend(handles, labels, loc="outside lower center", ncols=min(columns, len(labels)))
