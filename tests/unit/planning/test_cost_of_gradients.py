"""What the noise probe, branches and the comparison of weights add to a plan."""

from typing import Any

import pytest
import yaml

from conftest import ROOT
from selfdistill.planning.cost import Stage, stages
from selfdistill.planning.figures import Figures, load_throughputs
from selfdistill.study.load import load_study

FIGURES = ROOT / "config/throughputs.yaml"
LAB = yaml.safe_load((ROOT / "config.yaml").read_text())


@pytest.fixture(autouse=True)
def in_the_repository(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def stage(**keys: Any) -> Stage:
    study = load_study(LAB | {"mechanism": {"decode": "t07", **keys}}, ROOT)
    figures = Figures(load_throughputs(FIGURES), study, FIGURES)
    return next(each for each in stages(study, figures) if each.name == "gradients and weights")


def test_without_the_keys_only_weights_are_compared() -> None:
    assert stage().rules == {"weight_overlap": 1}


def test_gradients_are_counted_by_arm_and_checkpoint() -> None:
    found = stage(noise={"arms": ["ssd", "fixed-point"], "checkpoints": [0, 50, 100], "sequences": 64})
    assert found.rules == {"gradients": 6, "noise_probe": 1, "weight_overlap": 1}
    twice = stage(noise={"arms": ["ssd", "fixed-point"], "checkpoints": [0, 50, 100], "sequences": 128})
    once, more = (
        found.expected.cpu_hours - stage().expected.cpu_hours,
        twice.expected.cpu_hours - found.expected.cpu_hours,
    )
    assert 0 < more < once  # what starting takes is not doubled


def test_branches_cost_their_examples_once_for_every_batch_and_order() -> None:
    branches = {"arm": "ssd", "batches": [8, 16, 32], "examples": 256}
    three, two = stage(branches=branches), stage(branches=branches | {"seeds": [0, 1000]})
    assert three.rules == {"branch_runs": 1, "branches": 1, "weight_overlap": 1}
    base = stage().expected.cpu_hours
    assert (three.expected.cpu_hours - base) / (two.expected.cpu_hours - base) == pytest.approx(1.5)
