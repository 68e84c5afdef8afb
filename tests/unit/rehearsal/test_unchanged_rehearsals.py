"""A rehearsal of an unchanged study finds everything as it was, and nothing that its report rests on is deleted."""

import copy
import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from conftest import ROOT
from selfdistill.rehearsal.rehearsal import rehearse
from selfdistill.study.load import load_study

FIELD: dict[str, Any] = yaml.safe_load((ROOT / "config/qwen3.5-4b.yaml").read_text())


@pytest.fixture
def given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A rehearsal with what a finished run keeps of it."""
    monkeypatch.chdir(tmp_path)
    folder = Path("results/rehearsed/given")
    rehearse(FIELD, folder, "torch")
    for kept in ("hub/model.json", "hub/sources/math.json", "hub/sources/numina.json", "revisions.lock", "report.html"):
        (folder.parent / kept).parent.mkdir(parents=True, exist_ok=True)
        (folder.parent / kept).write_text("{}")
    for path in (*folder.rglob("*"), *folder.parent.rglob("*")):
        os.utime(path, (1, 1))
    return folder


def state(folder: Path) -> dict[str, float]:
    return {str(path): path.stat().st_mtime for path in folder.rglob("*") if path.is_file()}


def test_a_second_and_a_third_rehearsal_change_no_file(given: Path) -> None:
    before = state(given.parent)
    for _ in range(2):
        rehearse(FIELD, given, "torch")
        assert state(given.parent) == before
    assert set(before.values()) == {1.0}


def test_another_study_brings_its_own_files_and_only_what_was_said_of_those_is_forgotten(given: Path) -> None:
    study = copy.deepcopy(FIELD)
    study["problems"]["sources"]["math"]["options"]["levels"] = [5]
    before = state(given.parent)
    rehearse(study, given, "torch")
    changed = {path for path, time in state(given.parent).items() if time != 1.0}
    assert changed and all("/given/math/" in path or path.endswith("given/study.yaml") for path in changed)
    gone = set(before) - set(state(given.parent))
    assert gone == {"results/rehearsed/hub/sources/math.json", "results/rehearsed/revisions.lock"}


def test_a_source_that_a_study_no_longer_has_is_not_left_behind(given: Path) -> None:
    study = copy.deepcopy(FIELD)
    del study["problems"]["sources"]["aime-25"]
    rehearse(study, given, "torch")
    assert not (given / "aime-25").exists() and (given / "aime-24").is_dir()


def test_the_papers_of_a_download_are_no_change(given: Path) -> None:
    (given / "model/.revision.json").write_text("{}")
    rehearse(FIELD, given, "torch")
    assert (given / "model/.revision.json").is_file() and (given.parent / "hub/model.json").is_file()


@pytest.mark.parametrize("own", [{"batch": 64, "epochs": 2}, {"batch": 8, "max_steps": 50}, {"lr": 1.0e-4}])
def test_an_arm_with_another_batch_can_be_rehearsed(own: dict[str, Any], tmp_path: Path) -> None:
    study = yaml.safe_load((ROOT / "config.yaml").read_text())
    study["arms"]["other"] = {"decode": "t11", "keep": "finished", "training": own}
    load_study(study, ROOT)
    small = load_study(yaml.safe_load(rehearse(study, tmp_path / "given", "torch").read_text()), ROOT)
    assert small.recipe("other") != small.recipe("ssd")
