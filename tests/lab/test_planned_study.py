"""The plan of cost against the study that it planned: jobs and requests to the last one, tokens nearly."""

import json
import subprocess
import sys
from typing import Any

import polars as pl
import pytest

from conftest import ENVIRONMENT, Clone
from selfdistill.tables.sampling import PLAN
from selfdistill.tables.whole import read_table

pytestmark = pytest.mark.xdist_group("dag")


def planned(clone: Clone, study: str, *options: str) -> str:
    return subprocess.run(
        [sys.executable, "workflow_scripts/forklock.py", "plan", study, *options],
        cwd=clone.folder, env=ENVIRONMENT, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip


def stages(clone: Clone, study: str) -> dict[str, Any]:
    plan = json.loads(planned(clone, study, "--json"))
    return {stage["name"]: stage for stage in plan["stages"]} | {"total": plan["total"]}


@pytest.mark.parametrize(
    "study",
    ["config/smoke.yaml", "config.yaml", "config/lab-full.yaml", "config/doubt-lab.yaml", "config/qwen3.5-4b.yaml"],
)
def test_the_plan_counts_the_jobs_that_snakemake_counts(smoke: Clone, study: str) -> None:
    jobs = smoke.jobs_to_run("--forceall", study=study)
    assert stages(smoke, study)["total"]["rules"] == jobs


def test_the_plan_counts_the_requests_and_nearly_the_tokens_of_the_finished_study(smoke: Clone) -> None:
    results = smoke.folder / "results/smoke"
    plans = pl.concat(read_table(file, PLAN) for file in results.glob("models/**/plan.parquet"))
    found = stages(smoke, "config/smoke.yaml")
    assert found["total"]["requests"] == plans.height
    assert found["sample training data"]["requests"] == plans.filter(pl.col("purpose") == "train").height
    earlier = plans.filter(pl.col("model_id").str.ends_with("/at-050"))
    assert found["sample earlier checkpoints"]["requests"] == earlier.height
    sampled = pl.concat(
        pl.read_parquet(file, columns=["n_tokens"]) for file in results.glob("models/**/shard-*.parquet")
    )
    tokens = sampled["n_tokens"].sum()
    assert sum(
        stage["expected"]["tokens"] for name, stage in found.items() if name.startswith("sample")
    ) == pytest.approx(tokens, rel=0.1)
    assert found["total"]["worst"]["tokens"] >= plans["max_tokens"].sum() >= tokens


def test_after_the_study_the_plan_is_compared_with_what_it_took(smoke: Clone) -> None:
    said = planned(smoke, "config/smoke.yaml", "--actual")
    assert [line.split()[-1] for line in said.splitlines() if line.startswith("requests")] == ["1.00"]
    for line in ("hours of jobs: sample", "hours of jobs: train", "completion_tokens", "detectable at 5 %: ssd-at-0-7"):
        assert line in said
