"""Was the grader right? What it could not judge, by arm; what hangs on its disputes; what a person found; its version."""

from collections.abc import Iterator

import polars as pl

from selfdistill.reporting import formatting as fmt
from selfdistill.reporting.inputs import ReportInputs, arm_names
from selfdistill.reporting.numbers.names import numbered
from selfdistill.reporting.tables.table import Group, Row, Table
from selfdistill.tables import words
from selfdistill.tables.endings import ANSWERED, GRADER_FAILED, TIMEOUT, UNDECIDED

UNRECORDED = "one that did not record its version"
COLUMNS = {TIMEOUT: "out of time", GRADER_FAILED: GRADER_FAILED}
RATES = {
    words.UNREAD_RATE: "unreadable",
    words.TIMED_OUT_RATE: "out of time",
    words.DISPUTED_RATE: "disputed",
    words.NO_ANSWER_RATE: "not in the format",
}
BOUNDS = {
    words.ACCURACY: "as graded",
    words.DISPUTES_AGAINST: "all against the arm",
    words.DISPUTES_FOR: "all for the arm",
    words.IF_LENIENT: "as the lenient reader says",
}


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


def grader_panel(inputs: ReportInputs) -> Table | None:
    """What the grader could not judge or judged two ways, for every finished arm beside the base."""
    if inputs.grader is None or inputs.grader.is_empty():
        return None
    groups = []
    for decode in inputs.grader["decode_id"].unique(maintain_order=True):
        here = inputs.grader.filter(pl.col("decode_id") == decode)
        arms = [arm for arm in arm_names(inputs.study) if arm in here["arm"]]
        rows = [Row(["base", *_panel_cells(here.filter(pl.col("arm") == arms[0]), of_base=True)])] if arms else []
        rows += [Row([arm, *_panel_cells(here.filter(pl.col("arm") == arm))]) for arm in arms]
        groups.append(Group(rows, f"at {decode}"))
    columns = ["model", *(cell for name in RATES.values() for cell in (name, "less the base"))]
    note = (
        "Shares of all answers, and differences from the base in percentage points with 95 % intervals. Unreadable: neither "
        "reader makes an object of the answer. Disputed: one of the two readers sees the gold in it and the other another "
        "answer; the strict one counts. Not in the format: it finished without an answer in the asked one. All but the credited count as wrong. An error "
        "that meets an arm and the base alike leaves their difference alone; one that meets them differently moves it."
    )
    return Table(
        "What the grader could not judge, or judged two ways", columns, groups, "analysis/grader.parquet", note
    )


def _panel_cells(of_arm: pl.DataFrame, of_base: bool = False) -> Iterator[str]:
    rows = {row["estimand"]: row for row in of_arm.to_dicts()}
    for rate in RATES:
        row = rows.get(rate, {})
        yield fmt.percent(row.get("against_level" if of_base else "level"))
        yield fmt.MISSING if of_base else numbered(fmt.points_with_interval(row), "grader", row)


def disputes_the_other_way(inputs: ReportInputs) -> Table | None:
    """Bounds of each effect; None where nothing is disputed."""
    table = inputs.grader
    if table is None or not _any_disputed(table):
        return None
    groups = []
    for decode in table["decode_id"].unique(maintain_order=True):
        here = table.filter(pl.col("decode_id") == decode)
        rows = []
        for arm in arm_names(inputs.study):
            found = {row["estimand"]: row for row in here.filter(pl.col("arm") == arm).to_dicts()}
            if found:
                bounds = (found.get(name, {}) for name in BOUNDS)
                rows.append(Row([arm, *(numbered(fmt.points_with_interval(row), "grader", row) for row in bounds)]))
        groups.append(Group(rows, f"at {decode}"))
    note = (
        "Differences in accuracy from the base, percentage points, 95 % intervals. Against the arm: every disputed answer of it "
        "counted as wrong and every one of the base as right; for the arm, the reverse. The truth lies between, as far as the "
        "readers err only where they disagree. The lenient reader is math-verify with its own settings."
    )
    return Table(
        "The effects if every disputed answer went the other way", ["arm", *BOUNDS.values()], groups,
        "analysis/grader.parquet", note,
    )  # fmt: skip


def _any_disputed(table: pl.DataFrame) -> bool:
    disputed = table.filter(pl.col("estimand") == words.DISPUTED_RATE)
    return bool(((disputed["level"] > 0) | (disputed["against_level"] > 0)).any())


def corrected_effects(inputs: ReportInputs) -> Table | None:
    """None before a person has filled the sheet."""
    table = inputs.corrected
    if table is None or table.is_empty():
        return None
    groups = []
    for decode in sorted(table["decode_id"].unique(maintain_order=True), key=lambda name: name != words.EVERY_DECODE):
        rows = []
        for row in table.filter(pl.col("decode_id") == decode).to_dicts():
            graded = {"estimate": row["graded"], "low": row["graded_low"], "high": row["graded_high"]}
            effects = (
                numbered(fmt.points_with_interval(graded), "corrected", row, "graded"),
                numbered(fmt.points_with_interval(row), "corrected", row),
            )
            open_ends = f"{fmt.points(row['worst'])} to {fmt.points(row['best'])}"
            limits = fmt.points_interval(row["worst_low"], row["best_high"])
            rows.append(Row([row["arm"], *effects, f"{open_ends} {limits}", fmt.count(row["audited"])]))
        groups.append(Group(rows, decode if decode == words.EVERY_DECODE else f"at {decode}"))
    note = (
        "Differences in accuracy from the base, percentage points, 95 % intervals. The person\u2019s verdicts on the audited "
        "rows say how far the grader is off in each stratum, and the strata\u2019s shares of all answers carry that to the "
        "effect; the interval holds the uncertainty of the audit too. If what is open went either way: unclear rows, and strata "
        "of which no row was audited, all against the arm or all for it. At one decode it is taken that within a stratum the "
        "grader errs there as it does at the others. Answers that were cut or are not in the asked format stay wrong: the study says so."
    )
    columns = ["arm", "as graded", "corrected", "if what is open went either way", "rows audited"]
    return Table("Effects with the grader\u2019s errors taken out", columns, groups, "analysis/corrected.parquet", note)


def errors_found(inputs: ReportInputs) -> Table | None:
    table = inputs.grader_errors
    if table is None or table.is_empty():
        return None
    groups = []
    for side in table["side"].unique(maintain_order=True):
        rows = [
            Row([
                row["kind"], *(fmt.count(row[name]) for name in ("answers", "audited", "unclear", "wrongly_credited", "wrongly_refused")),
                numbered(
                    fmt.percent_with_interval({"estimate": row["error_rate"], **{end: row[end] for end in ("low", "high")}}),
                    "grader_errors", row, "error_rate",
                ),
            ])
            for row in table.filter(pl.col("side") == side).to_dicts()
        ]  # fmt: skip
        groups.append(Group(rows, side))
    columns = ["stratum", "answers", "audited", "unclear", "wrongly credited", "wrongly refused", "share of errors"]
    note = (
        "By what the grader made of the answers that it judged. Brackets are Wilson\u2019s 95 % intervals: where no error was "
        "found, their upper end is what the audit cannot exclude."
    )
    return Table("Errors of the grader that the audit found", columns, groups, "analysis/grader_errors.parquet", note)


def sheet_to_fill(inputs: ReportInputs) -> str:
    """How a person would judge the grader; empty once one has."""
    if inputs.grader is None or (inputs.corrected is not None and not inputs.corrected.is_empty()):
        return ""
    return (
        f"No person has judged these answers yet. {inputs.results}/audit/sheet.csv holds a sample of them, without a word of who "
        "wrote them and what the grader said: copy it, write yes, no or unclear in its column right, name the copy in the study "
        "file as evaluation.audit.filled and run again. Nothing is sampled or trained anew, and this section shows the effects "
        "with the grader\u2019s errors taken out."
    )


def grader_versions(inputs: ReportInputs) -> list[str]:
    """Of everything that was graded, the oldest first; what an older version graded does not say by which."""
    table = inputs.sampled
    if table is None or "grader" not in table.columns:
        return []
    versions = table["grader"].unique().to_list()
    known = sorted((name for name in versions if name is not None), key=lambda name: (len(name), name))
    return [*([UNRECORDED] if None in versions else []), *known]
