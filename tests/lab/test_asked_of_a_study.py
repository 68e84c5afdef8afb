"""What `forklock status` and `forklock diff` say of a study that has run, that was stopped, and that was changed."""

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from conftest import ENVIRONMENT, Clone

pytestmark = pytest.mark.xdist_group("smoke")

TOTAL = 1810  # completions of the smoke study


def forklock(clone: Clone, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "workflow_scripts/forklock.py", *arguments],
        cwd=clone.folder, env=ENVIRONMENT, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def status(clone: Clone) -> dict[str, Any]:
    return dict(json.loads(forklock(clone, "status", "config/smoke.yaml", "--json")))


def part(said: dict[str, Any], name: str) -> dict[str, Any]:
    return next(each for each in said["parts"] if each["name"] == name)


def test_a_finished_study_leaves_nothing_and_would_do_nothing(smoke: Clone) -> None:
    said = forklock(smoke, "status", "config/smoke.yaml")
    assert (
        f"sample    100%  {TOTAL:,} of {TOTAL:,} completions" in said and "left by the plan: 0.00 hours on CPUs" in said
    )
    changed = forklock(smoke, "diff", "config/smoke.yaml")
    assert (
        changed.startswith("smoke: 0 of 1")
        and "0 of 4 trainings would run anew." in changed
        and changed.count("\n") == 1
    )


def test_a_stopped_study_is_counted_from_its_journals_and_steps(own: Clone) -> None:
    base, run = own.folder / "results/smoke/models/base", own.folder / "results/smoke/runs/ssd/seed-0"
    asked = pl.read_parquet(base / "plan.parquet").filter(pl.col("shard") == 0).height
    held = pl.read_parquet(base / "shard-1.parquet").height
    for path in (base / "shard-0.parquet", *(base / "journal-0").glob("[0-9]*.parquet"), run / "manifest.json"):
        path.unlink()
    (base / "journal-0/000009.jsonl").write_bytes(b'{"a": 1}\n{"b": 2}\n{"torn')
    steps = run / "work/steps.jsonl"
    steps.write_text("".join(steps.read_text().splitlines(keepends=True)[:5]))
    for log in (own.folder / "results/smoke/logs").rglob("*.log"):
        os.utime(log, (time.time() - 3600,) * 2)
    said = status(own)
    assert part(said, "base")["done"] == held + 2 and part(said, "base")["total"] == held + asked
    assert part(said, "base")["state"] == part(said, "ssd/seed-0")["state"] == "begun"
    assert part(said, "ssd/seed-0")["done"] == 5
    assert said["left"]["tokens"] > 0 and part(said, "graded tables")["state"] == "done"
    # Its sampler speaks: it is under way, at the speed that it says.
    log = own.folder / "results/smoke/logs/sample/base/shard-0.log"
    log.write_text(
        '{"event": "progress", "tokens_per_second": 1234.0, "cut_rate": 0.25, "eta_seconds": 60}\nsomething\n'
    )
    assert part(status(own), "base")["state"] == "under way"
    assert re.search(
        r"base +under way .*\(1,234 tokens/s, cut 25.0%, 60 s left\)", forklock(own, "status", "config/smoke.yaml")
    )


def test_a_change_counts_what_nothing_holds(smoke: Clone) -> None:
    def ask_twice(study: dict[str, Any]) -> None:
        study["evaluation"]["draws"] = 2

    def learn_faster(study: dict[str, Any]) -> None:
        study["training"]["lr"] *= 2

    study = smoke.changed_study(ask_twice)
    try:
        before = json.loads(forklock(smoke, "diff", "config/smoke.yaml", "--json"))["sampled"]
        evaluated = sum(each["asked"] for each in before if not each["model"].startswith("samples-"))
        said = forklock(smoke, "diff", study)
        assert said.startswith(f"smoke: {evaluated:,} of") and "0 of 4 trainings would run anew." in said
        study = smoke.changed_study(learn_faster)
        said = forklock(smoke, "diff", study)
        assert "4 of 4 trainings would run anew." in said
        assert re.search(r"train +ssd/seed-0 +training\.lr: 3e-05, now 6e-05", said)
        assert re.search(r"sample +ssd/seed-0/at-100 .*\(its training runs anew\)", said) and "sample  base" not in said
    finally:
        Path(smoke.folder / study).unlink()
