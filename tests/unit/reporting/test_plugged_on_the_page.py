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


def test_what_turns_or_moves_text_is_seen_and_the_contents_name_the_section() -> None:
    rows = [("odd", "ab12", 0, "a\x1b[1m", "safe\u202eevil\x00", None, False)]
    page = render_report(report_inputs(plugged=pl.DataFrame(rows, schema=PLUGGED, orient="row")))
    assert "safe⟨202E⟩evil⟨0000⟩" in page and "a⟨001B⟩[1m" in page
    assert not {"\x1b", "\u202e", "\x00"} & set(page)
    assert '<a href="#plugged">' in page.split("<nav")[1].split("</nav>")[0]


def test_a_page_without_plugins_says_nothing_of_them() -> None:
    page = render_report(report_inputs())
    assert 'id="plugged"' not in page and 'href="#plugged"' not in page


def test_the_plugins_of_the_record_are_told_in_words() -> None:
    plugins = [
        {"file": "a.py", "offers": "engine mine", "digest": "ab12"},
        {"file": "b; c.py", "offers": "judge x", "digest": "cd34"},
    ]
    page = render_report(report_inputs(provenance={"python": "3.12.1", "plugins": plugins}))
    assert "<dt>plugins</dt> <dd>a.py (engine mine), SHA-256 ab12…; b; c.py (judge x), SHA-256 cd34…</dd>" in page
