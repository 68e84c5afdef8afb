"""Results belong to the study that made them: another one does not make them anew without a word."""

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from conftest import ROOT
from selfdistill.foundation.errors import UserError
from selfdistill.study.identity import differences, refuse_other_results
from selfdistill.study.load import load_study

SMOKE = yaml.safe_load((ROOT / "config/smoke.yaml").read_text())
FIELD = yaml.safe_load((ROOT / "config/qwen3.5-4b.yaml").read_text())


def changed(study: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    study = copy.deepcopy(study)
    *folders, key = path.split("/")
    section = study
    for folder in folders:
        section = section[folder]
    section[key] = value
    return study


OTHER = {
    "study": (SMOKE, "study", "another"),
    "seed": (SMOKE, "seed", 1),
    "model.path": (SMOKE, "model/path", "another/model"),
    "problems.sources.quiz": (SMOKE, "problems/sources/quiz/path", "another.jsonl"),
    "problems.sources.more": (SMOKE, "problems/sources/more", {"path": "more.jsonl", "use": "eval"}),
    "model.hub": (FIELD, "model/hub", "Qwen/Qwen3-8B"),
    "problems.sources.math": (FIELD, "problems/sources/math/options", {"limit": 3}),
}


@pytest.mark.parametrize("key", OTHER)
def test_another_seed_model_or_set_of_problems_is_another_study(key: str) -> None:
    study, path, value = OTHER[key]
    assert differences(changed(study, path, value), study) == [key]


SAME = {
    "a larger budget": (SMOKE, "evaluation/budgets/full", 95),
    "another learning rate": (SMOKE, "training/lr", 1e-4),
    "a copy of the hub's model in another place": (FIELD, "model/path", "elsewhere"),
    "a commit where none was pinned": (FIELD, "model/revision", "1" * 40),
    "spelt out what was left out": (SMOKE, "problems/sources/quiz/options", {}),
}


@pytest.mark.parametrize("name", SAME)
def test_what_is_taken_up_is_no_other_study(name: str) -> None:
    study, path, value = SAME[name]
    assert differences(changed(study, path, value), study) == []


def test_two_commits_of_one_model_are_two_studies() -> None:
    one, other = (changed(FIELD, "model/revision", digit * 40) for digit in "12")
    assert differences(one, other) == ["model.revision"]


def test_the_refusal_names_the_keys_and_how_to_go_on(tmp_path: Path) -> None:
    study = load_study(SMOKE, ROOT)
    refuse_other_results(study, tmp_path)  # nothing is there yet
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(changed(changed(SMOKE, "seed", 1), "study", "old")))
    with pytest.raises(UserError) as error:
        refuse_other_results(study, tmp_path)
    assert str(error.value).startswith(f"study, seed: the results in {tmp_path}/ were made with another")
    assert "--config replace=old" in str(error.value) and "\n" not in str(error.value)
    with pytest.raises(UserError):
        refuse_other_results(study, tmp_path, "another")
    refuse_other_results(study, tmp_path, "old")


def test_a_record_of_an_older_version_is_understood(tmp_path: Path) -> None:
    """As study.yaml was written when the precision of sampling was model.dtype and a source had no loader."""
    record = load_study(SMOKE, ROOT).model_dump()
    record["evaluation"] |= record["evaluation"].pop("decodes")
    record["model"]["dtype"] = record["sampling"].pop("precision")
    del record["results"], record["model"]["revision"], record["model"]["hub"]
    record["problems"]["sources"] = {
        name: {"path": source["path"], "use": source["use"]} for name, source in record["problems"]["sources"].items()
    }
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(record))
    refuse_other_results(load_study(SMOKE, ROOT), tmp_path)
    with pytest.raises(UserError, match=r"^seed: the results in"):
        refuse_other_results(load_study(SMOKE | {"seed": 3}, ROOT), tmp_path)
