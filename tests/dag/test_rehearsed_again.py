"""The dress rehearsal of an unchanged study is rehearsed once: again and again it plans nothing."""

import subprocess
import sys

import pytest

from conftest import ENVIRONMENT, Clone

pytestmark = pytest.mark.xdist_group("dag")


def rehearsed(clone: Clone) -> str:
    command = [
        sys.executable,
        "workflow_scripts/forklock.py",
        "rehearse",
        "config/qwen3.5-4b.yaml",
        "--engine",
        "torch",
    ]
    said = subprocess.run(command, cwd=clone.folder, env=ENVIRONMENT, capture_output=True, text=True, timeout=120)
    assert said.returncode == 0, said.stderr
    return said.stdout.strip()


def test_a_second_and_a_third_rehearsal_plan_nothing(fresh: Clone) -> None:
    target = "results/qwen3.5-4b-rehearsal/problems/prompts.parquet"  # rests on the model and on every dataset
    study = rehearsed(fresh)
    made = subprocess.run(
        ["snakemake", target, "--cores", "2", "--configfile", study],
        cwd=fresh.folder, env=ENVIRONMENT, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert made.returncode == 0, made.stderr[-3000:]
    facts = sorted(path.name for path in (fresh.folder / "results/qwen3.5-4b-rehearsal/hub").rglob("*.json"))
    for _ in range(2):
        assert fresh.jobs_to_run(target, study=rehearsed(fresh)) == {}
        assert facts == sorted(
            path.name for path in (fresh.folder / "results/qwen3.5-4b-rehearsal/hub").rglob("*.json")
        )
