"""The section "What it was told": it stands where a ladder was climbed, tells its numbers, and keeps texts texts."""

import dataclasses
import itertools
import re
from typing import Any

import polars as pl
import pytest

import report_ladder_fixture as climbed
from climbed_ladders import CONTEXTS, PAPER
from climbed_ladders import climbed as climbed_answers
from report_fixture import HOSTILE, STUDY
from selfdistill.analysis.ladder import ladder as analysed
from selfdistill.reporting.figures.catalogue import PLANS, draw_figures
from selfdistill.reporting.inputs import ReportInputs
from selfdistill.reporting.ladder import sentences
from selfdistill.reporting.page import render_report, tables
from selfdistill.reporting.tables import ladder
from selfdistill.reporting.tables.table import Table

TABLES = ("rungs", "steps", "rung_order", "across_models", "word_by_word", "information")


def inputs(text: str = "Perhaps.", **replaced: Any) -> ReportInputs:
    return ReportInputs(study=STUDY, **{**climbed.tables(text), **replaced})  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def _no_drawing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its cost is layout."""
    monkeypatch.setattr("selfdistill.reporting.figures.catalogue.svg_text", lambda figure, name: "<svg></svg>")


def made(name: str, of: ReportInputs | None = None) -> Table:
    table = tables(of or inputs())[name]
    assert table is not None
    return table


@pytest.mark.parametrize("emptied", [False, True], ids=["missing", "empty"])
def test_the_section_stands_only_where_a_ladder_was_climbed(emptied: bool) -> None:
    assert '<section id="told"' in render_report(inputs())
    nothing: dict[str, Any] = {name: table.clear() if emptied else None for name, table in climbed.tables().items()}
    html = render_report(inputs(**nothing))
    assert 'id="told"' not in html and "What it was told" not in html
    assert not any(tables(inputs(**nothing))[name] for name in TABLES)
    assert {"ladder", "ladder-words"}.isdisjoint(draw_figures(inputs(**nothing)))


def test_a_study_that_measures_no_information_shows_the_rest() -> None:
    html = render_report(inputs(information=None))
    assert "How much was told" not in html and "Are the rungs in order?" in html


def test_every_row_of_every_table_has_as_many_cells_as_columns() -> None:
    for name in TABLES:
        table = made(name)
        assert all(len(row.cells) == len(table.columns) for group in table.groups for row in group.rows), name


def test_rungs_stand_in_their_order_for_every_climber() -> None:
    table = made("rungs")
    assert [group.title for group in table.groups] == [f"{model}: 20 problems" for model in climbed.CLIMBERS]
    assert all([row.cells[0] for row in group.rows] == list(CONTEXTS) for group in table.groups)
    assert table.groups[0].rows[-1].cells[-1] == "40"  # 20 problems, two draws
    doubts = float(table.groups[0].rows[0].cells[3].split()[0])
    assert doubts == pytest.approx(PAPER["unguided"][2], rel=0.3)


def test_each_climber_says_how_many_problems_its_levels_stand_on() -> None:
    mine = pl.col("model_id") == climbed.CLIMBERS[1]
    fewer = climbed.tables()["ladder"].with_columns(
        pl.when(mine).then(13).otherwise(pl.col("n")).alias("n"),
        pl.when(mine).then(7).otherwise(pl.col("left_out")).alias("left_out"),
    )
    titles = [group.title for group in made("rungs", inputs(ladder=fewer)).groups]
    assert titles == ["base: 20 problems", f"{climbed.CLIMBERS[1]}: 13 problems, 7 chosen problems left out"]


@pytest.mark.parametrize("lacking", [climbed.CLIMBERS[:1], climbed.CLIMBERS], ids=["the base", "all"])
def test_a_climber_without_a_problem_on_every_rung_is_one_sentence(lacking: tuple[str, ...]) -> None:
    answers = [
        of.filter(~pl.lit(model in lacking) | (pl.col("context") != "guided"))
        for model in climbed.CLIMBERS
        for of in [climbed_answers(PAPER, 20, 2, model=model)]
    ]
    found = analysed(pl.concat(answers), CONTEXTS, ("wait", "perhaps"))
    of = inputs(ladder=found.ladder, ladder_tests=found.tests)
    html = render_report(of)
    for model in lacking:
        assert f"{model}: 20 problems asked, and none has an answer on every rung" in html
    assert tables(of)["across_models"] is None and (tables(of)["rungs"] is None) == (len(lacking) == 2)


def test_fewer_problems_than_were_asked_for_are_told() -> None:
    for asked, said in ((50, "20 of 50 problems asked for could be chosen."), (20, None)):
        study = STUDY | {"ladder": {"decode": "t10", "draws": 2, "problems": asked}}
        note = made("rungs", dataclasses.replace(inputs(), study=study)).note
        assert note.endswith(said or "counts on none.")


def test_nats_are_called_a_divergence_only_where_the_texts_are_the_laws_own() -> None:
    for change, exact in (({}, True), ({"temperature": 0.7}, False), ({"top_p": 0.9}, False), ({"top_k": 20}, False)):
        decode = {"temperature": 1.0, "max_tokens": 9} | change
        study = STUDY | {"decodes": {"own": decode}, "ladder": {"decode": "own", "draws": 2, "problems": 20}}
        note = made("information", dataclasses.replace(inputs(), study=study)).note
        assert ("The first is a divergence" in note) == exact and ("no divergence here" in note) != exact


def test_answers_that_a_rung_shows_are_not_said_to_be_uncounted() -> None:
    html = " ".join(render_report(inputs()).split())
    assert "The answers that chose the problems are not among those that are counted here." in html
    assert "those that were shown to the model" not in html


def test_steps_go_from_each_rung_to_the_next() -> None:
    wanted = [f"{before} → {after}" for before, after in itertools.pairwise(CONTEXTS)]
    assert all([row.cells[0] for row in group.rows] == wanted for group in made("steps").groups)


def test_the_sentences_say_which_order_was_found() -> None:
    base, surer = sentences(inputs())
    assert base.startswith(
        "base: along the rungs right answers, length, doubts and doubts per token in the order said."
    )
    assert surer.startswith("ssd/seed-0/at-100: ") and "not resolved" in surer


def test_another_climber_is_told_against_the_base() -> None:
    (row,) = made("across_models").groups[0].rows
    assert row.cells[0] == "ssd/seed-0/at-100" and row.cells[3].startswith("+")  # its doubts fall by less


def test_nats_are_told_with_what_the_bare_model_holds_of_the_answer() -> None:
    rows = {row.cells[0]: row.cells for row in made("information").groups[0].rows}
    assert list(rows) == list(CONTEXTS[1:])
    nats = [float(cell.split()[0].replace("−", "-")) for cell in rows["guided"][1:4]]
    assert nats == pytest.approx([12, 2, 15], abs=1)
    assert rows["guided"][-1] == "20.00"
    assert "None of the three is the mutual information" in made("information").note


def test_words_that_nobody_wrote_are_left_out() -> None:
    table = climbed.tables()["ladder"]
    silent = table.with_columns(
        pl.when(pl.col("word") == "perhaps").then(0.0).otherwise(pl.col("estimate")).alias("estimate")
    )
    shown = ladder.word_by_word(inputs(ladder=silent))
    assert shown and [row.cells[0] for row in shown.groups[0].rows] == ["wait"]


def test_figures_say_what_they_count() -> None:
    drawn = draw_figures(inputs())
    for name in ("ladder", "ladder-words"):
        assert drawn[name].caption.endswith("n = 20 problems.") and drawn[name].source == PLANS[name].source


def test_what_models_and_datasets_wrote_is_text_and_never_markup() -> None:
    html = render_report(inputs(HOSTILE))
    section = html[html.index('<section id="told"') :]
    section = section[: section.index("</section>")]
    assert section.count("&lt;script&gt;alert(1)&lt;/script&gt;") >= 2 * (2 + 2 * 4 - 1)
    assert "<script" not in section and "<img" not in section and "{{7*7}}" in section
    assert len(re.findall(r"<div><h4>", section)) == 8
