"""Answers on which the grader's two readers disagree are counted by model, with the difference that they could make."""

from pathlib import Path

import polars as pl
import pytest

from report_fixture import STUDY, report_inputs
from selfdistill.foundation.errors import UserError
from selfdistill.reporting.page import render_report
from selfdistill.reporting.read import HOW_SAMPLED, LATER
from selfdistill.reporting.tables.grading import count_disputed, disputed_answers, grader_versions
from selfdistill.reporting.tables.study import how_it_was_sampled
from selfdistill.tables.sampling import GRADED
from selfdistill.tables.whole import read_table

Seen = tuple[str | None, str | None]
WRITTEN = "Answers on which two readers disagree"


def graded(
    model: str,
    *answers: Seen,
    cut: int = 0,
    purpose: str = "eval",
    grader: str | None = "2",
    counter: int | None = None,
) -> pl.DataFrame:
    """Graded rows by what the strict and the lenient reader say of each answer, the strict one counting."""
    rows = [*answers, *[(None, None)] * cut]
    return pl.DataFrame(
        {
            "model_id": model, "purpose": purpose, "engine": "torch", "engine_version": "1", "n_tokens": 9, "loop_period": None,
            "finish_class": ["answered"] * len(answers) + ["cut"] * cut,
            "verdict": ["correct" if strict == "equal" else "wrong" for strict, _ in answers] + ["unanswered"] * cut,
            "reason": [strict or "cut" for strict, _ in rows],
            "strict": [strict for strict, _ in rows], "lenient": [lenient for _, lenient in rows],
            "disputed": [{strict, lenient} == {"equal", "different"} for strict, lenient in rows],
            "grader": grader, "counter_period": counter,
        },
        schema={name: GRADED[name] for name in HOW_SAMPLED},
    )  # fmt: skip


SAME, STRICT_ALONE, LENIENT_ALONE = ("equal", None), ("equal", "different"), ("different", "equal")
ROWS = pl.concat([
    graded("base", SAME, SAME, STRICT_ALONE, LENIENT_ALONE, LENIENT_ALONE, LENIENT_ALONE, ("unread", "equal"), cut=1),
    graded("ssd/seed-0/at-100", SAME, ("different", "different"), ("equal", "unread"), ("timeout", "equal")),
    graded("samples-t11", LENIENT_ALONE, purpose="train"),
])  # fmt: skip


def test_disputed_answers_are_counted_by_model_of_evaluation_rows() -> None:
    base, ssd = count_disputed(ROWS).to_dicts()
    assert {name: base[name] for name in ("completions", "answers", "disputed", "strict", "lenient")} == {
        "completions": 8, "answers": 7, "disputed": 4, "strict": 1, "lenient": 3,
    }  # fmt: skip
    assert (base["counted"], base["if_lenient"]) == (3 / 8, 5 / 8)
    # What one of them could not read, or came to no end with, is no dispute.
    assert (ssd["model_id"], ssd["disputed"], ssd["counted"], ssd["if_lenient"]) == ("ssd/seed-0/at-100", 0, 0.5, 0.5)


def test_the_report_shows_what_difference_the_disputed_answers_could_make() -> None:
    table = disputed_answers(report_inputs(sampled=ROWS))
    assert table is not None and "the strict one counts" in table.note
    assert [row.cells for row in table.groups[0].rows] == [
        ["base", "8", "7", "4", "1", "3", "37.50\u2009%", "62.50\u2009%", "+25.00"],
        ["ssd/seed-0/at-100", "4", "4", "0", "0", "0", "50.00\u2009%", "50.00\u2009%", "0.00"],
    ]
    assert all(len(row.cells) == len(table.columns) for row in table.groups[0].rows)
    assert WRITTEN in render_report(report_inputs(sampled=ROWS))


def test_a_lenient_reader_may_also_take_credit_away() -> None:
    table = disputed_answers(report_inputs(sampled=graded("base", SAME, STRICT_ALONE, STRICT_ALONE, cut=1)))
    assert table is not None and table.groups[0].rows[0].cells[-3:] == ["75.00\u2009%", "25.00\u2009%", "−50.00"]


def test_where_nothing_is_disputed_nothing_is_shown() -> None:
    agreed = ROWS.filter(pl.col("model_id") != "base")  # among them training samples, which evaluate nothing
    assert disputed_answers(report_inputs(sampled=agreed)) is None
    assert disputed_answers(report_inputs()) is None
    assert WRITTEN not in render_report(report_inputs(sampled=agreed))


def test_what_stands_in_the_table_is_text_and_no_markup() -> None:
    page = render_report(report_inputs(sampled=graded("<script>base", LENIENT_ALONE, grader="<b>2")))
    assert "<script>" not in page and "<b>2" not in page and "&lt;script&gt;base" in page and "&lt;b&gt;2" in page


def test_the_report_names_the_graders_version_and_warns_of_two() -> None:
    page = render_report(report_inputs(sampled=ROWS))
    assert "<dt>grader</dt> <dd>version 2</dd>" in page and "versions of the grader" not in page
    mixed = pl.concat([graded("aa", SAME, grader="10"), ROWS, graded("k5", SAME, grader=None)])
    versions = ["one that did not record its version", "2", "10"]
    assert grader_versions(report_inputs(sampled=mixed)) == versions
    page = render_report(report_inputs(sampled=mixed))
    assert f"graded by 3 versions of the grader: {', '.join(versions)}." in page
    assert f"<dd>versions {', '.join(versions)}</dd>" in page
    assert grader_versions(report_inputs()) == []


def test_graded_tables_of_before_are_read_without_what_they_do_not_have(tmp_path: Path) -> None:
    older = ROWS.drop(LATER)
    older.write_parquet(tmp_path / "graded.parquet")
    read = read_table(tmp_path / "graded.parquet", GRADED, HOW_SAMPLED, LATER)
    assert read.columns == list(HOW_SAMPLED) and read.select(older.columns).equals(older)
    assert all(read[name].is_null().all() and read.schema[name] == GRADED[name] for name in LATER)
    assert disputed_answers(report_inputs(sampled=read)) is None
    assert grader_versions(report_inputs(sampled=read)) == ["one that did not record its version"]
    render_report(report_inputs(sampled=read))
    with pytest.raises(UserError, match="verdict"):  # what every version wrote must be there
        older.drop("verdict").write_parquet(tmp_path / "broken.parquet")
        read_table(tmp_path / "broken.parquet", GRADED, HOW_SAMPLED, LATER)


@pytest.mark.parametrize(("counters", "said"), [(False, "are cut ones, and no loops"), (True, "are loops")])
def test_counting_loops_stand_beside_the_loops(counters: bool, said: str) -> None:
    rows = pl.concat([graded("base", SAME, cut=2, counter=19), graded("base", SAME, SAME, cut=4)])
    study = STUDY | {"grading": {"loops": {"counters": counters}}}
    table = how_it_was_sampled(report_inputs(study=study, sampled=rows))
    assert table is not None and said in table.note
    assert table.columns[-2:] == ["counting", "counted and ended"]
    assert table.groups[0].rows[0].cells[-2:] == ["2", "1"]
