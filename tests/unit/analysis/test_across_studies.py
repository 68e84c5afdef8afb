"""Two studies whose truth is known, side by side: what differs is found, by a method's claim as often as it says."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import yaml

from conftest import ROOT
from selfdistill.analysis.across_studies import OneOfThem, Term, across_studies, findings, held_against, joined_families
from selfdistill.analysis.left_out import left_out, unshared
from selfdistill.analysis.problem_means import Evaluations
from selfdistill.analysis.what_made import what_made
from selfdistill.study.load import typed_study
from selfdistill.tables import words
from selfdistill.tables.analysis import VERDICTS
from simulated_studies import World, simulate

STUDIES = 200
BY_LUCK = 3 * (0.95 * 0.05 / STUDIES) ** 0.5


def simulated(world: World) -> list[dict[str, dict[str, Any]]]:
    """Of each pair of studies, by claim: the effect on accuracy in the second, over its own base, less that in the first."""
    found = simulate(world, STUDIES, np.random.default_rng(7))
    cells = Evaluations.of(found.graded, {"full": 0}).cells
    rows = []
    for name in found.names:

        def each(arm: str, of: str = name) -> list[pl.DataFrame]:
            models = sorted({model for model, decode in cells if decode == of and model.split("/")[0] == arm})
            return [cells[model, of].filter(pl.col("split") == "test") for model in models]

        terms = [
            Term(1.0, True, each("second")), Term(-1.0, False, each("aa")),
            Term(-1.0, True, each("first")), Term(1.0, False, each("base")),
        ]  # fmt: skip
        by_claim = {row["claim"]: row for row in held_against(terms) if row["estimand"] == words.ACCURACY}
        seen = by_claim[words.CHECKPOINTS]
        seen["true"] = (
            found.effects["second"][found.names.index(name)] - found.effects["first"][found.names.index(name)]
        )
        rows.append(by_claim)
    return rows


def covered(rows: list[dict[str, Any]], truth: float | None = None) -> float:
    return float(np.mean([row["low"] <= (row["true"] if truth is None else truth) <= row["high"] for row in rows]))


@pytest.mark.parametrize("families", ["single", "one to five"])
def test_a_planted_difference_of_two_methods_is_covered_as_often_as_the_interval_says(families: Any) -> None:
    world = World(
        problems=150, arms=("first", "second"), trainings=3, training_sd=0.03, effects=(0.02, 0.10), resampled=True, families=families
    )  # fmt: skip
    rows = simulated(world)
    of_method = [row[words.METHOD] for row in rows]
    assert abs(np.mean([row["estimate"] for row in of_method]) - 0.08) < 0.01
    assert 0.95 - BY_LUCK < covered(of_method, 0.08) < 0.95 + BY_LUCK
    assert all(
        row["standard_error"] >= both[words.CHECKPOINTS]["standard_error"]
        for row, both in zip(of_method, rows, strict=True)
    )
    assert {row["training_seeds"] for row in of_method} == {row["against_training_seeds"] for row in of_method} == {3}


def test_what_these_checkpoints_differ_by_is_covered_too_and_is_not_what_the_methods_differ_by() -> None:
    world = World(problems=400, draws=4, arms=("first", "second"), trainings=2, training_sd=0.05, resampled=True)
    checkpoints = [row[words.CHECKPOINTS] for row in simulated(world)]
    assert 0.95 - BY_LUCK < covered(checkpoints) <= 1
    assert covered(checkpoints, 0.0) < 0.8  # of the method they know too little


def test_of_one_training_nothing_is_said_of_the_method() -> None:
    found = simulate(World(problems=40, arms=("first", "second"), trainings=1), 1, np.random.default_rng(1))
    cells = {model: cell for (model, _), cell in Evaluations.of(found.graded, {"full": 0}).cells.items()}
    terms = [Term(1.0, True, [cells["second/seed-0/at-100"]]), Term(-1.0, True, [cells["first/seed-0/at-100"]])]
    assert {row["claim"] for row in held_against(terms)} == {words.CHECKPOINTS}


def test_problems_are_one_family_where_any_study_says_so() -> None:
    first, second = (
        pl.DataFrame({"family": names}) for names in (["a", "a", "b", "c", "d"], ["p", "q", "q", "r", "s"])
    )
    assert joined_families([first]).tolist() == [0, 0, 1, 2, 3]
    assert joined_families([first, second]).tolist() == [0, 0, 0, 1, 2]


def test_a_difference_of_two_arms_is_held_against_that_of_the_other_study() -> None:
    """Where a hypothesis of either asks for it; both arms were trained, and the noise of all four trainings counts."""
    first, second = two_simulated()
    studies = [one_of_them("first", first.graded, {}), one_of_them("second", second.graded, ASKED)]
    table = across_studies(studies)
    accuracy = table.filter(estimand="accuracy")
    assert set(accuracy.filter(what=words.BETWEEN_ARMS).select("arm", "over", "claim").iter_rows()) == {
        ("ssd", "keep-cut", words.CHECKPOINTS), ("ssd", "keep-cut", words.METHOD)
    }  # fmt: skip

    def of(found: pl.DataFrame, arm: str) -> float:
        right = found.filter(pl.col("model_id").str.starts_with(arm) & (pl.col("split") == "test"))
        return float((right["verdict"] == "correct").mean())  # type: ignore[arg-type]

    expected = (
        of(second.graded, "ssd")
        - of(second.graded, "keep-cut")
        - of(first.graded, "ssd")
        + of(first.graded, "keep-cut")
    )
    assert accuracy.filter(what=words.BETWEEN_ARMS)["estimate"].to_list() == pytest.approx([expected] * 2, abs=1e-12)
    assert accuracy.filter(what=words.EFFECT)["over"].unique().to_list() == ["base"]
    assert findings(studies) == []


ASKED = {
    "one-over-the-other": {
        "arm": "ssd", "against": "keep-cut", "comparison": "matched", "decode": "study-000", "margin": 0.03,
    }
}  # fmt: skip


def two_simulated() -> Iterator[Any]:
    random = np.random.default_rng(3)
    world = World(problems=60, arms=("ssd", "keep-cut"), trainings=2, training_sd=0.02)
    return (simulate(world, 1, random) for _ in range(2))


def one_of_them(name: str, graded: pl.DataFrame, hypotheses: dict[str, Any]) -> OneOfThem:
    study = smoke_study(name, hypotheses)
    return OneOfThem(name, study, Evaluations.of(graded, {"full": 0}), pl.DataFrame(schema=VERDICTS))


def test_which_study_is_named_first_changes_the_sign_and_nothing_else() -> None:
    """Families too: each study has its own, and a decode that is called otherwise."""
    first, second = (found.graded for found in two_simulated())
    number = pl.col("problem_id").rank("dense").over("model_id", "decode_id")
    first = first.with_columns(family=pl.format("a{}", number // 2))
    second = second.with_columns(family=pl.format("b{}", (number + 1) // 3))
    studies = [one_of_them("first", first, {}), one_of_them("second", second, ASKED)]
    same = ["what", "arm", "over", "estimand", "claim"]
    table, swapped = (across_studies(given).sort(same) for given in (studies, studies[::-1]))
    assert table.height == swapped.height > 20 and 0 < table["n"][0] < 30
    assert table.select(same).equals(swapped.select(same))
    mirrored = {
        "estimate": -swapped["estimate"], "low": -swapped["high"], "high": -swapped["low"], "level": swapped["against_level"],
        "p_value": swapped["p_value"], "standard_error": swapped["standard_error"], "n": swapped["n"], "problems": swapped["problems"],
        "degrees_of_freedom": swapped["degrees_of_freedom"], "training_seeds": swapped["against_training_seeds"],
    }  # fmt: skip
    for column, values in mirrored.items():
        assert table[column].to_list() == pytest.approx(values.to_list(), abs=1e-9, nan_ok=True), column
    assert table["estimate"].abs().max() > 0.01  # type: ignore[operator]


def test_a_training_an_arm_and_a_decode_that_are_not_held_are_named() -> None:
    graded = next(two_simulated()).graded
    whole = one_of_them("whole", graded, {})
    asked = pl.col("model_id").str.starts_with
    less = graded.filter(~asked("ssd/seed-1/") & ~asked("keep-cut/"))
    found = left_out([whole, one_of_them("less", less, {})])
    about = [sentence for sentence in found if sentence.startswith("less: ") and "at study-000" in sentence]
    assert [sentence for sentence in about if "of ssd at" in sentence] == [
        "less: models/ssd/seed-1/at-100 has no graded answers at study-000, which the study asks for; of ssd at study-000 only 1 of "
        "its 2 trainings are held. Run that study to its end, and compare again."
    ]
    [gone] = [sentence for sentence in about if "of keep-cut at" in sentence]
    assert "models/keep-cut/seed-0/at-100, models/keep-cut/seed-1/at-100 have no graded answers" in gone
    assert "of keep-cut at study-000 nothing of it is held" in gone
    other = whole.study.model_copy(deep=True)
    del other.arms["fixed-point"]
    other.decodes["study-000"] = other.decodes["study-000"].model_copy(update={"max_tokens": 65})
    told = list(unshared(whole, replace(whole, name="other", study=other)))
    assert told == [
        "Only whole has fixed-point, and other does not: arms are the same where their names are.",
        "Only whole asks at study-000: other asks at no decode of these settings.",
    ]
    assert not list(unshared(whole, whole))


def test_what_made_results_is_read_from_answers_trainings_and_the_report(tmp_path: Path) -> None:
    answers = {"engine": ["torch"] * 2, "engine_version": ["2.13.0"] * 2, "grader": [None, "2"]}
    types = {"grader": pl.String}
    for model in ("base", "ssd/seed-0/at-100"):
        (tmp_path / "models" / model).mkdir(parents=True)
        pl.DataFrame(answers, schema_overrides=types).write_parquet(tmp_path / "models" / model / "graded.parquet")
    assert what_made(tmp_path, ["base"]) == {
        "grader": "2, not recorded", "engine of the answers": "torch 2.13.0", "forklock of the report": "not recorded",
        "code of the report": "not recorded",
    }  # fmt: skip
    (tmp_path / "runs/ssd/seed-0").mkdir(parents=True)
    manifest = {"versions": {"trl": "1.16.0"}, "code": {"commit": "c0ffee", "uncommitted changes": "yes"}}
    (tmp_path / "runs/ssd/seed-0/manifest.json").write_text(json.dumps(manifest | {"base_digest": "ab" * 32}))
    plugins = [
        {"file": "my.py", "offers": "engine mine, filter short", "digest": "0123456789abcdef"},
        {"file": "judge; 2.py", "offers": "judge strict", "digest": "fedcba9876543210"},
    ]
    record = {"forklock": "0.2.0", "commit": "beef", "versions": {"math-verify": "0.9"}, "plugins": plugins}
    (tmp_path / "provenance.json").write_text(json.dumps(record))
    made = what_made(tmp_path, ["base", "ssd/seed-0/at-100"])
    assert (
        made["weights of the base"] == "ab" * 6 and made["code of the trainings"] == "c0ffee with uncommitted changes"
    )
    assert made["trl of the trainings"] == "1.16.0" and made["math-verify of the report"] == "0.9"
    assert made["plugin my.py (engine mine, filter short)"] == "SHA-256 0123456789abcdef…"
    assert made["plugin judge; 2.py (judge strict)"] == "SHA-256 fedcba9876543210…"


@pytest.mark.parametrize("written", [["torch"], "torch", 5, None, [[]]])
def test_a_record_that_is_not_what_a_run_writes_is_read_as_far_as_it_is(tmp_path: Path, written: Any) -> None:
    (tmp_path / "models/base").mkdir(parents=True)
    answers = {"engine": ["torch"], "engine_version": ["2.13.0"], "grader": ["2"]}
    pl.DataFrame(answers).write_parquet(tmp_path / "models/base/graded.parquet")
    (tmp_path / "runs/ssd/seed-0").mkdir(parents=True)
    foreign = {"versions": written, "code": written, "base_digest": written, "plugins": written}
    (tmp_path / "runs/ssd/seed-0/manifest.json").write_text(json.dumps(foreign | {"python": "3.12.1"}))
    (tmp_path / "provenance.json").write_text(json.dumps(foreign | {"forklock": "0.2.0"}))
    made = what_made(tmp_path, ["base"])
    assert made["python of the trainings"] == "3.12.1" and made["forklock of the report"] == "0.2.0"
    assert made["code of the trainings"] == made["code of the report"] == "not recorded"


def smoke_study(name: str, hypotheses: dict[str, Any]) -> Any:
    content = yaml.safe_load((ROOT / "config/smoke.yaml").read_text())
    content |= {"study": name, "hypotheses": hypotheses}
    content["decodes"] |= {"study-000": {"temperature": 0.71, "max_tokens": 64}}
    for arm in ("ssd", "keep-cut"):
        content["arms"][arm]["seeds"] = [0, 1]
    for asked in ("base", "final"):
        content["evaluation"]["decodes"][asked] = [*content["evaluation"]["decodes"].get(asked, []), "study-000"]
    content.pop("mechanism", None)
    return typed_study(content)
