"""How a study stands by what its trainings and samples left behind, without a run."""

import json
from pathlib import Path
from typing import Any

import pytest

from conftest import ROOT
from selfdistill.commands.status import summed
from selfdistill.planning.standing import PRACTISE, Part, standing
from selfdistill.study.load import study_of
from selfdistill.study.study import Study
from selfdistill.training.asked import settings_of_practice


@pytest.fixture(autouse=True)
def in_the_repository(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def sampled_by(study: Study, engine: str) -> Study:
    return study.model_copy(update={"sampling": study.sampling.model_copy(update={"engine": engine})})


def test_a_practice_by_another_engine_is_not_done_and_one_that_auto_chose_is(tmp_path: Path) -> None:
    study = study_of(Path("config/practice-lab.yaml")).model_copy(update={"results": str(tmp_path)})
    run = tmp_path / "runs/grpo/seed-0"
    run.mkdir(parents=True)
    settings: dict[str, Any] = settings_of_practice(sampled_by(study, "torch"), "grpo", 0) | {"replays": None}
    (run / "manifest.json").write_text(json.dumps({"settings": settings}))

    def is_done(engine: str) -> bool:
        parts = standing(sampled_by(study, engine))
        [part] = [part for part in parts if part.stage == PRACTISE and part.name == "grpo/seed-0"]
        return part.state == "done"

    assert {engine: is_done(engine) for engine in ("auto", "torch", "vllm")} == {
        "auto": True, "torch": True, "vllm": False,
    }  # fmt: skip


def test_the_share_that_was_cut_is_of_models_of_which_all_is_known() -> None:
    finished, begun = (
        Part("sample", "base", 100, 100, "completions", cut=20),
        Part("sample", "aa", 300, 400, "completions"),
    )
    assert summed("sample", [finished]).endswith("100 of 100 completions, 20.0% of them cut")
    assert summed("sample", [finished, begun]).endswith(
        "400 of 500 completions, 20.0% of the 100 of finished models cut"
    )
    assert summed("sample", [begun]).endswith("300 of 400 completions")
