"""What the user's own analyses give stands on the page as it is, and as text alone."""

import polars as pl

from report_fixture import report_inputs
from selfdistill.reporting.page import render_report
from selfdistill.tables.analysis import PLUGGED

HOSTILE = "<script>alert(1)</script>"


def test_an_analysis_of_the_users_is_shown_and_escaped() -> None:
    rows = [
        ("longest", "ab12", 0, HOSTILE, HOSTILE, None, False),
        ("longest", "ab12", 0, "tokens", None, 1234.0, True),
    ]
    page = render_report(report_inputs(plugged=pl.DataFrame(rows, schema=PLUGGED, orient="row")))
    section = page.split('id="plugged"')[1].split("</section>")[0]
    assert "1,234" in section and "&lt;script&gt;" in section and "ab12" in section
    assert HOSTILE not in page


def test_a_page_without_plugins_says_nothing_of_them() -> None:
    assert 'id="plugged"' not in render_report(report_inputs())
