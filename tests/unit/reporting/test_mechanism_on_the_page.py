"""Claims about the sections of the probes: they stand where their tables are, and say where a row rests on too little."""

import re
from collections.abc import Callable

import numpy as np
import polars as pl
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

import report_mechanism_fixture as probed
from report_fixture import HOSTILE, STUDY
from selfdistill.reporting.figures import mechanism as figures
from selfdistill.reporting.figures.catalogue import PLANS, draw_figures
from selfdistill.reporting.inputs import ReportInputs
from selfdistill.reporting.mechanism import fitted_arms, sentences, shown_decode, target_of
from selfdistill.reporting.page import render_report, tables
from selfdistill.reporting.tables import mechanism
from selfdistill.reporting.tables.table import Row, Table
from selfdistill.tables import words

SECTIONS = {"locks": "mechanism", "ssd-fit": "ssd_fit", "depth": "depth"}
TABLES = ("classes", "moved_by_class", "decoded_by_class", "moved_beyond_null", "between_texts", "way_to_target", "parts_of_way",
          "loss_terms", "way_by_place", "depth")  # fmt: skip
DRAWN = {"mass-by-rank": figures.mass_by_rank, "survivors": figures.survivors, "fit-ratio": figures.fit_ratio,
         "movement": figures.movement, "depth": figures.depth_by_class}  # fmt: skip


def inputs(**replaced: pl.DataFrame | None) -> ReportInputs:
    return ReportInputs(study=STUDY, **{**probed.tables(), **replaced})  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def _no_drawing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its cost is layout."""
    monkeypatch.setattr("selfdistill.reporting.figures.catalogue.svg_text", lambda figure, name: "<svg></svg>")


def rows_of(table: Table | None, group: int = 0) -> dict[str, Row]:
    assert table is not None
    return {row.cells[0]: row for row in table.groups[group].rows}


@pytest.mark.parametrize("section", SECTIONS)
@pytest.mark.parametrize("emptied", [False, True], ids=["missing", "empty"])
def test_a_section_stands_only_where_its_table_is(section: str, emptied: bool) -> None:
    table = getattr(inputs(), SECTIONS[section])
    html = render_report(inputs(strips=None, **{SECTIONS[section]: table.clear() if emptied else None}))
    there = set(re.findall(r'<section id="([\w-]+)"', html))
    assert section not in there and f'href="#{section}"' not in html
    assert SECTIONS.keys() - {section} <= there
    assert all(f'href="#{other}"' in html for other in SECTIONS.keys() - {section})


def test_a_study_without_probes_shows_none_of_it() -> None:
    html = render_report(ReportInputs(study=STUDY))
    assert not any(f'id="{section}"' in html for section in SECTIONS)
    assert not any(
        name in tables(ReportInputs(study=STUDY)) and tables(ReportInputs(study=STUDY))[name] for name in TABLES
    )
    assert all(draw(ReportInputs(study=STUDY)) is None for draw in DRAWN.values())


def test_every_section_opens_with_its_sentences() -> None:
    html = render_report(inputs())
    for section, said in zip(SECTIONS, (sentences(inputs())[key] for key in ("locks", "fit", "depth")), strict=True):
        assert said
        opening = html[html.index(f'<section id="{section}"') :]
        assert all(0 < opening.index(sentence) < opening.index("<table") for sentence in said)


def test_what_the_sentences_say_of_the_way_are_the_numbers_of_the_table() -> None:
    of_ssd = next(sentence for sentence in sentences(inputs())["fit"] if "ssd" in sentence)
    forks = rows_of(mechanism.way_to_target(inputs()))["fork"].cells[1].replace("\u2009", " ")
    assert forks == "31 % [28, 34]" and forks in of_ssd.replace("\u2009", " ")


def test_arms_stand_in_the_order_of_the_study_with_their_trainings_and_targets() -> None:
    table = mechanism.way_to_target(inputs())
    assert table is not None
    titles = [group.title for group in table.groups]
    assert [title.split(",")[0] for title in titles] == ["ssd", "keep-cut", "filter-only", "fixed-point"]
    assert titles[0] == "ssd, 2 trainings, against the target of ssd (T 1.1, top-k 20, top-p 0.95)"
    assert (
        titles[2]
        == "filter-only, 1 training, against the target of ssd (T 1.1, top-k 20, top-p 0.95), which is not its own"
    )


@pytest.mark.parametrize(
    "make", [mechanism.moved_by_class, mechanism.decoded_by_class, mechanism.way_to_target, mechanism.parts_of_way]
)
def test_a_class_of_too_few_positions_says_so_and_has_no_interval(make: Callable[[ReportInputs], Table | None]) -> None:
    rows = rows_of(make(inputs()))
    assert rows["mixed"].cells[-1] == "11, too few" and not any("[" in cell for cell in rows["mixed"].cells)
    assert rows["fork"].cells[-1] == "650" and all("[" in cell for cell in rows["fork"].cells[1:-1])
    assert "diffuse" not in rows and "swapped lock" not in rows, "no position, no row"
    assert rows["strict lock"].minor and not rows["lock"].minor


def test_the_classes_are_told_with_their_share_even_where_nothing_is_in_them() -> None:
    rows = rows_of(mechanism.classes(inputs()))
    assert rows["lock"].cells[:5] == ["lock", "2\u2009005", "75.2\u2009%", "67", "99.80\u2009%"]
    assert rows["diffuse"].cells[1:4] == ["0", "0.0\u2009%", "0"] and set(rows["diffuse"].cells[4:]) == {"–"}


def test_what_lies_beyond_the_null_leaves_the_null_out() -> None:
    table = mechanism.moved_beyond_null(inputs())
    assert table is not None
    assert [group.title for group in table.groups] == [
        "ssd, 2 trainings",
        "keep-cut, 1 training",
        "filter-only, 1 training",
    ]
    assert "less what fixed-point shows" in table.caption
    assert rows_of(table)["fork"].cells[1] == "+0.80 [+0.30, +1.30]"
    none = probed.mechanism().with_columns(null=pl.lit(None, pl.String), beyond_null=pl.lit(None, pl.Float64))
    assert mechanism.moved_beyond_null(inputs(mechanism=none)) is None


def test_every_row_of_every_table_has_as_many_cells_as_columns() -> None:
    found = tables(inputs())
    for name in TABLES:
        table = found[name]
        assert table is not None and table.groups, name
        assert all(len(row.cells) == len(table.columns) for group in table.groups for row in group.rows), name
        assert table.source.startswith("analysis/")


def test_an_arm_whose_decode_asks_for_nothing_is_shown_against_the_studys_first_target() -> None:
    assert target_of(inputs(), "ssd") == target_of(inputs(), "filter-only") == shown_decode(inputs()) == probed.TARGET
    assert fitted_arms(inputs()) == list(probed.TRAINED)


def test_a_study_of_plain_decodes_has_a_sentence_and_no_way() -> None:
    plain = probed.ssd_fit().filter(pl.col("method") == words.TARGET_IS_BASE)
    html = render_report(inputs(ssd_fit=plain))
    assert 'id="ssd-fit"' in html and "no target to reach" in html
    assert mechanism.way_to_target(inputs(ssd_fit=plain)) is None and figures.fit_ratio(inputs(ssd_fit=plain)) is None


def test_depth_shows_the_association_and_every_class() -> None:
    table = mechanism.depth(inputs())
    assert table is not None
    assert table.groups[0].rows[0].cells == [
        "base",
        "0.81 [0.78, 0.84]",
        "40\u2009% [38, 42]",
        "50\u2009% [48, 52]",
        "–",
        "70\u2009%",
    ]


@pytest.mark.parametrize("name", DRAWN)
def test_figures_are_in_the_catalogue_with_what_their_captions_count(name: str) -> None:
    assert PLANS[name].draw is DRAWN[name]
    caption = draw_figures(inputs())[name].caption
    assert "positions in texts of 67 problems." in caption and "\u2009" not in caption


def drawn(draw: Callable[[ReportInputs], Figure | None]) -> Figure:
    figure = draw(inputs())
    assert figure is not None
    return figure


def test_curves_have_a_panel_for_each_class_of_enough_positions() -> None:
    assert [panel.get_title() for panel in drawn(figures.mass_by_rank).axes] == ["lock", "fork"]
    assert [panel.get_title() for panel in drawn(figures.survivors).axes] == ["lock", "fork", "", ""]
    line = drawn(figures.mass_by_rank).axes[0].get_lines()[0]
    assert line.get_label() == "base" and list(line.get_xdata()) == [1, 2, 10, 60]  # type: ignore[arg-type]
    assert list(line.get_ydata()) == pytest.approx([0.1, 0.04, 0.01, 0.0001])  # type: ignore[arg-type]


def test_a_mark_without_an_interval_is_open() -> None:
    panel = drawn(figures.fit_ratio).axes[0]
    assert [label.get_text() for label in panel.get_yticklabels()] == ["all classes", "lock", "fork", "mixed"]
    marks = [
        line
        for line in panel.get_lines()
        if line.get_marker() not in ("", "None", None) and np.size(line.get_xdata()) == 1
    ]
    open_marks = [line for line in marks if to_hex(line.get_markerfacecolor()) == "#ffffff"]  # type: ignore[arg-type]
    assert len(marks) == 4 * 4 and len(open_marks) == 4


def test_the_movement_is_parted_into_what_is_towards_the_target_and_what_is_not() -> None:
    figure = drawn(figures.movement)
    assert [panel.get_title() for panel in figure.axes] == ["all classes", "lock", "fork"]
    towards, rest = figure.axes[0].patches[:2]
    assert towards.get_width() == pytest.approx(0.0004 * 0.4)  # type: ignore[attr-defined]
    assert towards.get_width() + rest.get_width() == pytest.approx(0.0004)  # type: ignore[attr-defined]
    assert "40 %" in [text.get_text() for text in figure.axes[0].texts]


def test_hostile_names_stay_text() -> None:
    study = {**STUDY, "arms": {HOSTILE: STUDY["arms"]["ssd"], **STUDY["arms"]}}
    renamed = {
        name: table.with_columns(arm=pl.when(pl.col("arm") == "ssd").then(pl.lit(HOSTILE)).otherwise("arm"))
        for name, table in probed.tables().items()
        if "arm" in table.columns
    }
    html = render_report(ReportInputs(study=study, **{**probed.tables(), **renamed}))  # type: ignore[arg-type]
    assert "<script" not in html and "<img" not in html and "&lt;script&gt;alert(1)" in html
