"""What training exports, vLLM reads: a composite model without its image processor, and the check of a run's checkpoints."""

import json
import os
import subprocess
from pathlib import Path

import polars as pl
import pytest

from conftest import PATIENCE, ROOT
from exported_models import (
    CONTEXT,
    END,
    LAB_CONTEXT,
    VOCABULARY,
    composite,
    damaged,
    exported,
    lab_examples,
    manifest_of,
)
from lab_requests import MODEL
from selfdistill.tables.training import TRAINED_LOGPROBS
from selfdistill.tables.whole import read_table
from selfdistill.training.handover.distances import LIMITS, difference_between
from selfdistill.training.handover.exports import TRAINED_LOGPROBS_FILE

pytestmark = pytest.mark.xdist_group("vllm")
# vLLM's Qwen3.5 imports this for pictures, which nobody shows it, and its CPU build comes without.
TORCHVISION = """
import sys, types
__version__ = "0.28.0"
class Constants(type):
    __getattr__ = lambda cls, name: name
class Module(types.ModuleType):
    __path__ = []
    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return Constants(name, (), {})
for name in ("io", "transforms", "transforms.functional", "transforms.v2", "transforms.v2.functional"):
    sys.modules["torchvision." + name] = Module("torchvision." + name)
"""


def test_vllm_reads_the_export_of_a_composite_model_as_it_was_trained(vllm_python: str, tmp_path: Path) -> None:
    """In bfloat16, the only precision in which vLLM's CPU build computes a Qwen3.5."""
    words = [[2 + (7 * at * at + row) % (VOCABULARY - 2) for at in range(90)] for row in range(8)]
    examples = pl.DataFrame({
        "request_id": [str(row) for row in range(8)], "prompt_ids": [row[: 5 + at] for at, row in enumerate(words)],
        "completion_ids": [row[5 + at :] for at, row in enumerate(words)],
    })  # fmt: skip
    export = exported(composite(tmp_path / "source"), tmp_path / "at-100", examples)
    trained = read_table(export / TRAINED_LOGPROBS_FILE, TRAINED_LOGPROBS)
    given = trained.select("request_id", "prompt_ids", "completion_ids").to_dicts()
    settings = {"model": str(export), "dtype": "bfloat16", "context": CONTEXT, "stop_ids": [END], "batch": 8}
    (tmp_path / "questions.json").write_text(
        json.dumps({"qwen3.5": {"settings": settings, "questions": {"score": {"score": given}}}})
    )
    (tmp_path / "torchvision").mkdir()
    (tmp_path / "torchvision/__init__.py").write_text(TORCHVISION)
    ran = run(
        vllm_python, "tests/vllm_engine/ask.py", tmp_path / "questions.json", tmp_path / "answers.json",
        PYTHONPATH=str(tmp_path),
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr[-5000:]
    answers = json.loads((tmp_path / "answers.json").read_text())["qwen3.5"]
    difference = difference_between(trained["log_probs"].to_list(), answers["score"]["logprobs"], LIMITS["bfloat16"])
    assert difference.tokens > 600 and difference.passed
    assert difference.largest < 0.1


def test_the_check_reads_each_checkpoint_in_vllm_and_names_the_damaged_one(vllm_python: str, tmp_path: Path) -> None:
    whole = exported(MODEL, tmp_path / "at-050", lab_examples())
    hurt = damaged(whole, tmp_path / "at-100", share=0.02)
    settings = {"engine": "vllm", "dtype": "float32", "context": LAB_CONTEXT, "trust_remote_code": None, "limit": None}
    ran = run(
        vllm_python, "workflow_scripts/check_export.py", "--checkpoints", whole, hurt, "--batch", 8,
        "--manifest", manifest_of(MODEL, tmp_path),
        "--output", tmp_path / "export_check.json", "--settings", json.dumps(settings),
    )  # fmt: skip
    assert ran.returncode == 1 and ran.stdout == ""
    last = ran.stderr.splitlines()[-1]
    assert last.startswith(f"error: {hurt}: vllm ") and "the limit is 0.001" in last and "Traceback" not in ran.stderr
    check = json.loads((tmp_path / "export_check.json").read_text())
    assert check["engine"] == "vllm" and check["version"][0].isdigit()
    assert check["checkpoints"]["at-050"]["largest"] < 1e-3 < check["checkpoints"]["at-100"]["largest"]
    assert check["checkpoints"]["at-050"]["from_base"] > 100 * check["checkpoints"]["at-050"]["mean"]


def run(python: str, program: str, *arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [python, str(ROOT / program), *map(str, arguments)],
        env=os.environ | {"OMP_NUM_THREADS": "1"} | environment, capture_output=True, text=True, timeout=PATIENCE,
    )  # fmt: skip
