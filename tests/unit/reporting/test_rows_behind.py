"""Behind a number of the ladder stand the answers that count in it."""

from pathlib import Path

import polars as pl
import pytest

from conftest import ROOT
from selfdistill.reporting.numbers.behind import rows_behind
from selfdistill.reporting.numbers.index import Number
from selfdistill.study.ladder_models import contexts_of_rungs, rungs_of
from selfdistill.study.load import study_of
from selfdistill.tables.sampling import GRADED


def test_a_problem_counts_where_it_has_answers_on_every_rung(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    study = study_of(Path("config/doubt-lab.yaml")).model_copy(update={"results": str(tmp_path)})
    contexts, rungs = contexts_of_rungs(study), rungs_of(study, "base")
    assert len(rungs) > 2
    for place, rung in enumerate(rungs):
        problems = ["p1", "p1", "p2"] if place == 1 else ["p1", "p2", "p3"]
        table = pl.DataFrame({"problem_id": problems, "draw": [0, 1, 0], "model_id": rung}, schema_overrides=GRADED)
        (tmp_path / "models" / rung).mkdir(parents=True)
        missing = [pl.lit(None, dtype).alias(name) for name, dtype in GRADED.items() if name not in table.columns]
        table.with_columns(missing).select(list(GRADED)).write_parquet(tmp_path / "models" / rung / "graded.parquet")

    def shown(column: str, **row: str | None) -> list[list[str]]:
        number = Number("it", "ladder_tests" if "test" in row else "ladder", {"model_id": "base", **row}, column)
        return [table["problem_id"].to_list() for _, table in rows_behind(study, number)]

    assert shown("estimate", context=contexts[0], against=None) == [["p1", "p2"]]
    assert shown("estimate", context=contexts[1], against=contexts[0]) == [["p1", "p1", "p2"], ["p1", "p2"]]
    everything = [["p1", "p1", "p2"] if place == 1 else ["p1", "p2"] for place in range(len(rungs))]
    assert shown("p_adjusted", context=contexts[1], against=contexts[0]) == everything, "it is adjusted for all steps"
