"""Repositories of the hub: downloaded once, whole or not there, one commit for a study's whole life, or one sentence."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml

from conftest import ROOT
from selfdistill.foundation.errors import UserError
from selfdistill.models.hub.copies import check_copies
from selfdistill.models.hub.revisions import check_pins
from selfdistill.problems.datasets.registry import dataset_of
from selfdistill.study.load import load_study
from stand_in_hub import NEWEST, Hub, stand_in_hub

OTHER = "2" * 40
OBTAIN = """
import json, sys
from pathlib import Path
from selfdistill.models.hub.obtain import obtain
from selfdistill.models.hub.repository import Repository
from selfdistill.foundation.errors import UserError
given = json.loads(sys.argv[1])
try:
    facts = obtain(Repository(given["key"], given["kind"], given["hub"], given["revision"], Path(given["folder"])), Path("revisions.lock"))
    print(json.dumps(facts))
except UserError as error:
    sys.exit(f"error: {error}")
"""


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    repository = tmp_path / "hub/models/lab/tiny"
    repository.mkdir(parents=True)
    (repository / "config.json").write_text('{"model_type": "qwen3"}')
    (repository / "model.safetensors").write_bytes(b"weights" * 1000)
    (repository / "pytorch_model.bin").write_bytes(b"a pickle")
    (repository / "modeling_tiny.py").write_text("print('code')")
    with stand_in_hub(Hub(tmp_path / "hub")) as hub:
        yield hub


def obtained(hub: Hub, tmp_path: Path, revision: str = "", folder: str = "models/tiny", **environment: str) -> Any:
    """The facts, or the sentence."""
    given = {"key": "model", "kind": "model", "hub": "lab/tiny", "revision": revision, "folder": folder}
    ran = subprocess.run(
        [sys.executable, "-c", OBTAIN, json.dumps(given)], cwd=tmp_path, capture_output=True, text=True, timeout=120,
        env=os.environ | {"PYTHONPATH": str(ROOT / "workflow_scripts"), "HF_HOME": str(tmp_path / "home")} | hub.environment | environment,
    )  # fmt: skip
    return json.loads(ran.stdout.splitlines()[-1]) if ran.returncode == 0 else ran.stderr.strip().splitlines()[-1]


def copied(folder: Path) -> Path:
    """A copy that somebody made by hand."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"weights")
    return folder


def usual_hub(loader: str) -> str:
    return dataset_of(loader).hub


def lock(tmp_path: Path) -> dict[str, dict[str, str]]:
    content: dict[str, dict[str, str]] = json.loads((tmp_path / "revisions.lock").read_text())
    return content


def test_an_unpinned_repository_is_resolved_once_and_kept(hub: Hub, tmp_path: Path) -> None:
    facts = obtained(hub, tmp_path)
    assert facts["revision"] == NEWEST
    assert sorted(facts["sums"]) == ["config.json", "model.safetensors"]
    assert lock(tmp_path) == {"model lab/tiny": {"revision": NEWEST, "digest": facts["digest"]}}

    # The hub moves on; the study does not, not even where its folder is gone.
    hub.commits["models/lab/tiny"] = OTHER
    hub.asked.clear()
    assert obtained(hub, tmp_path)["revision"] == NEWEST and hub.asked == []
    shutil.rmtree(tmp_path / "models/tiny")
    assert f"lab/tiny has no commit {NEWEST}" in obtained(hub, tmp_path)


def test_neither_pickles_nor_code_come_along(hub: Hub, tmp_path: Path) -> None:
    obtained(hub, tmp_path)
    names = {path.name for path in (tmp_path / "models/tiny").iterdir()}
    assert names == {"config.json", "model.safetensors", ".revision.json"}
    assert not any("pytorch_model.bin" in line or "modeling_tiny" in line for line in hub.asked)


def test_what_is_asked_for_comes_by_its_exact_name_and_as_files_of_its_own(hub: Hub, tmp_path: Path) -> None:
    repository = hub.folder / "models/lab/tiny"
    for name in ("odd[1].json", "odd1.json.bak", "older/config.json"):
        (repository / name).parent.mkdir(exist_ok=True)
        (repository / name).write_text("{}")
    facts = obtained(hub, tmp_path)
    assert sorted(facts["sums"]) == ["config.json", "model.safetensors", "odd[1].json"]
    copy = tmp_path / "models/tiny"
    assert {path.name for path in copy.iterdir()} == {*facts["sums"], ".revision.json"}
    assert not any(path.is_symlink() for path in copy.iterdir())


def test_two_that_want_a_repository_at_once_download_it_once(hub: Hub, tmp_path: Path) -> None:
    with ThreadPoolExecutor(3) as pool:
        facts = list(pool.map(lambda _: obtained(hub, tmp_path), range(3)))
    assert facts[0]["revision"] == NEWEST and facts == facts[:1] * 3
    assert len([line for line in hub.asked if line == f"GET lab/tiny/resolve/{NEWEST}/model.safetensors"]) == 1


def test_a_download_of_which_a_part_did_not_come_is_not_called_whole(hub: Hub, tmp_path: Path) -> None:
    """The hub's client takes a folder for the download where it cannot see what should lie in it."""
    begun = tmp_path / f"models/tiny.{NEWEST[:8]}.part"
    begun.mkdir(parents=True)
    shutil.copy(hub.folder / "models/lab/tiny/config.json", begun)
    hub.without_trees = True
    assert obtained(hub, tmp_path) == "error: lab/tiny: model.safetensors did not come; run the same command again."
    assert not (tmp_path / "models/tiny").exists()
    hub.without_trees = False
    assert obtained(hub, tmp_path)["revision"] == NEWEST


def test_two_commits_are_never_mixed(hub: Hub, tmp_path: Path) -> None:
    assert obtained(hub, tmp_path, NEWEST)["revision"] == NEWEST
    refused = obtained(hub, tmp_path, OTHER)
    assert refused == (
        f"error: model.revision: the study pins {OTHER}, but models/tiny holds {NEWEST}; give each commit a folder of its own "
        "(model.path)."
    )
    hub.commits["models/lab/tiny"] = OTHER
    refused = obtained(hub, tmp_path, OTHER, folder="models/other")
    assert refused == (
        f"error: model.revision: is {OTHER}, but the results so far were made with {NEWEST} (revisions.lock); set {NEWEST}, "
        "or give the study another name."
    )
    assert not (tmp_path / "models/other").exists()


def test_a_copy_that_changed_is_not_the_one_the_study_began_with(hub: Hub, tmp_path: Path) -> None:
    copy = copied(tmp_path / "models/tiny")
    facts = obtained(hub, tmp_path)
    assert facts["revision"] == "" and hub.asked == []
    (copy / "config.json").write_text('{"another": 1}')
    assert "is not the lab/tiny that this study began with (revisions.lock)" in obtained(hub, tmp_path)


def test_a_copy_made_by_the_hubs_own_client_says_which_commit_it_is(hub: Hub, tmp_path: Path) -> None:
    copy = tmp_path / "models/tiny"
    copy.mkdir(parents=True)
    for file in ("config.json", "model.safetensors"):
        command = [str(Path(sys.executable).parent / "hf"), "download", "lab/tiny", file, "--local-dir", str(copy)]
        subprocess.run(command, env=os.environ | hub.environment, check=True, capture_output=True, timeout=120)
    assert obtained(hub, tmp_path)["revision"] == NEWEST
    cached = copied(tmp_path / "cache/models--lab--tiny/snapshots" / OTHER)
    (tmp_path / "revisions.lock").unlink()
    assert obtained(hub, tmp_path, folder=str(cached))["revision"] == OTHER


def test_a_part_of_a_copy_is_not_taken_for_the_whole(hub: Hub, tmp_path: Path) -> None:
    copy = copied(tmp_path / "models/tiny")
    (copy / "model.safetensors").rename(copy / "model-00001-of-00002.safetensors")
    parts = {f"w{part}": f"model-0000{part}-of-00002.safetensors" for part in (1, 2)}
    (copy / "model.safetensors.index.json").write_text(json.dumps({"weight_map": parts}))
    assert obtained(hub, tmp_path) == (
        "error: models/tiny: is no whole copy of lab/tiny, for it has no model-00002-of-00002.safetensors; complete or delete it."
    )
    assert not (tmp_path / "revisions.lock").exists()
    (copy / "model-00002-of-00002.safetensors").write_bytes(b"the rest")
    begun = copy / ".cache/huggingface/download"
    begun.mkdir(parents=True)
    (begun / "x.incomplete").touch()
    assert "holds a download that was broken off" in obtained(hub, tmp_path)
    (begun / "x.incomplete").unlink()
    assert obtained(hub, tmp_path)["revision"] == ""


def test_a_copy_that_lies_where_nothing_can_be_written_is_used(hub: Hub, tmp_path: Path) -> None:
    shared = copied(tmp_path / "shared/tiny")
    before = sorted(shared.parent.rglob("*"))
    assert obtained(hub, tmp_path, folder=str(shared))["digest"] and sorted(shared.parent.rglob("*")) == before


def test_a_damaged_download_is_refused_and_the_next_one_goes_on(hub: Hub, tmp_path: Path) -> None:
    hub.damaged.add("model.safetensors")
    assert obtained(hub, tmp_path) == "error: lab/tiny: model.safetensors came damaged; run the same command again."
    assert not (tmp_path / "models/tiny").exists()
    hub.damaged.clear()
    hub.asked.clear()
    assert obtained(hub, tmp_path)["revision"] == NEWEST
    assert not [line for line in hub.asked if line.startswith("GET") and line.endswith("config.json")]


def test_a_file_of_another_size_is_not_taken_for_the_download(hub: Hub, tmp_path: Path) -> None:
    obtained(hub, tmp_path)
    (tmp_path / "models/tiny/model.safetensors").write_bytes(b"cut")
    refused = obtained(hub, tmp_path)
    assert "model.safetensors: is gone or has another size than lab/tiny gave it" in refused


def test_without_a_network_the_sentence_says_what_to_download_and_where_to_put_it(hub: Hub, tmp_path: Path) -> None:
    for environment in ({"HF_HUB_OFFLINE": "1"}, {"HF_ENDPOINT": "http://127.0.0.1:9"}):
        refused = obtained(hub, tmp_path, NEWEST, **environment)
        assert refused.startswith(
            "error: model.path: models/tiny is not there, and lab/tiny cannot be downloaded from huggingface.co ("
        )
        assert refused.endswith(
            f"run `hf download lab/tiny --revision {NEWEST} --local-dir models/tiny` where there is a network and copy the "
            "folder here, or set model.path to a copy that you have."
        )  # fmt: skip


def test_a_gated_repository_asks_for_its_terms_and_a_token(hub: Hub, tmp_path: Path) -> None:
    hub.token = "hf_secret"
    refused = obtained(hub, tmp_path, HF_TOKEN="hf_wrong")
    assert "is open only to those who accepted its terms" in refused and "hf_wrong" not in refused
    assert obtained(hub, tmp_path, HF_TOKEN="hf_secret")["revision"] == NEWEST


def test_a_pin_that_the_results_were_not_made_with_is_refused_before_anything_is_planned(tmp_path: Path) -> None:
    raw = yaml.safe_load((ROOT / "config.yaml").read_text())
    raw["model"] |= {"hub": "lab/tiny", "revision": NEWEST}
    study = load_study(raw, ROOT)
    kept = tmp_path / "revisions.lock"
    check_pins(study, kept, usual_hub)
    kept.write_text(json.dumps({"model lab/tiny": {"revision": NEWEST, "digest": ""}}))
    check_pins(study, kept, usual_hub)
    kept.write_text(json.dumps({"model lab/tiny": {"revision": OTHER, "digest": ""}}))
    with pytest.raises(UserError, match=f"model.revision: is {NEWEST}, but the results so far were made with {OTHER}"):
        check_pins(study, kept, usual_hub)

    # A dataset's repository is the loader's where the study names none.
    raw = yaml.safe_load((ROOT / "config/qwen3.5-4b.yaml").read_text())
    raw["problems"]["sources"]["beyond-aime"]["revision"] = NEWEST
    kept.write_text(json.dumps({"dataset ByteDance-Seed/BeyondAIME": {"revision": OTHER, "digest": ""}}))
    with pytest.raises(UserError, match=r"problems\.sources\.beyond-aime\.revision: is"):
        check_pins(load_study(raw, ROOT), kept, usual_hub)


def test_a_copy_that_went_away_or_changed_is_seen_before_anything_is_planned(hub: Hub, tmp_path: Path) -> None:
    facts = tmp_path / "facts"
    facts.mkdir()
    folder = tmp_path / "models/tiny"
    (facts / "model.json").write_text(json.dumps(obtained(hub, tmp_path)))
    raw = yaml.safe_load((ROOT / "config.yaml").read_text())
    shutil.copytree(ROOT / raw["model"]["path"], tmp_path / "elsewhere")
    raw["model"] |= {"hub": "lab/tiny", "path": str(tmp_path / "elsewhere")}
    study = load_study(raw, ROOT)
    with pytest.raises(UserError, match="is gone or has another size than when this study began; bring that copy back"):
        check_copies(study, facts)
    raw["model"]["path"] = str(folder)
    check_copies(load_study(raw, ROOT), facts)
    shutil.rmtree(folder)
    with pytest.raises(UserError, match=r"or delete .*model\.json to have it looked for anew"):
        check_copies(load_study(raw, ROOT), facts)
