"""For which problems? Effects by the base's solve rate, by level and by source, and whether the groups differ."""

from typing import Any

import polars as pl

from selfdistill.reporting import formatting as fmt
from selfdistill.reporting.inputs import ReportInputs, arm_names
from selfdistill.reporting.numbers.names import numbered
from selfdistill.reporting.tables.table import Group, Row, Table
from selfdistill.tables import words

LEVEL = 0.05  # an adjusted p below it is marked
MARK = "*"
DIFFER = "p, the groups differ"
READ = (
    "Differences in accuracy from the base at the same decode, percentage points, 95 % intervals; behind each, how "
    "many problems. {mark} adjusted p below 0.05, Benjamini–Hochberg over all groups of all arms and decodes. The last column "
    "tests whether the effect is the same in all groups of its row (Welch, over families), adjusted over all such rows."
)


def by_base_solve_rate(inputs: ReportInputs) -> Table | None:
    note = (
        "The base’s draws are halved: one half says where a problem belongs, the other is what the arm is compared with, and "
        "this is averaged over the ways to halve them. Were problems sorted by the same answers that measure the effect, hard "
        "ones would gain and easy ones lose by chance alone."
    )
    caption = "Effect by how the base did on the problem: of the draws that sort, it was"
    return _effects(inputs, words.BY_BASE, caption, note)


def by_level(inputs: ReportInputs) -> Table | None:
    return _effects(inputs, words.BY_LEVEL, "Effect by the level of the problems")


def by_source(inputs: ReportInputs) -> Table | None:
    return _effects(inputs, words.BY_SOURCE, "Effect by the source of the problems")


def _effects(inputs: ReportInputs, grouping: str, caption: str, note: str = "") -> Table | None:
    """A column for each group, and a row for each arm at each decode."""
    if inputs.difficulty is None:
        return None
    table = inputs.difficulty.filter(pl.col("grouping") == grouping)
    if table.is_empty():
        return None
    names = table["group"].unique(maintain_order=True).to_list()
    groups = []
    for decode in table["decode_id"].unique(maintain_order=True):
        here = table.filter(pl.col("decode_id") == decode)
        rows = []
        for arm in arm_names(inputs.study):
            effects = {row["group"]: row for row in here.filter(pl.col("arm") == arm).to_dicts()}
            if effects:
                differ = next(iter(effects.values()))["groups_p_adjusted"]
                rows.append(Row([arm, *(_cell(effects.get(name)) for name in names), fmt.p_value(differ)]))
        groups.append(Group(rows, f"at {decode}"))
    told = f"{note} {READ.format(mark=MARK)}".strip()
    return Table(caption, ["arm", *names, DIFFER], groups, "analysis/difficulty.parquet", told)


def _cell(row: dict[str, Any] | None) -> str:
    if row is None:
        return fmt.MISSING
    marked = MARK if row["p_adjusted"] is not None and row["p_adjusted"] < LEVEL else ""
    return numbered(f"{fmt.points_with_interval(row)}{marked}, {fmt.count(row['problems'])}", "difficulty", row)
