"""The figure of the 2×2 shows the four arms that its effects are computed from, whatever other arms stand beside them."""

from typing import Any

import polars as pl
import pytest
import yaml

from conftest import ROOT
from selfdistill.analysis.factorial import CONTRASTS
from selfdistill.reporting.figures.factorial import factorial
from selfdistill.reporting.inputs import ReportInputs
from selfdistill.reporting.select import trained_cells
from selfdistill.study.arms import Arm
from selfdistill.study.factorial import factorial_cells
from selfdistill.study.sampling import Decode
from selfdistill.tables.analysis import EFFECTS, ESTIMATES

LAB_FULL: dict[str, Any] = yaml.safe_load((ROOT / "config/lab-full.yaml").read_text())
CELLS = ("ssd", "keep-cut", "filter-only", "fixed-point")


def of_study(study: dict[str, Any]) -> tuple[ReportInputs, dict[str, float]]:
    """A table in which every arm has an accuracy of its own, to be told apart by."""
    names = [name for name, arm in study["arms"].items() if not arm.get("resample")]
    accuracy = {arm: 0.3 + 0.04 * place for place, arm in enumerate(names)}
    shared = dict.fromkeys(ESTIMATES) | {
        "decode_id": "t07",
        "split": "test",
        "budget": "full",
        "unit": "problem",
        "n": 50,
    }
    levels = [
        {**shared, "estimand": "accuracy", "model_id": f"{arm}/seed-0/at-100", "arm": arm, "training_seed": 0,
         "percent": 100, "estimate": value, "low": value - 0.01, "high": value + 0.01}
        for arm, value in accuracy.items()
    ]  # fmt: skip
    effects = [
        {
            **shared,
            "estimand": effect,
            "method": "paired score",
            "percent": 100,
            "estimate": 0.01,
            "low": 0.0,
            "high": 0.02,
        }
        for effect in CONTRASTS
    ]
    frames: dict[str, Any] = {
        "levels": pl.DataFrame(levels, schema=ESTIMATES),
        "factorial": pl.DataFrame([dict.fromkeys(EFFECTS) | row for row in effects], schema=EFFECTS),
    }
    return ReportInputs(study=study, **frames), accuracy


def drawn_in_the_first_panel(inputs: ReportInputs) -> dict[str, list[float]]:
    """Label → accuracies from left (all kept) to right (finished kept), read off the finished drawing."""
    figure = factorial(inputs)
    assert figure is not None and len(figure.axes) == 2
    bars_of_cells: list[Any] = list(figure.axes[0].containers)
    return {str(bars.get_label()): [float(value) for value in bars.lines[0].get_ydata()] for bars in bars_of_cells}


def test_the_lab_full_study_draws_its_sampled_arms_and_not_the_soft_one() -> None:
    inputs, accuracy = of_study(LAB_FULL)
    assert drawn_in_the_first_panel(inputs) == {
        "trained on samples of decode t11": [accuracy["keep-cut"], accuracy["ssd"]],
        "trained on samples of decode plain": [accuracy["fixed-point"], accuracy["filter-only"]],
    }


@pytest.mark.parametrize(
    "change", [{"targets": "soft"}, {"training": {"lr": 1e-5}}], ids=["soft targets", "a training of its own"]
)
@pytest.mark.parametrize("arm", CELLS)
def test_an_arm_that_differs_in_more_than_decode_and_filter_is_no_cell(arm: str, change: dict[str, Any]) -> None:
    arms = {name: LAB_FULL["arms"][name] for name in CELLS}
    inputs, accuracy = of_study({**LAB_FULL, "arms": {**arms, "beside-it": arms[arm] | change}})
    shown = {value for line in drawn_in_the_first_panel(inputs).values() for value in line}
    assert shown == {accuracy[name] for name in CELLS}


def test_a_study_without_a_plain_decode_has_no_cells_in_the_figure_either() -> None:
    decodes = {**LAB_FULL["decodes"], "plain": LAB_FULL["decodes"]["t13"]}
    inputs, _ = of_study({**LAB_FULL, "decodes": decodes})
    figure = factorial(inputs)
    assert figure is not None and len(figure.axes) == 1  # the effects, and no panel of cells


@pytest.mark.parametrize("file", ["config.yaml", "config/lab-full.yaml", "config/qwen3.5-4b.yaml"])
def test_the_arms_drawn_are_the_arms_of_the_effects(file: str) -> None:
    study = yaml.safe_load((ROOT / file).read_text())
    arms = {name: Arm.model_validate(fields) for name, fields in study["arms"].items()}
    decodes = {name: Decode.model_validate(fields) for name, fields in study["decodes"].items()}
    cells = trained_cells(study)
    assert cells is not None and cells == factorial_cells(arms, decodes) and cells.arms == CELLS
