"""A small study with two looks, through the real workflow: what is closed is sampled no further, and nothing twice."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from conftest import ENVIRONMENT, PATIENCE, Clone, begun
from selfdistill.tables import words
from selfdistill.tables.analysis import LOOKS, VERDICTS
from selfdistill.tables.sampling import GRADED, PLAN
from selfdistill.tables.whole import read_table

pytestmark = pytest.mark.xdist_group("looks")

ARM = "ssd/seed-0/at-100"


def with_two_looks(study: dict[str, Any]) -> None:
    """One arm and two hypotheses: one is settled by any few problems, the other needs more than the first look has."""
    study["arms"] = {"ssd": study["arms"]["ssd"]}
    del study["mechanism"]
    study["evaluation"] |= {
        "looks": [30, 90],
        "decodes": {"base": ["t07", "t15"], "final": ["t07", "t15"], "earlier": ["t07"]},
    }
    asked = {"arm": "ssd", "comparison": "matched"}
    study["hypotheses"] = {
        "soon": asked | {"decode": "t15", "outcome": "cut_rate", "margin": 0.9},
        "later": asked | {"decode": "t07", "margin": 0.25},
    }


def with_another_margin(study: dict[str, Any]) -> None:
    with_two_looks(study)
    study["hypotheses"]["later"]["margin"] = 0.4


def next_look(clone: Clone, study: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "workflow_scripts/forklock.py", "look", study],
        cwd=clone.folder, env=ENVIRONMENT, capture_output=True, text=True, timeout=PATIENCE,
    )  # fmt: skip


def run(clone: Clone, study: str) -> None:
    said = clone.snakemake(study=study)
    assert said.returncode == 0, said.stdout[-3000:] + said.stderr[-3000:]


def requests(results: Path, model: str) -> set[str]:
    return set(read_table(results / f"models/{model}/plan.parquet", PLAN)["request_id"])


def left_to_sample(clone: Clone, study: str) -> int:
    """Completions that are not there yet, as `forklock status` counts them."""
    said = subprocess.run(
        [sys.executable, "workflow_scripts/forklock.py", "status", study, "--json"],
        cwd=clone.folder, env=ENVIRONMENT, capture_output=True, text=True, check=True, timeout=PATIENCE,
    )  # fmt: skip
    parts = json.loads(said.stdout)["parts"]
    left = sum(part["total"] - part["done"] for part in parts if part["stage"] == "sample")
    assert (left == 0) == (parts[-1]["stage"] == "report" and parts[-1]["state"] == "done")
    return int(left)


def answered(results: Path, model: str) -> dict[str, int]:
    graded = read_table(results / f"models/{model}/graded.parquet", GRADED)
    return dict(graded.group_by("decode_id").len().rows())


def test_two_looks_from_the_first_problem_to_the_last_verdict(smoke: Clone, tmp_path: Path) -> None:
    clone = begun(smoke, tmp_path, "models/base", f"models/{ARM}")
    study, results = clone.changed_study(with_two_looks), tmp_path / "results/smoke"
    (results / "analysis/looks.parquet").unlink()
    early = next_look(clone, study)
    assert early.returncode == 1 and "looks.parquet: is not there; run this study to its report first" in early.stderr

    run(clone, study)
    first = {row["hypothesis"]: row for row in read_table(results / "analysis/looks.parquet", LOOKS).to_dicts()}
    assert {name: row["state"] for name, row in first.items()} == {"soon": words.SETTLED, "later": words.GOES_ON}
    models = ("base", ARM)
    assert all(answered(results, model) == {"t07": 30, "t15": 30} for model in models)
    asked = {model: requests(results, model) for model in models}
    assert "Look 1 of 2 (30 of 90 problems)" in (results / "report.html").read_text()
    assert not (results / "looks.json").exists()
    assert left_to_sample(clone, study) == 0

    moved = next_look(clone, study)
    assert moved.returncode == 0 and "look 2 of 2" in moved.stderr and "closed by look 1: soon" in moved.stderr
    record = (results / "looks.json").read_text()
    assert left_to_sample(clone, study) == 60 * len(models)
    # Killed here, before anything ran: the record is whole, the tables are those of look 1, and no look can be skipped.
    again = next_look(clone, study)
    assert again.returncode == 1 and "does not judge look 2; run this study to its report first" in again.stderr
    assert (results / "looks.json").read_text() == record
    closed = json.loads(record)["closed"]
    assert list(closed) == ["soon"] and closed["soon"]["row"]["verdict"] == words.EQUIVALENT

    run(clone, study)
    assert all(answered(results, model) == {"t07": 90, "t15": 30} for model in models)
    for model in models:
        assert asked[model] < requests(results, model)
        logs = sorted((results / "logs/sample" / model).glob("shard-*.log"))
        counts = [re.search(r"(\d+) requests, (\d+) in the journal, (\d+) to sample", log.read_text()) for log in logs]
        assert sum(int(count[2]) for count in counts if count) == 60 == sum(int(count[3]) for count in counts if count)
    second = {row["hypothesis"]: row for row in read_table(results / "analysis/looks.parquet", LOOKS).to_dicts()}
    assert second["soon"] == first["soon"] and second["later"]["look"] == 2
    verdicts = {
        row["hypothesis"]: row for row in read_table(results / "analysis/verdicts.parquet", VERDICTS).to_dicts()
    }
    assert verdicts["soon"] == closed["soon"]["row"]
    page = (results / "report.html").read_text()
    assert "Look 2 of 2 (90 of 90 problems)" in page and "Look 1 of 2 (30 of 90 problems)" in page

    assert left_to_sample(clone, study) == 0
    last = next_look(clone, study)
    assert last.returncode == 3 and "look 2 was the last" in last.stderr
    assert not clone.jobs_to_run(study=study)
    # A plan that changes once a look was seen is refused before anything runs.
    changed = clone.changed_study(with_another_margin)
    refused = clone.snakemake("--dry-run", study=changed)
    told = refused.stdout + refused.stderr
    assert refused.returncode != 0 and "hypotheses.later: is not what it was when look 1 was judged" in told
