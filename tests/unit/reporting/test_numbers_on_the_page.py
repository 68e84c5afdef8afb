"""One number looks the same wherever it stands on the page: in the analysis' sentences, in tables, notes and figures."""

import re

import polars as pl
import pytest
from matplotlib.figure import Figure

from report_fixture import STUDY, report_inputs, verdicts
from selfdistill.analysis.noise_scale import noise_scale_text
from selfdistill.analysis.sentences import estimand_line, sentence
from selfdistill.reporting.figures.truncation import token_budgets
from selfdistill.reporting.page import render_report
from selfdistill.study.sampling import Decode

pytestmark = pytest.mark.usefixtures("undrawn")

COMMA = re.compile(r"\d,\d{3}\b")
THIN = "\u2009"
DECODES = {name: Decode.model_validate(decode) for name, decode in STUDY["decodes"].items()}


def large() -> pl.DataFrame:
    """The fixture's verdicts over thousands of problems, with the sentences that the analysis writes for them."""
    frame = verdicts().with_columns(n=pl.lit(1240), training_seeds=pl.lit(1200))
    rows = [
        row | {"sentence": sentence(row), "estimand_line": estimand_line(row, DECODES)}
        for row in frame.iter_rows(named=True)
    ]
    return pl.DataFrame(rows, schema=frame.schema)


def test_the_analysis_sets_thousands_off_as_the_page_does() -> None:
    unresolved = large().filter(pl.col("verdict") == "not resolved").row(0, named=True)
    assert f"1{THIN}200 trainings" in unresolved["sentence"]
    assert f"1{THIN}240 problems" in unresolved["estimand_line"]
    assert noise_scale_text(1 / 31_000, 1 / 52_000, 1 / 9_000) == f"31{THIN}000 (9{THIN}000 to 52{THIN}000)"


def test_no_number_on_the_page_has_a_comma_between_its_thousands() -> None:
    inputs = report_inputs(
        verdicts=large(),
        levels=report_inputs().levels.with_columns(n=pl.lit(1240)),  # type: ignore[union-attr]
        noise_summary=report_inputs().noise_summary.with_columns(  # type: ignore[union-attr]
            noise_scale_text=pl.lit(noise_scale_text(1 / 31_000, 1 / 52_000, 1 / 9_000))
        ),
    )
    html = re.sub(r"<pre>.*?</pre>|<style>.*?</style>|<svg.*?</svg>", "", render_report(inputs), flags=re.DOTALL)
    assert COMMA.findall(html) == []
    assert f"1{THIN}240" in html and f"1{THIN}200" in html and f"31{THIN}000" in html


def test_a_long_cap_is_set_off_on_the_axis_of_lengths_too() -> None:
    budgets = report_inputs().token_budgets
    assert budgets is not None
    figure = token_budgets(report_inputs(token_budgets=budgets.with_columns(cap=pl.col("cap") * 60)))
    assert isinstance(figure, Figure)
    axis = figure.axes[1].xaxis
    labels = [axis.get_major_formatter()(tick) for tick in axis.get_major_locator()()]
    assert f"10{THIN}000" in labels and not any(COMMA.search(label) for label in labels)


@pytest.mark.parametrize("text", ["1,240 problems", "12,400"])
def test_a_comma_would_be_noticed(text: str) -> None:
    assert COMMA.search(text)
