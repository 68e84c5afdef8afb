"""What the sampling engine makes of an export is what the trainer's model was, or the study stops with a sentence."""

import json
import math
import re
import shutil
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
import torch

from conftest import ROOT
from exported_models import LAB_CONTEXT, change, damaged, exported, lab_examples
from lab_requests import MODEL
from selfdistill.foundation.errors import UserError
from selfdistill.sampling.sampler import SamplerSettings
from selfdistill.tables.training import TRAINED_LOGPROBS
from selfdistill.tables.whole import read_table, write_table
from selfdistill.training.handover.export_check import (
    LIMITS,
    MEAN_SHARE,
    check_exports,
    difference_between,
    refuse_different,
)
from selfdistill.training.handover.exports import TRAINED_LOGPROBS_FILE

torch.set_num_threads(1)
SETTINGS = SamplerSettings("auto", "float32", LAB_CONTEXT, batch=8)


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
    check_exports([export], SETTINGS, None, tmp_path / "export_check.json")
    check = json.loads((tmp_path / "export_check.json").read_text())
    assert (check["engine"], check["version"], check["dtype"]) == ("torch", torch.__version__, "float32")
    found = check["checkpoints"]["at-100"]
    assert found["limit"] == 1e-3 and 0 < found["mean"] < found["largest"] < 1e-4
    trained = read_table(export / TRAINED_LOGPROBS_FILE, TRAINED_LOGPROBS)
    assert found["tokens"] == trained["completion_ids"].list.len().sum() > 300


def test_a_damaged_export_is_refused_by_name_with_what_to_do(export: Path, tmp_path: Path) -> None:
    hurt = damaged(export, tmp_path / "at-050", share=0.02)
    sentence = r"at-050: torch \S+ gives the tokens .* up to 0\.\d+ \(.* the limit is 0\.001 .* delete the folder and run again"
    with pytest.raises(UserError, match=sentence):
        check_exports([export, hurt], SETTINGS, None, tmp_path / "export_check.json")
    found = json.loads((tmp_path / "export_check.json").read_text())["checkpoints"]
    assert found["at-100"]["largest"] < 1e-3 < found["at-050"]["largest"]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_short_precisions_are_allowed_their_rounding_and_no_damage(
    export: Path, short_export: Path, dtype: str, tmp_path: Path
) -> None:
    settings = SamplerSettings("torch", dtype, LAB_CONTEXT, batch=8)
    whole = export if dtype == "bfloat16" else short_export
    check_exports([whole], settings, None, tmp_path / "export_check.json")
    found = json.loads((tmp_path / "export_check.json").read_text())["checkpoints"]["at-100"]
    assert found["limit"] == LIMITS["bfloat16"] and found["largest"] > LIMITS["float32"]
    with pytest.raises(UserError, match="limit is 2"):
        check_exports([damaged(whole, tmp_path / "hurt", share=1.0)], settings, None, tmp_path / "export_check.json")


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_an_engine_that_computes_another_model_is_found_out(export: Path, dtype: str, tmp_path: Path) -> None:
    """Whole weights, read with rotations of another base."""
    turned = shutil.copytree(export, tmp_path / "at-100")
    config = json.loads((turned / "config.json").read_text())
    config["rope_parameters"]["rope_theta"] *= 2
    (turned / "config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match="at-100: torch"):
        check_exports([turned], SamplerSettings("torch", dtype, LAB_CONTEXT, batch=8), None, tmp_path / "check.json")


def test_the_study_may_set_the_limit(export: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="limit is 1e-08"):
        check_exports([export], SETTINGS, 1e-8, tmp_path / "export_check.json")
    check_exports([damaged(export, tmp_path / "hurt", share=0.02)], SETTINGS, 50.0, tmp_path / "export_check.json")


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
    command += ["--checkpoints", str(broken), "--output", str(tmp_path / "check.json"), "--batch", "8"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1 and done.stdout == ""
    assert re.fullmatch(r"error: \S+at-100: torch \S+ gives .* up to 1 \(1 on average.*\n", done.stderr)
