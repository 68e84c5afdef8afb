"""The sections "Was the grader right?" and "For which problems?", and the table of several draws."""

import polars as pl
import pytest

from report_fixture import HOSTILE, STUDY, answers_by_question, report_inputs
from selfdistill.reporting.page import render_report
from selfdistill.reporting.tables import difficulty, grading, pass_at_k
from selfdistill.reporting.tables.table import Table
from selfdistill.tables import words
from selfdistill.tables.analysis import CORRECTED, DIFFICULTY, GRADER_ERRORS
from selfdistill.tables.schema import empty_table

pytestmark = pytest.mark.usefixtures("undrawn")

ARMS = list(STUDY["arms"])


def shaped(table: Table | None) -> Table:
    assert table is not None
    assert all(len(row.cells) == len(table.columns) for group in table.groups for row in group.rows)
    return table


def test_the_grader_is_shown_by_arm_beside_the_base() -> None:
    table = shaped(grading.grader_panel(report_inputs()))
    assert [group.title for group in table.groups] == ["at t06", "at t10", "at t15"]
    assert [row.cells[0] for row in table.groups[0].rows] == ["base", *ARMS]
    base, ssd = table.groups[0].rows[:2]
    assert base.cells[2::2] == ["–"] * 4 and all("[" in cell for cell in ssd.cells[2::2])
    page = render_report(report_inputs())
    assert "Was the grader right?" in page and "For which problems?" in page


def test_bounds_are_shown_where_something_is_disputed_and_a_sentence_where_nothing_is() -> None:
    shaped(grading.disputes_the_other_way(report_inputs()))
    table = answers_by_question()["grader"]
    agreed = table.with_columns(
        pl.when(pl.col("estimand") == words.DISPUTED_RATE).then(0.0).otherwise(name).alias(name)
        for name in ("level", "against_level")
    )
    assert grading.disputes_the_other_way(report_inputs(grader=agreed)) is None
    assert "no effect hangs on a dispute" in render_report(report_inputs(grader=agreed))
    assert "no effect hangs on a dispute" not in render_report(report_inputs())


def test_an_unfilled_sheet_is_told_of_and_a_filled_one_shows_what_it_found() -> None:
    unfilled = report_inputs(corrected=empty_table(CORRECTED), grader_errors=empty_table(GRADER_ERRORS))
    page = render_report(unfilled)
    assert "results/audit/sheet.csv" in page and "evaluation.audit.filled" in page
    assert grading.corrected_effects(unfilled) is None and grading.errors_found(unfilled) is None
    corrected, errors = (shaped(make(report_inputs())) for make in (grading.corrected_effects, grading.errors_found))
    assert [group.title for group in corrected.groups] == [words.EVERY_DECODE, "at t06", "at t10", "at t15"]
    assert errors.groups[0].title == "base" and len(errors.groups) == 1 + len(ARMS)
    assert grading.sheet_to_fill(report_inputs()) == ""
    assert "audit/sheet.csv" not in render_report(report_inputs())
    assert grading.sheet_to_fill(report_inputs(grader=None)) == ""


def test_effects_are_split_with_a_test_whether_the_parts_differ() -> None:
    by_base = shaped(difficulty.by_base_solve_rate(report_inputs()))
    assert by_base.columns[1:4] == [words.SOLVED_NONE, words.SOLVED_SOME, words.SOLVED_ALL]
    assert by_base.columns[-1] == "p, the groups differ" and [row.cells[0] for row in by_base.groups[0].rows] == ARMS
    assert shaped(difficulty.by_level(report_inputs())).columns[1:5] == ["1", "2", "3", "4"]
    assert shaped(difficulty.by_source(report_inputs())).columns[1:3] == ["exam", "olympiad"]


def test_with_one_draw_of_the_base_the_page_says_what_cannot_be_told() -> None:
    table = answers_by_question()["difficulty"].filter(pl.col("grouping") != words.BY_BASE)
    assert "cannot be told from one answer of the base" in render_report(report_inputs(difficulty=table))
    assert "cannot be told from one answer of the base" not in render_report(report_inputs())
    assert difficulty.by_level(report_inputs(difficulty=empty_table(DIFFICULTY))) is None


def test_what_a_source_is_called_is_text_and_no_markup() -> None:
    named = answers_by_question()["difficulty"].with_columns(pl.col("group").replace("exam", HOSTILE))
    assert "<script>alert" not in render_report(report_inputs(difficulty=named))


def test_k_of_all_draws_is_marked_and_majorities_stand_beside() -> None:
    table = shaped(pass_at_k.pass_at_k(report_inputs()))
    assert table.columns == ["model", "pass@1 = avg@n", "pass@2", "pass@4", "maj@3", "maj@4", "draws", "n"]
    marked = [[cell.endswith("†") for cell in row.cells] for group in table.groups for row in group.rows]
    assert all(row == [False, False, False, True, False, False, False, False] for row in marked)


def test_two_draws_have_no_majority_and_one_no_table() -> None:
    solving = answers_by_question()["solving"]
    two = solving.filter(pl.col("k") <= 2, ~pl.col("estimand").str.starts_with("maj")).with_columns(
        draws=pl.lit(2, pl.Int32)
    )
    table = shaped(pass_at_k.pass_at_k(report_inputs(solving=two)))
    assert "needs 3 draws of a problem, and there are 2 draws" in table.note
    assert table.groups[0].rows[0].cells[2].endswith("†") and not table.groups[0].rows[0].cells[1].endswith("†")
    one = two.filter(pl.col("k") == 1).with_columns(draws=pl.lit(1, pl.Int32))
    assert pass_at_k.pass_at_k(report_inputs(solving=one)) is None
