"""A model that does not know the asked format is an alarm on top of the page; one that does is none."""

from typing import Any

import polars as pl
import pytest

from report_fixture import HOSTILE, STUDY, report_inputs
from selfdistill.analysis.formats import FORMATS, count_formats, format_alarms
from selfdistill.reporting.page import render_report
from selfdistill.reporting.tables.formats import answers_in_other_formats
from selfdistill.tables.sampling import GRADED

pytestmark = pytest.mark.usefixtures("undrawn")

ALARM = "Nobody answers in the asked format."


def answers(n: int, finish_class: str = "no_answer", other: str | None = None, **more: Any) -> list[dict[str, Any]]:
    row = {
        "model_id": "base",
        "decode_id": "t10",
        "source": "quiz",
        "finish_class": finish_class,
        "verdict": "unanswered",
    }
    return [row | {"other_format": other, "other_correct": None if other is None else False} | more] * n


def counted(*rows: list[dict[str, Any]]) -> pl.DataFrame:
    flat = [row for part in rows for row in part]
    return count_formats(pl.DataFrame(flat, schema={name: GRADED[name] for name in flat[0]}))


def test_a_format_that_nobody_answers_in_is_an_alarm_and_not_a_result() -> None:
    formats = counted(
        answers(30, other="the answer is"), answers(10, other="the answer is", other_correct=True), answers(5, "cut"),
        answers(40, "answered", source="exam", verdict="correct"),
    )  # fmt: skip
    (said,) = format_alarms(formats)
    assert said == (
        "base at t10 on quiz: of 40 answers that ended by themselves 40 are not in the asked format, and none is right; in "
        "another format 10 (25.0 %) would be."
    )
    page = render_report(report_inputs(formats=formats))
    assert ALARM in page and said in page and "problems.examples" in page and "samples: reference" in page
    assert page.index(ALARM) < page.index("What the numbers describe")


def test_a_format_that_some_answer_in_is_no_alarm() -> None:
    some_right = counted(answers(99), answers(1, "answered", verdict="correct"))
    wrong_in_the_format = counted(answers(90), answers(10, "answered", verdict="wrong"))
    all_cut = counted(answers(100, "cut"), answers(9))  # nine say nothing, and what cut the others is told elsewhere
    for formats in (some_right, wrong_in_the_format, all_cut):
        assert list(format_alarms(formats)) == []
        assert ALARM not in render_report(report_inputs(formats=formats))
    assert ALARM not in render_report(report_inputs(formats=None))


def test_each_model_has_one_sentence_and_the_base_comes_first() -> None:
    formats = counted(
        answers(20, model_id="arm/seed-0/at-100"), answers(20), answers(20, source="exam"), answers(20, decode_id="t07")
    )
    said = list(format_alarms(formats))
    assert [each.split(":")[0] for each in said] == [
        "base at t07, t10 on quiz, exam",
        "arm/seed-0/at-100 at t10 on quiz",
    ]


def test_the_table_says_where_answers_stand_and_how_many_would_be_right() -> None:
    formats = counted(
        answers(50, "answered", verdict="correct"), answers(20, other="last number"), answers(20, other="box", other_correct=True),
        answers(10), answers(7, model_id="ssd/seed-0/at-050"),
    )  # fmt: skip
    table = answers_in_other_formats(report_inputs(formats=formats))
    assert table is not None and [group.title for group in table.groups] == ["base at t10"]
    assert [row.cells[:2] + row.cells[3:4] for row in table.groups[0].rows] == [
        ["box", "20", "20"], ["last number", "20", "0"], ["no answer at all", "10", "0"],
    ]  # fmt: skip
    assert table.groups[0].rows[0].cells[4] == "20.0\u2009%"
    assert answers_in_other_formats(report_inputs(formats=pl.DataFrame(schema=FORMATS))) is None


def test_the_page_names_the_format_that_the_study_asks_for() -> None:
    assert "a closed \\boxed{} in the final part" in render_report(report_inputs())
    line = {**STUDY, "grading": {**STUDY.get("grading", {}), "answer": "line"}}
    page = render_report(report_inputs(study=line))
    assert "Answer: and the answer on the last line" in page and "a closed \\boxed{}" not in page


def test_names_of_sources_are_text_in_the_alarm() -> None:
    page = render_report(report_inputs(formats=counted(answers(20, source=HOSTILE))))
    assert ALARM in page and HOSTILE not in page


def test_the_page_says_that_prompts_show_solved_problems_first() -> None:
    assert "shows the solved problems of" not in render_report(report_inputs())
    shown = {**STUDY, "problems": {**STUDY["problems"], "examples": "<b>shown</b>.jsonl"}}
    page = render_report(report_inputs(study=shown))
    assert "shows the solved problems of &lt;b&gt;shown&lt;/b&gt;.jsonl first" in page
