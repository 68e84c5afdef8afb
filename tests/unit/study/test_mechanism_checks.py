"""The section `mechanism`: what is wrong with it is one sentence, and a study without it is as it was."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from conftest import ROOT
from selfdistill.foundation.errors import UserError
from selfdistill.study.load import load_study
from selfdistill.study.models import probed, writers

LAB = yaml.safe_load((ROOT / "config.yaml").read_text())
WHOLE = {"decode": "t07"}

WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "no decode": ({}, "mechanism.decode: is missing"),
    "a misspelt decode": ({"decode": "t70"}, "mechanism.decode: no decode is named 't70'; did you mean"),
    "a decode of the base alone": ({"decode": "t13"}, "evaluation.decodes.final lacks"),
    "a misspelt arm": ({"arms": ["sdd"]}, "mechanism.arms: no arm is named 'sdd'; did you mean 'ssd'?"),
    "an arm that trains nothing": ({"arms": ["aa"]}, "mechanism.arms: 'aa' trains nothing"),
    "an arm twice": ({"arms": ["ssd", "ssd"]}, "mechanism.arms: names an arm twice"),
    "a noise probe's misspelt arm": ({"noise": {"arms": ["sdd"]}}, "mechanism.noise.arms: no arm is named 'sdd'"),
    "branches of the null": (
        {"branches": {"arm": "aa", "batches": [8, 16], "examples": 64}}, "mechanism.branches.arm: 'aa' trains nothing",
    ),
    "an odd number of carriers": ({"carriers": 7}, "mechanism.carriers: 7 are not as many"),
    "more carriers than problems": ({"carriers": 2000}, "mechanism.carriers: 1000 texts of the base, each of another problem, are more"),
    "more strips than carriers": ({"carriers": 4, "strips": 3}, "mechanism.strips: 3 of each side"),
    "no position": ({"positions": {"regular": 0, "random": 0, "heuristic": 0}}, "mechanism.positions: names no position"),
    "classes that overlap": ({"classes": {"fork_top": 0.97}}, "mechanism.classes.fork_top: 0.97 lies above lock_top (0.95)"),
    "tails that overlap": ({"classes": {"fork_tail": 0.3}}, "mechanism.classes.fork_tail: 0.3 lies above diffuse_tail (0.2)"),
    "an impossible second token": ({"classes": {"fork_second": 0.6}}, "mechanism.classes.fork_second: no second token has 0.6"),
    "a temperature of 0": ({"temperatures": [0.0, 1.0]}, "mechanism.temperatures: a temperature is above 0"),
    "a temperature twice": ({"temperatures": [1.0, 1.0]}, "mechanism.temperatures: names one twice"),
    "an empty word of doubt": ({"doubt": ["wait", " "]}, "mechanism.doubt: holds an empty word"),
    "gradients at a checkpoint that is not made": (
        {"noise": {"checkpoints": [0, 33]}}, "mechanism.noise.checkpoints: no checkpoint is made at 33 %; name 0 for the base",
    ),
    "gradients twice": ({"noise": {"checkpoints": [0, 0]}}, "mechanism.noise.checkpoints: names one twice"),
    "a branch without a whole batch": (
        {"branches": {"arm": "ssd", "batches": [8, 128], "examples": 64}}, "mechanism.branches.batches: a batch has 1 to 64",
    ),
    "more branches than examples": (
        {"branches": {"arm": "ssd", "batches": [8, 16], "examples": 100000}}, "mechanism.branches: 100000 shown and 64 held-out",
    ),
    "an order twice": (
        {"branches": {"arm": "ssd", "batches": [8, 16], "examples": 64, "seeds": [1, 1]}}, "mechanism.branches.seeds: names one",
    ),
    "too few kept tokens": ({"top": 5}, "mechanism.top: needs a whole number"),
    "a misspelt key": ({"carrier": 4}, "mechanism.carrier: there is no such key; did you mean 'carriers'?"),
}  # fmt: skip


def with_mechanism(**keys: Any) -> dict[str, Any]:
    return LAB | {"mechanism": keys}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_with_the_probes_is_one_sentence(name: str) -> None:
    keys, sentence = WRONG[name]
    with pytest.raises(UserError) as raised:
        load_study(with_mechanism(**(WHOLE | keys if name != "no decode" else keys)), ROOT)
    [line] = [line for line in str(raised.value).splitlines() if "mechanism" in line]
    assert sentence in line and line.endswith((".", "?")), line


def test_depth_is_not_asked_of_vllm() -> None:
    study = with_mechanism(**WHOLE, depth={}) | {"sampling": LAB["sampling"] | {"engine": "vllm"}}
    with pytest.raises(UserError, match="mechanism.depth: is read from a model's layers, which only the torch engine"):
        load_study(study, ROOT)


def test_the_base_and_every_finished_model_of_the_probed_arms_are_asked() -> None:
    study = load_study(with_mechanism(**WHOLE, arms=["ssd", "fixed-point"]), ROOT)
    finished = ["ssd/seed-0/at-100", "ssd/seed-1000/at-100", "fixed-point/seed-0/at-100"]
    assert probed(study) == ["base", *finished]
    assert writers(study) == ["base", "aa", *finished]
    assert len(probed(load_study(with_mechanism(**WHOLE), ROOT))) == 1 + sum(
        len(arm.get("seeds", [0])) for arm in LAB["arms"].values() if not arm.get("resample")
    )


def test_a_study_without_the_key_is_written_down_as_it_always_was() -> None:
    without = {key: value for key, value in LAB.items() if key != "mechanism"}
    study = load_study(without, Path(ROOT))
    assert "mechanism" not in study.as_param() and probed(study) == [] and writers(study) == []
    assert load_study(with_mechanism(**WHOLE), ROOT).as_param()["mechanism"]["decode"] == "t07"
