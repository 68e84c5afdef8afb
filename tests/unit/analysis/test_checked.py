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

ASKED = {"models": ["base"], "arms": ["ssd"], "budgets": {"quick": 1, "full": 2}, "draws": {"base": 1, "arms": 1}}
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


def test_each_side_answers_as_often_as_it_is_asked(tmp_path: Path) -> None:
    twice = [
        answer | {"request_id": f"{answer['request_id']}-{draw}", "draw": draw}
        for answer in ANSWERS
        for draw in range(2)
    ]
    name = "ssd/seed-0/at-100"
    once = [answer | {"request_id": f"{answer['request_id']}-arm", "model_id": name} for answer in ANSWERS]
    files = results(tmp_path, twice)
    for kind, schema in (("plans", PLAN), ("graded", GRADED)):
        files[kind] = [
            written(tmp_path, f"{kind}-base", schema, *twice),
            written(tmp_path, f"{kind}-arm", schema, *once),
        ]
    asked = ASKED | {"models": ["base", name], "draws": {"base": 2, "arms": 1}}
    said = {check["name"]: check["sentence"] for check in checked_results(files, asked)}
    assert said["denominators agree"].endswith("2 times the base and its twins, 1 times the trained models.")
    for draws, complaint in (({"base": 2, "arms": 2}, f"model {name} at t10 has 2 answers to 2 problems, not 2 to each"),
                             ({"base": 1, "arms": 1}, "model base at t10 has 4 answers to 2 problems, not 1 to each")):  # fmt: skip
        with pytest.raises(UserError, match=complaint):
            checked_results(files, asked | {"draws": draws})


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


LEARNED = [{"request_id": f"r{n}", "problem_id": f"p{n}", "verdict": "correct"} for n in (7, 8)]


@pytest.mark.parametrize(
    ("learned", "complaint"),
    [
        (LEARNED, None),
        ([LEARNED[0], LEARNED[1] | {"verdict": "wrong"}], "arm told learned 1 answer that were not right; the first is request r8"),
        ([LEARNED[0], LEARNED[1] | {"problem_id": "p9"}], "arm told learned answers to other problems than ssd"),
        (LEARNED[:1], "arm told learned answers to other problems than ssd"),
        (LEARNED[::-1], "arm told learned answers to other problems than ssd"),
    ],
)  # fmt: skip
def test_arms_of_right_answers_learned_right_ones_to_the_same_problems(
    tmp_path: Path, learned: list[dict[str, Any]], complaint: str | None
) -> None:
    files = results(tmp_path, ANSWERS)
    files["datasets"] = [written(tmp_path, "a", DATASET, *LEARNED), written(tmp_path, "b", DATASET, *learned)]
    asked = ASKED | {"arms": ["ssd", "told"], "alike": [["ssd", "told"]]}
    if complaint is None:
        said = {check["name"]: check["sentence"] for check in checked_results(files, asked)}
        assert said["right answers are of the same problems"].endswith("one to each of the same problems (ssd, told).")
        return
    with pytest.raises(UserError, match=complaint):
        checked_results(files, asked)


def test_two_contexts_that_tell_the_same_are_one_request_and_two_samplings_of_it_are_a_mistake(tmp_path: Path) -> None:
    names = ["base", *(f"samples-t10/in-{context}" for context in ("guided", "regenerated"))]
    told = [
        [ANSWER | {"request_id": "same", "problem_id": "p9", "model_id": name, "purpose": "train", "rank": 9}]
        for name in names[1:]
    ]
    files = results(tmp_path, ANSWERS)
    for kind, schema in (("plans", PLAN), ("graded", GRADED)):
        files[kind] += [written(tmp_path, f"{kind}-{place}", schema, *rows) for place, rows in enumerate(told)]
    assert all(check["passed"] for check in checked_results(files, ASKED | {"models": names}))
    files["graded"][2] = written(tmp_path, "twice", GRADED, *told[1], *told[1])
    with pytest.raises(UserError, match="request same of model samples-t10/in-regenerated occurs more than once"):
        checked_results(files, ASKED | {"models": names})
