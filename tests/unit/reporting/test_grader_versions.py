"""The grader's version is told, tables of older ones are read, and counting loops stand beside loops."""

from pathlib import Path

import polars as pl
import pytest

from report_fixture import STUDY, report_inputs
from selfdistill.foundation.errors import UserError
from selfdistill.reporting.page import render_report
from selfdistill.reporting.read import HOW_SAMPLED, LATER
from selfdistill.reporting.tables.grading import grader_versions
from selfdistill.reporting.tables.study import how_it_was_sampled
from selfdistill.tables.sampling import GRADED
from selfdistill.tables.whole import read_table

pytestmark = pytest.mark.usefixtures("undrawn")

Seen = tuple[str | None, str | None]


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
