"""One practice on several processes: the same answers and the same updates as on one. On CPUs, over gloo, with FSDP2."""

import json
import os
import subprocess
import sys
from pathlib import Path

os.environ |= {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "TRL_EXPERIMENTAL_SILENCE": "1"}

import polars as pl
import pytest
import torch

from conftest import ROOT
from practice_fixture import SEARCHER, practice_settings, questions
from selfdistill.tables.practice import QUESTIONS, ROLLOUTS, UPDATES
from selfdistill.tables.training import NOISE, RUN_LOG
from selfdistill.tables.whole import read_table, write_table
from selfdistill.training.practice.run import practise_run

pytestmark = pytest.mark.xdist_group("ranks")

TOLD = {"wording": "{problem}\n{solution}\n\n{prompt}", "solution": "dataset"}
TRAINING = {
    "lr": 3e-4,
    "lr_floor": 3e-4,
    "schedule": "constant",
    "micro_batch": 4,
    "warmup_steps": 1,
    "checkpoints": [50, 100],
}


def test_two_ranks_answer_and_learn_as_one(tmp_path: Path) -> None:
    """Up to the end of the first generation: the second asks a policy whose last bits are others, and so draws anew."""
    chosen = practice_settings("distil", {"teacher": {"ema": 0.3}}, teacher=TOLD, training=TRAINING)
    write_table(questions(6), tmp_path / "questions.parquet", QUESTIONS)
    torch.set_num_threads(1)
    practise_run(SEARCHER, tmp_path / "questions.parquet", chosen, tmp_path / "one/out", tmp_path / "one/work")
    settings = chosen.model_copy(update={"processes": 2}).model_dump_json()
    command = [
        sys.executable,
        str(ROOT / "workflow_scripts/practice.py"),
        "--model",
        str(SEARCHER),
        "--settings",
        settings,
    ]
    command += ["--questions", str(tmp_path / "questions.parquet"), "--replay", "--study", "small"]
    command += ["--out", str(tmp_path / "two/out"), "--work", str(tmp_path / "two/work")]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=300, env=os.environ | {"OMP_NUM_THREADS": "1"}
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("practising distil: 2 generations of 2 steps") == 1 == done.stderr.count("step 4/4")

    one, two = (folder / "out" for folder in (tmp_path / "one", tmp_path / "two"))
    first = [
        read_table(folder / "rollouts.parquet", ROLLOUTS).filter(pl.col("generation") == 1) for folder in (one, two)
    ]
    same = ["request_id", "draw", "token_ids", "verdict", "reward", "advantage", "teacher_ids", "told_by", "step"]
    assert first[0].select(same).equals(first[1].select(same)) and first[0].height == 16
    early = pl.col("step") <= 2
    for name, schema, columns in (
        ("log", RUN_LOG, ("loss", "entropy", "grad_norm", "tokens", "sequences")),
        ("updates", UPDATES, ("divergence", "teacher_kl", "taught", "is_mean", "teacher_distance")),
        ("noise", NOISE, ("norm_squared", "sequences")),
    ):
        single, double = (read_table(folder / f"{name}.parquet", schema).filter(early) for folder in (one, two))
        for column in columns:
            assert double[column].to_list() == pytest.approx(single[column].to_list(), rel=1e-3, abs=1e-9), column
    assert_close(one / "at-050", two / "at-050")
    manifests = [json.loads((folder / "manifest.json").read_text()) for folder in (one, two)]
    assert manifests[0]["parameters"] == manifests[1]["parameters"]


def assert_close(one: Path, other: Path) -> None:
    from safetensors.torch import load_file

    single, double = (load_file(folder / "model.safetensors") for folder in (one, other))
    assert single.keys() == double.keys()
    assert all(torch.allclose(single[key], double[key], rtol=0, atol=2e-5) for key in single)
