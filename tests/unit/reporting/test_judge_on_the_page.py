"""What the page says of a judge: its numbers as they stand in the table, and nothing that it wrote as markup."""

from judged_answers import MODELS, judged_tables
from report_fixture import HOSTILE, report_inputs
from selfdistill.reporting.figures.annotation import judge_and_words
from selfdistill.reporting.inputs import ReportInputs
from selfdistill.reporting.page import render_report
from selfdistill.reporting.tables.annotation import judged
from selfdistill.tables import words


def inputs() -> ReportInputs:
    return report_inputs(**judged_tables(HOSTILE))


def test_the_page_tells_agreement_model_by_model() -> None:
    table = judged(inputs())
    assert table is not None and [group.title for group in table.groups] == list(MODELS)
    cells = {row.cells[0]: row.cells for row in table.groups[0].rows}
    assert cells[words.with_markers(words.BIAS)][1] == "0.50" and cells[words.with_markers(words.BIAS)][3] == "8"
    assert cells[words.replies(words.AS_ASKED)][1].startswith("100.0")
    assert words.JUDGED_DIFFERENCE in {row.cells[0] for row in table.groups[1].rows}
    assert "which says it is judge-1" in table.caption


def test_what_a_judge_is_called_never_becomes_markup() -> None:
    page = render_report(inputs())
    assert 'id="judge"' in page and "judge-and-words" in page
    assert HOSTILE not in page and "&lt;script&gt;" in page


def test_a_study_without_a_judge_says_nothing_of_one() -> None:
    page = render_report(report_inputs())
    assert 'id="judge"' not in page and "#judge" not in page
    assert judged(report_inputs()) is None and judge_and_words(report_inputs()) is None
