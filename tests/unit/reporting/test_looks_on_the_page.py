"""The page of a study with looks: a line under each answer, the bars, what was not sampled, and what stands where it stopped."""

from typing import Any

import polars as pl
import pytest

from report_fixture import STUDY, report_inputs
from selfdistill.reporting.page import render_report
from selfdistill.reporting.select import final_differences, final_levels
from selfdistill.reporting.tables.looks import looks, saved
from selfdistill.tables import words
from selfdistill.tables.analysis import LOOKS

pytestmark = pytest.mark.usefixtures("undrawn")

LOOKED: dict[str, Any] = STUDY | {"evaluation": STUDY["evaluation"] | {"looks": [100, 300]}}


def judged(hypothesis: str) -> pl.DataFrame:
    row = dict.fromkeys(LOOKS) | {
        "hypothesis": hypothesis, "family": "primary", "look": 2, "looks": 3, "problems": 600, "problems_of_all_looks": 1000,
        "information": 0.6, "p_value": 0.02, "bar": 0.0076, "equivalence_p": 0.3, "equivalence_bar": 0.019,
        "interval_level": 0.9924, "chance": 0.4, "state": words.GOES_ON, "verdict": words.NOT_RESOLVED,
        "sentence": "Look 2 of 3 <b>: p must be below 0.0076 at this look, not below 0.05.",
    }  # fmt: skip
    return pl.DataFrame([row], schema=LOOKS)


def hypothesis() -> str:
    verdicts = report_inputs().verdicts
    assert verdicts is not None
    return str(verdicts.filter(pl.col("role") == words.HYPOTHESIS)["hypothesis"][0])


def test_the_line_stands_under_its_answer_and_is_escaped() -> None:
    page = render_report(report_inputs(study=LOOKED, looks=judged(hypothesis())))
    assert page.count("Look 2 of 3 &lt;b&gt;: p must be below 0.0076") == 1 and "Look 2 of 3 <b>" not in page
    assert "The looks of this study" in page and "99.24" in page


def test_a_study_without_looks_says_nothing_of_them() -> None:
    for nothing in (None, pl.DataFrame(schema=LOOKS)):
        page = render_report(report_inputs(looks=nothing))
        assert "The looks of this study" not in page
        assert looks(report_inputs(looks=nothing)) is None and saved(report_inputs(looks=nothing)) == ""


def test_what_stopped_early_is_shown_at_the_look_where_it_stopped() -> None:
    inputs = report_inputs()
    assert inputs.levels is not None and inputs.comparisons is not None
    arm = "ssd"

    def stopped(table: pl.DataFrame) -> pl.DataFrame:
        """The arm at the first look only, the rest at that one and at the full budget."""
        at_look = table.filter(pl.col("budget") == "full").with_columns(pl.lit("look-1").alias("budget"))
        return pl.concat([table.filter((pl.col("arm") != arm) | (pl.col("budget") != "full")), at_look])

    there = report_inputs(levels=stopped(inputs.levels), comparisons=stopped(inputs.comparisons), study=LOOKED, looks=judged(hypothesis()))  # fmt: skip
    for before, after in (
        (final_levels(inputs, words.ACCURACY), final_levels(there, words.ACCURACY)),
        (
            final_differences(inputs, words.ACCURACY, words.MATCHED),
            final_differences(there, words.ACCURACY, words.MATCHED),
        ),
    ):
        keys = ["arm", "decode_id", "training_seed"]
        assert sorted(after.select(keys).rows(), key=str) == sorted(before.select(keys).rows(), key=str)
        assert set(after.filter(pl.col("arm") == arm)["budget"]) == {"look-1"}
        assert set(after.filter(pl.col("arm") != arm)["budget"]) == {"full"}
    assert "tokens" in saved(there)
    render_report(there)
