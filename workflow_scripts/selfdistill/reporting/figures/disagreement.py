"""Figure of where readers disagree with who wrote the text: the words that most of the KL falls on."""

import polars as pl
from matplotlib.figure import Figure

from selfdistill.reporting.inputs import ReportInputs
from selfdistill.reporting.select import there
from selfdistill.reporting.style import AS_PERCENT, INK, MUTED, new_figure, whiskers
from selfdistill.reporting.tables.disagreement import first_trainings, reader_name, visible
from selfdistill.tables import words
from selfdistill.tables.mechanism import CONTEXT_KL

WORDS, PANELS, COLUMNS = 8, 6, 3
DOUBT = "#D55E00"


def who_disagrees_where(inputs: ReportInputs) -> Figure | None:
    table = first_trainings(there(inputs.context_kl, CONTEXT_KL).drop_nulls("share"))
    shown = table.filter(pl.col("grouping") == words.BY_WORD, pl.col("place") == words.WHOLE_WORD)
    readers = shown["reader"].unique(maintain_order=True).to_list()[:PANELS]
    if not readers:
        return None
    doubt = set(table.filter(pl.col("grouping") == words.BY_DOUBT)["name"])
    columns, rows_of = min(COLUMNS, len(readers)), -(-len(readers) // COLUMNS)
    figure, panels = new_figure(1 + 2.45 * columns, 2.5 * rows_of, rows_of, columns)
    for panel in panels[len(readers) :]:
        panel.set_visible(False)
    for panel, reader in zip(panels, readers, strict=False):
        rows = shown.filter(pl.col("reader") == reader).head(WORDS).to_dicts()
        shares = [{"estimate": row["share"], "low": row["share_low"], "high": row["share_high"]} for row in rows]
        colours = [DOUBT if row["name"] in doubt else MUTED for row in rows]
        panel.barh(range(len(rows)), [row["share"] for row in rows], color=colours, height=0.65)
        panel.errorbar(
            [row["share"] for row in rows],
            range(len(rows)),
            xerr=whiskers(shares),
            fmt="none",
            ecolor=INK,
            elinewidth=1,
        )
        panel.set_yticks(range(len(rows)), [visible(row["name"])[:14] for row in rows])
        panel.set_ylim(len(rows) - 0.5, -0.5)
        panel.xaxis.set_major_formatter(AS_PERCENT)
        panel.set_title(reader_name(reader), fontsize=7)
        panel.grid(axis="y", visible=False)
        panel.set_xlabel("share of all KL")
    return figure
