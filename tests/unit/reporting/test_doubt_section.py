"""What a reader learns of doubt: sentences that follow the intervals, numbers of the tables, and no markup from a marker."""

from html import unescape
from typing import Any

import polars as pl
import pytest

from report_fixture import HOSTILE, STUDY, doubted, report_inputs
from selfdistill.reporting.doubt import against_base, doubt_decode, doubt_sentences
from selfdistill.reporting.figures.doubt import doubt_ratios, word_shift
from selfdistill.reporting.inputs import ReportInputs
from selfdistill.reporting.page import render_report
from selfdistill.reporting.tables.doubt import (
    doubt_against_base,
    doubt_between_arms,
    doubt_by_model,
    doubt_by_word,
    markers_against_others,
    words_that_shift_most,
)
from selfdistill.tables import words

pytestmark = pytest.mark.usefixtures("undrawn")


def planted(arm: str, estimand: str, estimate: float, low: float | None, high: float | None) -> ReportInputs:
    """The fixture's tables with this ratio of one arm at every decode."""
    here = (pl.col("arm") == arm) & (pl.col("estimand") == estimand) & pl.col("marker").is_null()
    ratios = doubted()["doubt_ratios"].with_columns(
        pl.when(here & (pl.col("scale") == words.RATIO)).then(pl.lit(value, pl.Float64)).otherwise(name).alias(name)
        for name, value in {"estimate": estimate, "low": low, "high": high}.items()
    )
    return report_inputs(doubt_ratios=ratios)


def said(inputs: ReportInputs, arm: str = "ssd") -> str:
    return next(found["sentence"] for found in doubt_sentences(inputs) if found["arm"].startswith(arm))


@pytest.mark.parametrize(
    ("ends", "reading"),
    [
        ((0.5, 0.4, 0.6), "0.50 [0.40, 0.60] times as many doubts per token as the base"),
        ((0.5, 0.4, 0.6), ": it doubts less."),
        ((2.0, 1.5, 2.5), ": it doubts more."),
        ((0.9, 0.7, 1.1), ": a difference is not shown."),
        ((0.0, None, None), "no interval"),
    ],
)
def test_the_sentence_follows_the_interval(ends: tuple[float, float | None, float | None], reading: str) -> None:
    inputs = planted("ssd", words.DOUBT_RATE, *ends)
    if ends[1] is None:
        ratios = inputs.doubt_ratios
        assert ratios is not None
        inputs = report_inputs(doubt_ratios=ratios.with_columns(method=pl.lit(words.too_little_doubt(5))))
    assert reading in said(inputs)


def test_a_sentence_names_lengths_first_tokens_and_other_words() -> None:
    sentence = said(report_inputs())
    for part in ("mong answers of the same lengths", "within the first 128 tokens", "The base’s other words it writes"):
        assert part in sentence
    assert said(report_inputs(), "aa").count("times as many doubts") == 1


def test_the_decode_shown_is_that_at_which_the_base_doubts_most() -> None:
    levels = doubted()["doubt"]
    chosen = doubt_decode(report_inputs())
    of_base = levels.filter(pl.col("arm") == "base", pl.col("estimand") == words.DOUBTS)
    final = of_base.filter(pl.col("decode_id").is_in(STUDY["evaluation"]["decodes"]["final"]))
    assert chosen == final.sort("estimate")["decode_id"][-1]
    silent = levels.with_columns(estimate=pl.lit(0.0))
    assert doubt_decode(report_inputs(doubt=silent)) is None


def section(inputs: ReportInputs) -> str:
    return unescape(render_report(inputs)).split('id="doubt"')[1].split("</section>")[0]


def test_a_study_that_never_doubts_says_so() -> None:
    silent = doubted()["doubt"].with_columns(estimate=pl.lit(0.0))
    assert "does the base write a word of doubt" in section(report_inputs(doubt=silent))
    uncounted = render_report(report_inputs(doubt=None, doubt_ratios=None, word_shift=None))
    assert 'id="doubt"' not in uncounted and "#doubt" not in uncounted


def test_tables_show_the_numbers_of_their_files() -> None:
    inputs = report_inputs()
    levels, ratios, by_word = doubt_by_model(inputs), doubt_against_base(inputs), doubt_by_word(inputs)
    groups, moved = markers_against_others(inputs), words_that_shift_most(inputs)
    assert levels and ratios and by_word and groups and moved
    decode = doubt_decode(inputs)
    wanted: dict[str, Any] = doubted()["doubt_ratios"].filter(
        pl.col("arm") == "keep-cut", pl.col("decode_id") == decode, pl.col("estimand") == words.DOUBT_RATE, pl.col("leads"),
        pl.col("marker").is_null(), pl.col("without").is_null(), pl.col("comparison") == words.MATCHED,
    ).row(0, named=True)  # fmt: skip
    group = next(group for group in ratios.groups if group.title == f"at {decode}")
    row = next(row for row in group.rows if row.cells[0] == "keep-cut")
    assert row.cells[2] == f"{wanted['estimate']:.2f} [{wanted['low']:.2f}, {wanted['high']:.2f}]"
    assert {row.cells[0] for group in by_word.groups for row in group.rows} == {"wait", "perhaps", HOSTILE}
    assert {row.cells[1] for group in moved.groups for row in group.rows} == {words.MARKER, words.OTHER_WORD}


def test_arms_that_a_hypothesis_compares_are_on_the_page() -> None:
    ratios = doubted()["doubt_ratios"]
    assert doubt_between_arms(report_inputs()) is None
    of_two = ratios.filter(pl.col("arm") == "keep-cut").with_columns(against=pl.lit("ssd"))
    table = doubt_between_arms(report_inputs(doubt_ratios=pl.concat([ratios, of_two])))
    decode = doubt_decode(report_inputs())
    assert table and f"at {decode}" in [group.title for group in table.groups]
    wanted = against_base(report_inputs(), "keep-cut", str(decode), words.DOUBT_RATE)
    cells = next(group for group in table.groups if group.title == f"at {decode}").rows[0].cells
    assert cells[0] == "keep-cut against ssd"
    assert cells[2] == f"{wanted['estimate']:.2f} [{wanted['low']:.2f}, {wanted['high']:.2f}]"
    assert "keep-cut against ssd" in section(report_inputs(doubt_ratios=pl.concat([ratios, of_two])))


def test_what_a_study_calls_doubt_never_becomes_markup() -> None:
    html = render_report(report_inputs()).split('id="doubt"')[1].split("</section>")[0]
    assert "<script" not in html and "<img" not in html and "&lt;script&gt;alert(1)" in html


@pytest.mark.parametrize("draw", [doubt_ratios, word_shift])
def test_figures_need_their_tables(draw: Any) -> None:
    assert draw(report_inputs()) is not None
    assert draw(report_inputs(doubt=None, doubt_ratios=None, word_shift=None)) is None
