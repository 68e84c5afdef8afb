"""What a checkpoint says of its making, wherever its folder lies, and what an older one's run says of it."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from conftest import ROOT
from selfdistill.foundation.errors import UserError
from selfdistill.models.digests import model_digest
from selfdistill.models.lineage import LINEAGE, described, generations, is_checkpoint, lineage_of

LAB = ROOT / "resources/lab/model"


def manifest(checkpoint: Path, **more: Any) -> dict[str, Any]:
    """As an older version wrote it, and whatever is added."""
    return {
        "arm": "reference", "training_seed": 0, "examples": 208, "dataset_digest": "d" * 64, "base_digest": "b" * 64,
        "targets_digest": None, "checkpoints": {checkpoint.name: {"step": 13, "digest": model_digest(checkpoint)}},
    } | more  # fmt: skip


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """results/warm/runs/reference/seed-0/at-100 of an older version: its run's manifest beside, no lineage within."""
    folder = tmp_path / "results/warm/runs/reference/seed-0/at-100"
    shutil.copytree(LAB, folder)
    (folder.parent / "manifest.json").write_text(json.dumps(manifest(folder)))
    (tmp_path / "results/warm/study.yaml").write_text(yaml.safe_dump({"study": "warm-up"}))
    return folder


def test_a_model_that_no_study_made_has_none() -> None:
    assert lineage_of(LAB) is None and not is_checkpoint(LAB)
    assert described(LAB) == {"path": str(LAB), "digest": model_digest(LAB), "lineage": None, "unchanged": False}


def test_of_an_older_checkpoint_its_run_and_its_study_tell(checkpoint: Path) -> None:
    found = lineage_of(checkpoint)
    assert found and (found["study"], found["arm"], found["training_seed"], found["percent"]) == (
        "warm-up",
        "reference",
        0,
        100,
    )
    assert found["base"] == {"digest": "b" * 64, "path": None, "lineage": None} and found["step"] == 13
    assert described(checkpoint)["unchanged"]
    (checkpoint.parents[3] / "study.yaml").unlink()
    assert (lineage_of(checkpoint) or {})["study"] is None


def test_a_checkpoint_tells_of_itself_wherever_it_lies(checkpoint: Path, tmp_path: Path) -> None:
    told = lineage_of(checkpoint)
    (checkpoint / LINEAGE).write_text(json.dumps(told))
    moved = tmp_path / "elsewhere"
    shutil.copytree(checkpoint, moved)
    assert lineage_of(moved) == told and is_checkpoint(moved)
    assert described(moved)["unchanged"]  # what tells of a model is no part of it


def test_a_copy_without_lineage_or_run_is_a_model_like_any_other(checkpoint: Path, tmp_path: Path) -> None:
    moved = tmp_path / "at-100"
    shutil.copytree(checkpoint, moved)
    assert lineage_of(moved) is None


def test_changed_files_are_told_of(checkpoint: Path) -> None:
    (checkpoint / "generation_config.json").write_text(json.dumps({"eos_token_id": [420, 418]}))
    assert not described(checkpoint)["unchanged"]


def test_a_chain_is_followed_to_its_first_base(checkpoint: Path) -> None:
    first = lineage_of(checkpoint)
    later = {"study": "main", "base": {"digest": "x", "lineage": first}}
    assert [one["study"] for one in generations(later)] == ["main", "warm-up"]
    assert list(generations(None)) == []


@pytest.mark.parametrize("text", ["", "[1]", '{"arm": "reference"}'])
def test_what_cannot_be_read_is_one_sentence(checkpoint: Path, text: str) -> None:
    (checkpoint.parent / "manifest.json").write_text(text)
    with pytest.raises(UserError, match=r"manifest\.json: cannot be read, so it is not known what"):
        lineage_of(checkpoint)
