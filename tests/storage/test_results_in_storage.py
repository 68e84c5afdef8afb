"""Results kept by a storage provider (a folder, through Snakemake's fs plugin): killed, gone on with from another machine,
and nothing is sampled or trained twice."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from conftest import ENVIRONMENT, PATIENCE, Clone
from selfdistill.sampling.journal.journal import Journal
from selfdistill.tables.sampling import COMPLETIONS
from selfdistill.tables.whole import read_table

pytestmark = pytest.mark.xdist_group("storage")

SHARD = "results/smoke/models/base/shard-0.parquet"
MANIFEST = "results/smoke/runs/ssd/seed-0/manifest.json"


def small(study: dict[str, Any]) -> None:
    study["sampling"] |= {"batch": 4, "shards_base": 1}  # so that there is time for a kill
    study["training"] |= {"samples": 64, "examples": 48, "batch": 8, "save_every": 1, "checkpoints": [100]}
    study["arms"] = {"ssd": study["arms"]["ssd"], "aa": study["arms"]["aa"]}
    del study["mechanism"]
    study["evaluation"] |= {"budgets": {"quick": 20, "full": 40}, "resamples": 200}
    study["evaluation"]["decodes"]["base"] = ["t07", "t15"]
    study["hypotheses"] = {"ssd-at-0-7": study["hypotheses"]["ssd-at-0-7"]}


class Site:
    """Storage of results, a disk for what storage does not keep, and machines that come and go."""

    def __init__(self, folder: Path) -> None:
        self.storage, self.work = folder / "storage", folder / "work"
        self.machines = folder / "machines"

    def machine(self) -> Clone:
        """A fresh one: it has the repository, all of it newer than any result, as git writes it, and nothing else."""
        folder = self.machines / str(time.monotonic_ns())
        folder.mkdir(parents=True)
        clone = Clone(folder)
        clone.changed_study(small)
        for path in folder.rglob("*"):
            os.utime(path)
        return clone

    def command(self, clone: Clone, *targets: str) -> list[str]:
        kept = ["--default-storage-provider", "fs", "--default-storage-prefix", str(self.storage)]
        return clone.command(*kept, "--", *targets, study="changed.yaml")

    @property
    def environment(self) -> dict[str, str]:
        return ENVIRONMENT | {"FORKLOCK_WORK": str(self.work)}

    def run(self, clone: Clone, *targets: str) -> str:
        ended = subprocess.run(
            self.command(clone, *targets), cwd=clone.folder, env=self.environment, capture_output=True, text=True, timeout=PATIENCE
        )  # fmt: skip
        assert ended.returncode == 0, ended.stdout[-3000:] + ended.stderr[-3000:]
        return ended.stdout + ended.stderr

    def lose_machine(self, clone: Clone, target: str, moment: Callable[[], bool]) -> None:
        """Kills Snakemake and all its jobs at the moment, and takes the machine's disk away."""
        process = subprocess.Popen(
            self.command(clone, target), cwd=clone.folder, env=self.environment, start_new_session=True,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        while process.poll() is None and not moment():
            time.sleep(0.005)
        assert process.poll() is None, "it was over before it could be killed"
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        shutil.rmtree(clone.folder)


def lines_in(journal: Path) -> int:
    return sum(path.read_bytes().count(b"\n") for path in journal.glob("0*.jsonl"))


@pytest.fixture
def site(tmp_path: Path, fs_storage: None) -> Site:
    return Site(tmp_path)


def test_a_lost_machine_takes_no_sample_and_no_training_step_along(site: Site) -> None:
    journal = site.work / "results/smoke/models/base/journal-0"
    site.lose_machine(site.machine(), SHARD, lambda: lines_in(journal) > 5)
    assert not (site.storage / SHARD).exists()
    with Journal(journal, "torch") as held:
        paid_for = set(held.held())
    assert paid_for

    work = site.work / "results/smoke/runs/ssd/seed-0/work"
    site.lose_machine(site.machine(), MANIFEST, lambda: any(work.glob("checkpoint-*")))
    assert not (site.storage / MANIFEST).exists()

    last = site.machine()
    site.run(last, "results/smoke/report.html")
    logs = site.storage / "results/smoke/logs"
    sampled = (logs / "sample/base/shard-0.log").read_text()
    requests = read_table(site.storage / SHARD, COMPLETIONS)
    assert f"{requests.height} requests, {len(paid_for)} in the journal" in sampled
    assert paid_for < set(requests["request_id"])
    for log in (logs / "sample/samples-t11").iterdir():
        assert " 0 to sample" in log.read_text(), "what the lost machine had sealed was sampled again"
    assert "going on after step" in (logs / "train/ssd/seed-0.log").read_text()
    assert "Time per rule" in (site.storage / "results/smoke/report.html").read_text()
    assert "Nothing to be done" in site.run(last, "results/smoke/report.html")
    assert not (last.folder / "results").exists()

    # The recipe of docs/moving.md for a fresh clone without what only the work disk had.
    shutil.rmtree(site.work)
    fresh = site.machine()
    for path in fresh.folder.rglob("*"):
        os.utime(path, (946_684_800, 946_684_800), follow_symlinks=False)
    assert "Nothing to be done" in site.run(fresh, "results/smoke/report.html")
