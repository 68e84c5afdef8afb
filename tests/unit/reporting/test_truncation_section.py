"""What a newcomer reads of truncation: sentences that say what is shown and what is not, and numbers of the tables."""

from html import unescape
from typing import Any

import polars as pl
import pytest

from report_fixture import HOSTILE, STUDY, report_inputs, truncated
from selfdistill.reporting.figures.catalogue import draw_figures
from selfdistill.reporting.inputs import ReportInputs
from selfdistill.reporting.page import render_report
from selfdistill.reporting.tables.table import Table
from selfdistill.reporting.tables.truncation import gains_by_base_answer, parts_of_differences, rates_and_lengths
from selfdistill.reporting.truncation import truncation_decode, truncation_sentences
from selfdistill.tables import words

pytestmark = pytest.mark.usefixtures("undrawn")

DECODE = "t10"
Ends = tuple[float, float, float]


def planted(rows: dict[str, Ends], cut: float = 0.04, base_cut: float = 0.12, arm: str = "ssd") -> ReportInputs:
    """The fixture's tables with these estimates and intervals for one arm at the lead decode."""
    parts, budgets = truncated()
    here = (pl.col("arm") == arm) & (pl.col("decode_id") == DECODE) & pl.col("base_answer").is_null()
    for estimand, ends in rows.items():
        wanted = here & (pl.col("estimand") == estimand)
        parts = parts.with_columns(
            pl.when(wanted).then(pl.lit(value)).otherwise(name).alias(name)
            for name, value in zip(("estimate", "low", "high"), ends, strict=True)
        )
    of_cut = (pl.col("estimand") == words.CUT_RATE) & (pl.col("decode_id") == DECODE)
    share = pl.when(of_cut & (pl.col("arm") == arm)).then(pl.lit(cut)).otherwise("estimate")
    share = pl.when(of_cut & (pl.col("arm") == "base")).then(pl.lit(base_cut)).otherwise(share)
    return report_inputs(truncation=parts, token_budgets=budgets.with_columns(estimate=share))


def said(inputs: ReportInputs, arm: str = "ssd") -> str:
    return next(found["sentence"] for found in truncation_sentences(inputs) if found["arm"].startswith(arm))


def gains(whole: Ends, finishing: Ends, right: Ends) -> dict[str, Ends]:
    return {words.ACCURACY: whole, words.BY_FINISHING: finishing, words.WHEN_IT_FINISHED: right}


BOUNDS = {
    words.cut_counted_for("base"): (-0.089, -0.11, -0.07),
    words.cut_counted_for(words.THE_ARM): (0.071, 0.05, 0.09),
}
SOLD = gains((0.031, 0.01, 0.052), (0.024, 0.012, 0.036), (0.007, -0.012, 0.026))


def test_a_gain_is_parted_in_one_sentence_that_says_which_part_is_shown() -> None:
    assert said(planted(SOLD | BOUNDS)) == (
        "Of the gain of +3.1 points [+1.0, +5.2], +2.4 [+1.2, +3.6] came from finishing more often and +0.7 [−1.2, +2.6] from "
        "being right more often when finished. Only the first is clear of zero: what is shown is that it finishes more often. "
        "The base was cut in 12.0\u2009% of its answers, ssd in 4.0\u2009%. Whatever the cut answers would have been, the "
        "difference lies within −8.9 to +7.1 [−11.0, +9.0]."
    )


@pytest.mark.parametrize(
    ("rows", "words_said"),
    [
        (gains((-0.03, -0.05, -0.01), (0.01, -0.01, 0.03), (-0.04, -0.06, -0.02)),
         ["Of the loss of −3.0", "right less often when finished", "Only the second is clear of zero", "it is right less often"]),
        (gains((0.01, -0.02, 0.04), (0.0, -0.01, 0.01), (0.01, -0.02, 0.04)),
         ["Of the difference of +1.0", "0.0 [−1.0, +1.0] came from finishing more or less often", "Neither is clear of zero."]),
        (gains((0.05, 0.02, 0.08), (0.02, 0.01, 0.03), (0.03, 0.01, 0.05)), ["Both parts are clear of zero."]),
    ],
    ids=["a loss", "nothing", "both"],
)  # fmt: skip
def test_the_sentence_follows_the_signs_and_the_intervals(rows: dict[str, Ends], words_said: list[str]) -> None:
    sentence = said(planted(rows))
    assert [phrase for phrase in words_said if phrase not in sentence] == []


def test_where_nothing_was_cut_the_section_says_so_and_raises_nothing() -> None:
    inputs = planted(gains((0.031, 0.01, 0.052), (0.0, -0.01, 0.01), (0.031, 0.01, 0.052)), cut=0.0, base_cut=0.0)
    assert said(inputs) == (
        "No answer was cut, of the base or of ssd: none of the gain of +3.1 points [+1.0, +5.2] can come from the token cap."
    )
    quiet = section(report_inputs(truncation=inputs.truncation, token_budgets=inputs.token_budgets))
    assert "alarm" not in quiet


def test_a_side_that_never_finished_is_told_and_not_parted() -> None:
    parts = truncated()[0]
    without = report_inputs(
        truncation=parts.filter(~pl.col("estimand").is_in([words.BY_FINISHING, words.WHEN_IT_FINISHED]))
    )
    assert said(without).startswith("One side never finished an answer, so the ")


def section(inputs: ReportInputs) -> str:
    return unescape(render_report(inputs)).split('id="truncation"')[1].split("</section>")[0]


def there(table: Table | None) -> Table:
    assert table is not None
    return table


def test_the_section_has_sentences_for_every_arm_its_tables_and_both_figures() -> None:
    text = section(report_inputs())
    assert truncation_decode(report_inputs()) == DECODE and f"At {DECODE}" in text and "512 tokens" in text
    for arm in STUDY["arms"]:
        assert f"<strong>{arm}" in text
    assert "aa (A/A control)" in text
    for part in (
        'id="figure-token-budgets"',
        'id="figure-token-differences"',
        "Cut rates and lengths",
        "What cannot be told",
    ):
        assert part in text
    assert "Answers can be cut earlier, not later" in text and "takes two answers of the base" not in text


def test_with_one_draw_the_section_says_that_it_cannot_tell_where_arms_gain() -> None:
    inputs = report_inputs(truncation=truncated()[0].filter(pl.col("base_answer").is_null()))
    assert gains_by_base_answer(inputs) is None and "takes two answers of the base" in section(inputs)


def test_without_comparisons_there_is_no_section() -> None:
    assert "#truncation" in render_report(report_inputs())
    without = render_report(report_inputs(truncation=None, token_budgets=None))
    assert 'id="truncation"' not in without and "#truncation" not in without


@pytest.mark.parametrize("table", [parts_of_differences, rates_and_lengths, gains_by_base_answer])
def test_tables_hold_every_arm_at_every_decode_without_a_gap(table: Any) -> None:
    made = there(table(report_inputs()))
    assert [[row.cells[0] for row in group.rows] for group in made.groups] == [list(STUDY["arms"])] * 3
    for group in made.groups:
        for row in group.rows:
            assert len(row.cells) == len(made.columns) and not {"–", ""} & set(row.cells), row


def test_numbers_of_the_table_are_those_of_the_analysis() -> None:
    row = there(parts_of_differences(planted(SOLD | BOUNDS))).groups[1].rows[0]
    assert row.cells == [
        "ssd",
        "+3.1 [+1.0, +5.2]",
        "+2.4 [+1.2, +3.6]",
        "+0.7 [−1.2, +2.6]",
        "−8.9 to +7.1 [−11.0, +9.0]",
    ]


def test_captions_say_how_many_problems_are_behind_the_curves() -> None:
    drawings = draw_figures(report_inputs())
    for name in ("token-budgets", "token-differences"):
        assert drawings[name].caption.endswith("n = 210 problems, test split.")


@pytest.mark.usefixtures("drawn")
def test_a_hostile_name_stays_text() -> None:
    arm = "<script>alert(1)</script>"
    study = {**STUDY, "arms": {arm: STUDY["arms"]["ssd"], **STUDY["arms"]}}
    renamed = [table.with_columns(pl.col("arm").replace("ssd", arm)) for table in truncated()]
    html = render_report(report_inputs(study=study, truncation=renamed[0], token_budgets=renamed[1]))
    assert "<script" not in html and "&lt;script&gt;alert(1)" in html.split('id="truncation"')[1]
    assert HOSTILE not in html
