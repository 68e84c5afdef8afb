"""What the sampling engine makes of an export is what the trainer's model was, or the study stops with a sentence."""

import json
import math
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch
from safetensors.torch import load_file

from conftest import ROOT
from exported_models import LAB_CONTEXT, change, damaged, exported, lab_examples, manifest_of, train
from lab_requests import MODEL
from selfdistill.foundation.errors import UserError
from selfdistill.sampling.sampler import SamplerSettings
from selfdistill.tables.training import TRAINED_LOGPROBS
from selfdistill.tables.whole import read_table, write_table
from selfdistill.training.handover.distances import LIMITS, MEAN_SHARE, difference_between
from selfdistill.training.handover.export_check import check_exports, refuse_different
from selfdistill.training.handover.exports import BASE_LOGPROBS_FILE, TRAINED_LOGPROBS_FILE

torch.set_num_threads(1)
SETTINGS = SamplerSettings("auto", "float32", LAB_CONTEXT, batch=8)
BFLOAT16 = SamplerSettings("torch", "bfloat16", LAB_CONTEXT, batch=8)


def check(
    checkpoints: list[Path], folder: Path, settings: SamplerSettings = SETTINGS, limit: float | None = None
) -> dict[str, Any]:
    """What the check writes down of each checkpoint of the lab's model."""
    written = folder / "export_check.json"
    check_exports(checkpoints, manifest_of(MODEL, folder), settings, limit, written)
    return dict(json.loads(written.read_text())["checkpoints"])


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return exported(MODEL, tmp_path_factory.mktemp("run") / "at-100", lab_examples())


@pytest.fixture(scope="module")
def short_export(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same of a model that is stored in bfloat16."""
    folder = tmp_path_factory.mktemp("short")
    source = shutil.copytree(MODEL, folder / "source")
    change(source, lambda name, tensor: tensor.bfloat16())
    return exported(source, folder / "at-100", lab_examples())


def test_a_whole_export_is_read_as_it_was_trained(export: Path, tmp_path: Path) -> None:
    found = check([export], tmp_path)["at-100"]
    written = json.loads((tmp_path / "export_check.json").read_text())
    assert (written["engine"], written["version"], written["dtype"]) == ("torch", torch.__version__, "float32")
    assert found["limit"] == 1e-3 and 0 < found["mean"] < found["largest"] < 1e-4
    assert found["from_base"] == pytest.approx(found["moved"], rel=1e-3) and found["moved"] > 1e-3
    trained = read_table(export / TRAINED_LOGPROBS_FILE, TRAINED_LOGPROBS)
    assert found["tokens"] == trained["completion_ids"].list.len().sum() > 300


def test_a_damaged_export_is_refused_by_name_with_what_to_do(export: Path, tmp_path: Path) -> None:
    hurt = damaged(export, tmp_path / "at-050", share=0.02)
    sentence = r"at-050: torch \S+ gives the tokens .* up to 0\.\d+ \(.* the limit is 0\.001 .* delete the folder and run again"
    with pytest.raises(UserError, match=sentence):
        check([export, hurt], tmp_path)
    found = json.loads((tmp_path / "export_check.json").read_text())["checkpoints"]
    assert found["at-100"]["largest"] < 1e-3 < found["at-050"]["largest"]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_short_precisions_are_allowed_their_rounding_and_no_damage(
    export: Path, short_export: Path, dtype: str, tmp_path: Path
) -> None:
    settings = SamplerSettings("torch", dtype, LAB_CONTEXT, batch=8)
    whole = export if dtype == "bfloat16" else short_export
    found = check([whole], tmp_path, settings)["at-100"]
    assert found["limit"] == LIMITS["bfloat16"] and found["largest"] > LIMITS["float32"]
    with pytest.raises(UserError, match="limit is 2"):
        check([damaged(whole, tmp_path / "hurt", share=1.0)], tmp_path, settings)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_an_engine_that_computes_another_model_is_found_out(export: Path, dtype: str, tmp_path: Path) -> None:
    """Whole weights, read with rotations of another base."""
    turned = shutil.copytree(export, tmp_path / "at-100")
    config = json.loads((turned / "config.json").read_text())
    config["rope_parameters"]["rope_theta"] *= 2
    (turned / "config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match="at-100: torch"):
        check([turned], tmp_path, SamplerSettings("torch", dtype, LAB_CONTEXT, batch=8))


def test_the_study_may_set_the_limit(export: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="limit is 1e-08"):
        check([export], tmp_path, limit=1e-8)
    check([damaged(export, tmp_path / "hurt", share=0.02)], tmp_path, limit=50.0)


def test_what_is_no_number_is_no_agreement() -> None:
    for pairs in (
        ([[-1.0, math.nan]], [[-1.0, -2.0]]),
        ([[-1.0, -2.0]], [[-1.0, -math.inf]]),
        ([[-math.inf]], [[-math.inf]]),
        ([], []),
    ):
        assert not difference_between(*pairs, limit=1e9).passed
    with pytest.raises(UserError, match="nan"):
        refuse_different(Path("at-100"), "torch 2", difference_between([[math.nan]], [[-1.0]], 1.0))


def test_the_mean_is_judged_too() -> None:
    """A small damage moves every token a little and none very far."""
    ours = [[-1.0] * 100]
    assert difference_between(ours, [[-1.0] * 99 + [-1.9]], limit=1.0).passed
    assert not difference_between(ours, [[-1.0] * 99 + [-2.1]], limit=1.0).passed
    assert not difference_between(ours, [[-1.0 - 1.1 * MEAN_SHARE] * 100], limit=1.0).passed


def test_the_program_ends_in_one_sentence(export: Path, tmp_path: Path) -> None:
    broken = shutil.copytree(export, tmp_path / "at-100")
    trained = read_table(broken / TRAINED_LOGPROBS_FILE, TRAINED_LOGPROBS)
    off = trained.with_columns(pl.col("log_probs").list.eval(pl.element() - 1.0))
    write_table(off, broken / TRAINED_LOGPROBS_FILE, TRAINED_LOGPROBS)
    settings = {"engine": "torch", "dtype": "float32", "context": LAB_CONTEXT, "trust_remote_code": None, "limit": None}
    command = [sys.executable, str(ROOT / "workflow_scripts/check_export.py"), "--settings", json.dumps(settings)]
    command += [
        "--checkpoints",
        str(broken),
        "--manifest",
        str(manifest_of(MODEL, tmp_path)),
        "--output",
        str(tmp_path / "check.json"),
        "--batch",
        "8",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1 and done.stdout == ""
    assert re.fullmatch(r"error: \S+at-100: torch \S+ gives .* up to 1 \(1 on average.*\n", done.stderr)


# Told from the base


def little(model: Any) -> None:
    """A few hundredths of a nat a token: a fifth of what the limits in bfloat16 allow."""
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    train(model)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(before[name] + 0.5 * (parameter - before[name]))


def with_weights_of(other: Path, folder: Path, target: Path) -> Path:
    """A checkpoint in which the weights of another model lie."""
    shutil.copytree(folder, target)
    shutil.copyfile(other / "model.safetensors", target / "model.safetensors")
    return target


@pytest.fixture(scope="module")
def lightly(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Trained less than the limits in bfloat16 allow for."""
    return exported(MODEL, tmp_path_factory.mktemp("lightly") / "at-100", lab_examples(), little)


def test_a_training_that_moves_less_than_the_limit_is_still_told_from_the_base(lightly: Path, tmp_path: Path) -> None:
    found = check([lightly], tmp_path, BFLOAT16)["at-100"]
    assert found["mean"] < found["moved"] < found["limit"] * MEAN_SHARE / 4
    assert found["from_base"] > 2 * found["mean"]


def test_a_checkpoint_that_is_exported_as_the_base_is_found_out(lightly: Path, tmp_path: Path) -> None:
    base = with_weights_of(MODEL, lightly, tmp_path / "at-100")
    with pytest.raises(UserError, match="at-100: this checkpoint is the base, byte for byte, and not what was trained"):
        check([base], tmp_path, BFLOAT16)
    written = json.loads((tmp_path / "export_check.json").read_text())["checkpoints"]["at-100"]
    assert written["mean"] < LIMITS["bfloat16"] * MEAN_SHARE / 4, "the limits alone would have passed it"


def test_a_base_under_another_digest_is_found_out_by_its_distances(lightly: Path, tmp_path: Path) -> None:
    """As where an engine reads other files than those of the checkpoint; and where all but the first layer stayed the base's."""
    base = with_weights_of(MODEL, lightly, tmp_path / "at-050")
    (base / "generation_config.json").write_text((base / "generation_config.json").read_text() + "\n")
    sentence = r"gives .* \d\S+ on average from those of the trained model and \d\S+ from the base's, and not 1\.25 times nearer"
    with pytest.raises(UserError, match=sentence):
        check([base], tmp_path, BFLOAT16)
    part, kept = shutil.copytree(lightly, tmp_path / "at-075"), load_file(MODEL / "model.safetensors")
    change(part, lambda name, tensor: tensor if ".layers.0." in name else kept[name])
    with pytest.raises(UserError, match=sentence):
        check([part], tmp_path, BFLOAT16)


def test_a_training_that_moved_nothing_is_no_fault_and_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its checkpoints are the base and each other, as they must be."""
    still = [exported(MODEL, tmp_path / name, lab_examples(), lambda model: None) for name in ("at-050", "at-100")]
    for settings in (SETTINGS, BFLOAT16):
        found = check(still, tmp_path, settings)
        assert [found[name]["moved"] for name in found] == [0, 0]
        said = capsys.readouterr().err
        assert said.count("training moved the log-probabilities by 0 on average") == 2
        assert said.count("the same model twice, for training moved no stored weight between them") == 1


def test_a_training_that_moved_less_than_the_engine_is_off_is_no_fault(tmp_path: Path) -> None:
    def hardly(model: Any) -> None:
        with torch.no_grad():
            model.model.norm.weight.mul_(1 + 1e-3)

    found = check([exported(MODEL, tmp_path / "at-100", lab_examples(), hardly)], tmp_path, BFLOAT16)["at-100"]
    assert 0 < found["moved"] < found["mean"]


def test_the_same_model_twice_is_found_out(lightly: Path, tmp_path: Path) -> None:
    """In bfloat16, whose limits would take each for the other."""

    def further(model: Any) -> None:
        little(model)
        with torch.no_grad():
            model.model.norm.weight.mul_(1.002)

    later = exported(MODEL, tmp_path / "later", lab_examples(), further)
    assert len(check([lightly, later], tmp_path, BFLOAT16)) == 2
    twice = with_weights_of(lightly, later, tmp_path / "at-050")
    with pytest.raises(UserError, match="at-050: the same model twice, byte for byte, though training moved"):
        check([lightly, twice], tmp_path, BFLOAT16)


def test_an_export_of_an_earlier_version_is_judged_by_its_digest(
    lightly: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = shutil.copytree(lightly, tmp_path / "at-100")
    (old / BASE_LOGPROBS_FILE).unlink()
    found = check([old], tmp_path, BFLOAT16)["at-100"]
    assert found["moved"] is found["from_base"] is None and found["mean"] > 0
    assert "only digests tell the two apart" in capsys.readouterr().err
    with pytest.raises(UserError, match="is the base, byte for byte"):
        check([with_weights_of(MODEL, old, tmp_path / "at-050")], tmp_path, BFLOAT16)
