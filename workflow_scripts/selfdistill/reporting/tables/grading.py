"""What rests on the grader: answers that it came to no end with, answers on which its two readers disagree, its version."""

import polars as pl

from selfdistill.foundation.wording import points
from selfdistill.reporting import formatting as fmt
from selfdistill.reporting.inputs import ReportInputs
from selfdistill.reporting.tables.table import Group, Row, Table
from selfdistill.tables.endings import ANSWERED, CORRECT, GRADER_FAILED, TIMEOUT, UNDECIDED, Reading

EQUAL: Reading = "equal"
UNRECORDED = "one that did not record its version"
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


def disputed_answers(inputs: ReportInputs) -> Table | None:
    """By model, evaluation answers only; None where the readers never disagree, or where only one of them was asked."""
    table = inputs.sampled
    if table is None or "disputed" not in table.columns:
        return None
    counts = count_disputed(table)
    if not counts["disputed"].sum():
        return None
    numbers = ("completions", "answers", "disputed", "strict", "lenient")
    rows = [
        Row([
            row["model_id"], *(fmt.count(row[name]) for name in numbers), fmt.percent(row["counted"], 2),
            fmt.percent(row["if_lenient"], 2), points(row["if_lenient"] - row["counted"], 2),
        ])
        for row in counts.to_dicts()
    ]  # fmt: skip
    note = (
        "Two readers see an answer that is not plainly the gold: a strict one, and math-verify with its own settings. Where one "
        "says equal and the other different, the strict one counts. The last two columns show the accuracy if the lenient one "
        "were right in every such case, and the difference that this could make. Accuracy is here the share of all evaluation "
        "completions that are correct: every decode, problem and draw together."
    )
    columns = [
        "model", "completions", "answers", "disputed", "credited by the strict alone", "by the lenient alone", "accuracy as counted",
        "if the lenient were right", "difference, points",
    ]  # fmt: skip
    return Table("Answers on which two readers disagree", columns, [Group(rows)], "models/*/graded.parquet", note)


def count_disputed(graded: pl.DataFrame) -> pl.DataFrame:
    """Every evaluated model: its completions and answers, those that are disputed, which reader alone credits them, and
    the accuracy as counted and with the lenient reader's word in their place."""
    disputed, right = pl.col("disputed").fill_null(False), pl.col("verdict") == CORRECT
    counts = graded.filter(pl.col("purpose") == "eval").group_by("model_id").agg(
        pl.len().alias("completions"),
        (pl.col("finish_class") == ANSWERED).sum().alias("answers"),
        disputed.sum().alias("disputed"),
        *((disputed & (pl.col(reader) == EQUAL)).sum().alias(reader) for reader in ("strict", "lenient")),
        right.mean().alias("counted"),
        pl.when(disputed).then(pl.col("lenient") == EQUAL).otherwise(right).mean().alias("if_lenient"),
    )  # fmt: skip
    return counts.sort("model_id")


def grader_versions(inputs: ReportInputs) -> list[str]:
    """Of everything that was graded, the oldest first; what an older version graded does not say by which."""
    table = inputs.sampled
    if table is None or "grader" not in table.columns:
        return []
    versions = table["grader"].unique().to_list()
    known = sorted((name for name in versions if name is not None), key=lambda name: (len(name), name))
    return [*([UNRECORDED] if None in versions else []), *known]
