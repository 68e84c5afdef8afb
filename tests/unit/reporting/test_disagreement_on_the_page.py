"""What the page says of who disagrees where: the numbers of the table, and no token as markup."""

import polars as pl

from read_again import disagreement
from report_fixture import HOSTILE, report_inputs
from selfdistill.reporting.page import render_report
from selfdistill.reporting.tables.disagreement import by_doubt, by_token, by_word
from selfdistill.tables import words


def test_the_page_tells_where_each_reader_disagrees() -> None:
    table = by_doubt(report_inputs(**disagreement()))
    assert table is not None
    assert [group.title for group in table.groups] == [
        "base, told guided",
        "ssd/seed-0, told nothing",
    ]
    first, *rows = [row.cells for row in table.groups[0].rows]
    assert first[0] == words.EVERY_TOKEN and first[6].startswith("100.0")
    doubts = next(cells for cells in rows if cells[:2] == ["perhaps", words.WHOLE_WORD])
    assert doubts[3] == "3.00" and doubts[2] == "20" and doubts[6].startswith("73")


def test_a_token_never_becomes_markup_and_its_spaces_are_seen() -> None:
    page = render_report(report_inputs(**disagreement(HOSTILE)))
    assert 'id="where"' in page and HOSTILE not in page and "␣&lt;script&gt;" in page


def test_a_study_that_reads_nothing_again_says_nothing_of_it() -> None:
    page = render_report(report_inputs())
    assert 'id="where"' not in page and by_word(report_inputs()) is None and by_token(report_inputs()) is None


def test_of_an_arm_the_first_training_is_shown() -> None:
    table = disagreement()["context_kl"]
    again = table.filter(reader="ssd/seed-0/at-100").with_columns(reader=pl.lit("ssd/seed-1000/at-100"))
    shown = by_doubt(report_inputs(context_kl=pl.concat([table, again])))
    assert shown is not None and [group.title for group in shown.groups] == [
        "base, told guided",
        "ssd/seed-0, told nothing",
    ]
