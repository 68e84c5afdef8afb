"""A folder that was not made by the model's makers says so, in the facts of a study and on its page; a changed one says no more."""

import json
from pathlib import Path

import pytest

from report_fixture import report_inputs
from selfdistill.foundation.errors import UserError
from selfdistill.models.digests import file_digest
from selfdistill.models.hub.obtain import obtain
from selfdistill.models.hub.repository import Repository
from selfdistill.models.lineage import checkpoint_lineage
from selfdistill.models.origin import ORIGIN, origin_of, read_origin
from selfdistill.reporting.page import render_report

pytestmark = pytest.mark.usefixtures("undrawn")

SENTENCE = "Tiny, weights dequantised from a 4-bit GGUF."


@pytest.fixture
def made(tmp_path: Path) -> Path:
    folder = tmp_path / "hub/tiny"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"weights")
    sums = {path.name: file_digest(path) for path in folder.iterdir()}
    (folder / ORIGIN).write_text(json.dumps({"sentence": SENTENCE, "files": sums}))
    return folder


def of_the_hub(folder: Path) -> Repository:
    return Repository("model", "model", "lab/tiny", "", folder)


def test_a_folder_that_is_there_is_taken_and_is_not_called_the_hubs_copy(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    facts = obtain(of_the_hub(made), tmp_path / "revisions.lock")
    assert facts["origin"] == SENTENCE and facts["revision"] == "" and len(facts["digest"]) == 64
    assert "is not the hub's copy of lab/tiny: Tiny, weights dequantised" in capsys.readouterr().err
    kept = json.loads((tmp_path / "revisions.lock").read_text())
    assert kept == {"model lab/tiny": {"revision": "", "digest": facts["digest"]}}
    assert obtain(of_the_hub(made), tmp_path / "revisions.lock") == facts


def test_a_study_that_began_with_the_hubs_copy_does_not_go_on_with_this_one(made: Path, tmp_path: Path) -> None:
    lock = tmp_path / "revisions.lock"
    lock.write_text(json.dumps({"model lab/tiny": {"revision": "3" * 40, "digest": "d" * 64}}))
    with pytest.raises(UserError, match="is not the lab/tiny that this study began with"):
        obtain(of_the_hub(made), lock)


def test_a_folder_whose_files_were_changed_is_refused(made: Path, tmp_path: Path) -> None:
    (made / "model.safetensors").write_bytes(b"others!")
    with pytest.raises(UserError, match=r"model\.safetensors: is gone or is not the file that origin\.json tells of"):
        obtain(of_the_hub(made), tmp_path / "revisions.lock")
    (made / "model.safetensors").unlink()
    with pytest.raises(UserError, match="is no whole copy of lab/tiny"):
        obtain(of_the_hub(made), tmp_path / "revisions.lock")


def test_a_folder_without_a_record_says_nothing(tmp_path: Path) -> None:
    assert read_origin(tmp_path) == {} and origin_of(tmp_path, {}) == ""


def test_a_checkpoint_hands_it_on(made: Path) -> None:
    manifest = {
        "arm": "ssd", "training_seed": 0, "examples": 8, "dataset_digest": "d" * 64, "base_digest": "b" * 64, "base_path": "hub/tiny",
        "base_origin": SENTENCE, "checkpoints": {"at-100": {"step": 4, "digest": "c" * 64}},
    }  # fmt: skip
    told = checkpoint_lineage(manifest, "at-100")
    page = render_report(report_inputs(lineage={"lineage": told, "unchanged": True}))
    assert "first trained from hub/tiny (digest bbbbbbbbbbbbbbbb; Tiny, weights dequantised from a 4-bit GGUF)." in page


def test_the_page_says_what_the_weights_are(tmp_path: Path) -> None:
    hostile = "weights <script>alert(1)</script>"
    page = render_report(report_inputs(origin=hostile))
    assert "<strong>The weights:</strong> weights &lt;script&gt;" in page.split('id="estimand"')[1]
    assert "<strong>The weights:</strong>" not in render_report(report_inputs())
