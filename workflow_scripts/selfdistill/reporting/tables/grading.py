"""Answers that count as wrong because the grader came to no end with them, not because they were found to differ."""

import polars as pl

from selfdistill.reporting import formatting as fmt
from selfdistill.reporting.inputs import ReportInputs
from selfdistill.reporting.tables.table import Group, Row, Table
from selfdistill.tables.endings import ANSWERED, GRADER_FAILED, TIMEOUT, UNDECIDED

COLUMNS = {TIMEOUT: "out of time", GRADER_FAILED: GRADER_FAILED}


def undecided_answers(inputs: ReportInputs) -> Table | None:
    """By model; None where every answer was judged."""
    table = inputs.sampled
    if table is None or "reason" not in table.columns:
        return None
    counts = count_undecided(table)
    if counts.is_empty():
        return None
    rows = [
        Row([row["model_id"], *(fmt.count(row[reason]) for reason in ("answers", *UNDECIDED))])
        for row in counts.to_dicts()
    ]
    note = (
        "They count as wrong. Each was asked twice, the second time alone; to give the grader longer, raise "
        "grading.seconds_per_answer."
    )
    columns = ["model", "answers", *COLUMNS.values()]
    return Table("Answers that the grader could not decide", columns, [Group(rows)], "models/*/graded.parquet", note)


def count_undecided(graded: pl.DataFrame) -> pl.DataFrame:
    """Models with such answers: how many answers each has, and how many for each reason."""
    counts = graded.group_by("model_id").agg(
        (pl.col("finish_class") == ANSWERED).sum().alias("answers"),
        *((pl.col("reason") == reason).sum().alias(reason) for reason in UNDECIDED),
    )
    return counts.filter(pl.sum_horizontal(*UNDECIDED) > 0).sort("model_id")
