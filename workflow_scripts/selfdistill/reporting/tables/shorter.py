"""Is a gain more than finishing more often? Differences from the base in what the token cap does."""

from collections.abc import Iterator
from typing import Any

import polars as pl

from selfdistill.reporting import formatting as fmt
from selfdistill.reporting.inputs import ReportInputs, arm_names
from selfdistill.reporting.select import (
    decodes_at_the_end,
    final_differences,
    one_per_arm,
)
from selfdistill.reporting.tables.table import Group, Row, Table
from selfdistill.tables import words


def shorter_answers(inputs: ReportInputs) -> Table | None:
    """Is a gain more than finishing more often? Paired differences from base of what the token cap does."""
    accuracy = final_differences(inputs, words.ACCURACY, words.MATCHED).filter("leads")
    if accuracy.is_empty():
        return None
    groups = []
    for decode in decodes_at_the_end(inputs):
        rows = []
        for arm in arm_names(inputs.study):
            for row in one_per_arm(accuracy.filter((pl.col("decode_id") == decode) & (pl.col("arm") == arm))):
                rows.append(Row([arm, *_shorter_cells(inputs, row)]))
        groups.append(Group(rows, f"at {decode}"))
    columns = ["arm", "accuracy", "where both finished", "bounds", "cut rate", "loop rate", "mean tokens"]
    return Table(
        "Differences from the base at the same decode, in percentage points (mean tokens in tokens)",
        columns,
        groups,
        "analysis/comparisons.parquet",
        "95 % intervals, paired t over problems or their families. “Where both finished” compares only answers that finished on "
        "both sides, which is itself a selection. Bounds: the difference in accuracy if every cut answer of the base had been "
        "correct, and if every cut answer of the arm had been.",
    )


def _shorter_cells(inputs: ReportInputs, accuracy: dict[str, Any]) -> Iterator[str]:
    def difference(estimand: str) -> dict[str, Any]:
        rows = final_differences(inputs, estimand, words.MATCHED).filter("leads")
        same = rows.filter(
            (pl.col("model_id") == accuracy["model_id"]) & (pl.col("decode_id") == accuracy["decode_id"])
        )
        return next(iter(one_per_arm(same)), {})

    yield fmt.points_with_interval(accuracy)
    yield fmt.points_with_interval(difference(words.WHEN_BOTH_FINISHED))
    bounds = [difference(words.cut_counted_for(whom)).get("estimate") for whom in ("base", words.THE_ARM)]
    yield " to ".join(map(fmt.points, bounds)) if None not in bounds else fmt.MISSING
    yield fmt.points_with_interval(difference(words.CUT_RATE))
    yield fmt.points_with_interval(difference(words.LOOP_RATE))
    tokens = difference(words.MEAN_TOKENS)
    ends = fmt.interval(tokens.get("low"), tokens.get("high"), 0, signed=True)
    yield f"{fmt.number(tokens.get('estimate'), 0, signed=True)} {ends}".strip()
