"""Figure of what the filter kept of the training samples, and which way that leans."""

import numpy as np
from matplotlib.figure import Figure

from selfdistill.reporting.inputs import ReportInputs, arm_names
from selfdistill.reporting.select import on_references, share_correct
from selfdistill.reporting.style import (
    AS_PERCENT,
    FINISH_COLOURS,
    INK,
    arm_look,
    figure_legend,
    new_figure,
)
from selfdistill.tables.endings import ANSWERED, CUT, EMPTY, LOOP


def audit(inputs: ReportInputs) -> Figure | None:
    """What the filter of each arm kept of what was sampled, and how often the kept ones were right."""
    audits = [
        (arm, inputs.audits[arm])
        for arm in arm_names(inputs.study)
        if arm in inputs.audits and not on_references(inputs.audits[arm])
    ]
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
