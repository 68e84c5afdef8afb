"""Answers that are not in the asked format: how many, where they stand instead, and how many of them would be right."""

import polars as pl

from selfdistill.analysis.formats import format_alarms
from selfdistill.reporting import formatting as fmt
from selfdistill.reporting.inputs import ReportInputs, arm_names
from selfdistill.reporting.select import arm_of_model
from selfdistill.reporting.tables.table import Group, Row, Table, word
from selfdistill.tables.endings import NO_ANSWER

ASKED = {
    "boxed": "a closed \\boxed{} in the final part",
    "line": "Answer: and the answer on the last line of the final part",
}
NO_STATEMENT = "no answer at all"


def asked_format(inputs: ReportInputs) -> str:
    return ASKED[inputs.study.get("grading", {}).get("answer", "boxed")]


def answers_in_other_formats(inputs: ReportInputs) -> Table | None:
    """None where every completion that ended by itself answers in the asked format."""
    table = inputs.formats
    if table is None or table.filter(pl.col("finish_class") == NO_ANSWER).is_empty():
        return None
    finished = ~pl.col("model_id").str.contains("/at-") | pl.col("model_id").str.ends_with("/at-100")
    here = table.filter(finished).with_columns(arm=arm_of_model())
    groups = []
    for arm in arm_names(inputs.study):
        for (model, decode), cell in here.filter(pl.col("arm") == arm).group_by(
            "model_id", "decode_id", maintain_order=True
        ):
            if rows := _rows(cell):
                groups.append(Group(rows, f"{model} at {decode}"))
    note = (
        f"Completions that ended by themselves without an answer in the asked format, which is {asked_format(inputs)}. "
        "They count as wrong. A lenient look says whether an answer stands there all the same: a box, else what is last said to "
        "be the answer, else the last number. Right there: those that would be right if that counted; they are in no accuracy."
    )
    columns = ["where the answer stands", "answers", "of all answers", "right there", "right there, of all answers"]
    return Table("Answers that are not in the asked format", columns, groups, "models/*/graded.parquet", note)


def _rows(cell: pl.DataFrame) -> list[Row]:
    asked = int(cell["answers"].sum())
    without = cell.filter(pl.col("finish_class") == NO_ANSWER)
    by_format = without.group_by("other_format").agg(pl.col("answers", "right_otherwise").sum())
    return [
        Row([
            word(row["other_format"] or NO_STATEMENT), fmt.count(row["answers"]), fmt.percent(row["answers"] / asked),
            fmt.count(row["right_otherwise"]), fmt.percent(row["right_otherwise"] / asked),
        ])
        for row in by_format.sort("answers", "other_format", descending=[True, False]).to_dicts()
    ]  # fmt: skip


def alarms(inputs: ReportInputs) -> list[str]:
    return [] if inputs.formats is None else list(format_alarms(inputs.formats))
