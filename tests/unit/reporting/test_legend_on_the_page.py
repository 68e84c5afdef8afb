"""The legend on the report's first screen: before the first answer, and with a line for every arm and decode that the page names."""

import html
import re
from collections.abc import Callable
from dataclasses import fields
from functools import cache

import polars as pl
import pytest

import report_practice_fixture as practised
from report_fixture import HOSTILE, report_inputs
from selfdistill.reporting.inputs import ReportInputs
from selfdistill.reporting.page import render_report
from selfdistill.study.legend import SSD, legend_of
from selfdistill.tables import words

pytestmark = pytest.mark.usefixtures("undrawn")

INPUTS: dict[str, Callable[[], ReportInputs]] = {"samples": report_inputs, "practice": practised.practice_inputs}
NOT_NAMES = {words.EVERY_DECODE, ""}


@cache
def page_of(made: Callable[[], ReportInputs]) -> str:
    return render_report(made())


def explained(page: str) -> set[str]:
    """The names that the legend has a line for."""
    legend = re.search(r'<details class="names".*?</details>', page, re.DOTALL)
    assert legend is not None
    return {html.unescape(name) for name in re.findall(r"<dt>(.*?)</dt> <dd>.+?</dd>", legend[0])}


def named(inputs: ReportInputs) -> set[str]:
    """Arms and decodes in any frame that tables and figures are made from."""
    found: set[str] = set()
    for frame in (getattr(inputs, field.name) for field in fields(inputs)):
        if isinstance(frame, pl.DataFrame):
            for column in ("arm", "decode_id", "against_decode_id"):
                found |= set(frame[column].drop_nulls().unique()) if column in frame.columns else set()
    return found - NOT_NAMES


@pytest.mark.parametrize("made", INPUTS.values(), ids=INPUTS)
def test_the_legend_names_all_that_tables_and_figures_name(made: Callable[[], ReportInputs]) -> None:
    there = explained(page_of(made))
    assert named(made()) <= there and {"base", "plain"} <= there and len(named(made())) > 5


def test_it_stands_before_the_first_answer_and_says_what_the_library_says() -> None:
    page = page_of(report_inputs)
    legend = legend_of(report_inputs().study)
    assert page.index('class="names"') < page.index('class="answers"')
    said = {html.unescape(text) for text in re.findall(r"<dd>(.*?)</dd>", page[: page.index('class="answers"')])}
    assert {*legend.arms.values(), *legend.decodes.values()} <= {text.replace("\u202f", "\u2009") for text in said}


def test_a_long_legend_hides_none_of_its_lines() -> None:
    styles = re.findall(r"\.(?:meanings|names)[^{}]*\{([^}]*)\}", page_of(report_inputs))
    assert styles and not re.search("height: [0-9]|overflow", " ".join(styles).replace("line-height", ""))


def test_ssd_is_spelled_out_where_it_first_stands() -> None:
    body = re.sub(r"<style>.*?</style>", "", page_of(report_inputs), flags=re.DOTALL)
    first = re.search(r"\bssd\b", body, re.IGNORECASE)
    assert first is not None and body[first.start() :].startswith(SSD)


def test_a_name_in_the_study_is_text_and_no_markup() -> None:
    study = report_inputs().study
    hostile = study | {"arms": study["arms"] | {HOSTILE: {"decode": "ssd", "keep": "finished", "training": {"lora": {
        "rank": 2, "alpha": 2, "modules": [HOSTILE]}}}}}  # fmt: skip
    page = render_report(report_inputs(study=hostile))
    assert "<script>alert" not in page and HOSTILE in html.unescape(page)
