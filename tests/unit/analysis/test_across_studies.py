"""Two studies whose truth is known, side by side: what differs is found, by a method's claim as often as it says."""

from typing import Any

import numpy as np
import polars as pl
import pytest
import yaml

from conftest import ROOT
from selfdistill.analysis.across_studies import OneOfThem, Term, across_studies, findings, held_against, joined_families
from selfdistill.analysis.problem_means import Evaluations
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
    random = np.random.default_rng(3)
    first, second = (
        simulate(World(problems=60, arms=("ssd", "keep-cut"), trainings=2, training_sd=0.02), 1, random)
        for _ in range(2)
    )
    asked = {
        "one-over-the-other": {
            "arm": "ssd",
            "against": "keep-cut",
            "comparison": "matched",
            "decode": "study-000",
            "margin": 0.03,
        }
    }
    studies = []
    for name, found, hypotheses in (("first", first, {}), ("second", second, asked)):
        study = smoke_study(name, hypotheses)
        studies.append(OneOfThem(name, study, Evaluations.of(found.graded, {"full": 0}), pl.DataFrame(schema=VERDICTS)))
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
