"""Results that break an invariant get no report: the rule that reads them ends with a sentence."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from selfdistill.analysis.checked import checked_results
from selfdistill.foundation.errors import UserError
from selfdistill.foundation.files import write_json
from selfdistill.tables.analysis import ESTIMATES
from selfdistill.tables.problems import CONTAMINATION, PROBLEMS
from selfdistill.tables.sampling import GRADED, PLAN
from selfdistill.tables.schema import Schema
from selfdistill.tables.training import DATASET
from selfdistill.tables.whole import write_table

ASKED = {"models": ["base"], "arms": ["ssd"], "budgets": {"quick": 1, "full": 2}}
ANSWER = {"model_id": "base", "purpose": "eval", "decode_id": "t10", "draw": 0, "split": "test", "verdict": "correct"}
ANSWERS = [ANSWER | {"request_id": f"r{rank}", "problem_id": f"p{rank}", "rank": rank} for rank in range(2)]


def written(folder: Path, name: str, schema: Schema, *rows: dict[str, Any]) -> str:
    full = [dict.fromkeys(schema) | {key: value for key, value in row.items() if key in schema} for row in rows]
    write_table(pl.DataFrame(full, schema=schema), folder / f"{name}.parquet", schema)
    return str(folder / f"{name}.parquet")


def results(folder: Path, graded: list[dict[str, Any]], trained_on: str = "p9") -> dict[str, Any]:
    write_json(folder / "manifest.json", {"arm": "ssd", "training_seed": 0, "steps": 5})
    return {
        "plans": [written(folder, "plan", PLAN, *ANSWERS)],
        "graded": [written(folder, "graded", GRADED, *graded)],
        "datasets": [written(folder, "dataset", DATASET, {"problem_id": trained_on})],
        "evaluation": written(folder, "eval", PROBLEMS, {"problem_id": "p0"}, {"problem_id": "p1"}),
        "contamination": written(folder, "contamination", CONTAMINATION),
        "levels": written(folder, "levels", ESTIMATES),
        "manifests": [str(folder / "manifest.json")],
    }


def test_whole_results_pass_every_check(tmp_path: Path) -> None:
    checks = checked_results(results(tmp_path, ANSWERS), ASKED)
    assert len(checks) >= 6 and all(check["passed"] for check in checks)


def test_a_whole_budget_is_held_against_the_problems_there_are(tmp_path: Path) -> None:
    whole = ASKED | {"budgets": {"quick": 1, "full": "all"}}
    assert all(check["passed"] for check in checked_results(results(tmp_path, ANSWERS), whole))
    further = ANSWER | {"request_id": "r0-1", "problem_id": "p0", "rank": 0, "draw": 1, "purpose": "mixture"}
    files = results(tmp_path, [*ANSWERS, further]) | {"plans": [written(tmp_path, "more", PLAN, *ANSWERS, further)]}
    assert all(check["passed"] for check in checked_results(files, whole))


@pytest.mark.parametrize(
    ("graded", "trained_on", "complaint"),
    [
        (ANSWERS[:1], "p9", "plan equals completions: model base: planned requests without a completion: 1;"),
        ([*ANSWERS, ANSWERS[0]], "p9", "request ids are unique: request r0 of model base"),
        (ANSWERS, "p1", "no arm trained on an evaluation problem: arm ssd trained on 1 problem of the evaluation"),
    ],
)
def test_the_first_broken_invariant_is_named(
    tmp_path: Path, graded: list[dict[str, Any]], trained_on: str, complaint: str
) -> None:
    with pytest.raises(UserError, match=f"results break an invariant, {complaint}"):
        checked_results(results(tmp_path, graded, trained_on), ASKED)
