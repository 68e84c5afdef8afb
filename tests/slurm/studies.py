"""What the tests on a real Slurm share: studies small enough for it, a run in the background, and what its journals hold."""

import contextlib
import json
import re
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
from cluster import Cluster

from conftest import ENVIRONMENT, PATIENCE, Clone

RESULTS = Path("results/smoke")
IMPATIENT = Path(__file__).resolve().parent / "impatient"
SITE = """\
partitions:
  cpu: {max_runtime: 1d, max_mem_mb: 8000, max_threads: 4}
  gpu: {max_runtime: 1d, max_mem_mb: 8000, max_threads: 4, max_gpu: 2, available_gpu_models: [lab]}
"""


def tiny(study: dict[str, Any]) -> None:
    """The smoke study with one arm and as few problems as every stage still works with."""
    study["sampling"].update(shards_base=1, batch=16)
    study["training"].update(samples=64, examples=48, checkpoints=[100], save_every=1)
    study["arms"] = {"ssd": study["arms"]["ssd"]}
    del study["mechanism"]
    study["evaluation"].update(
        budgets={"quick": 10, "full": 20}, decodes={"base": ["t07"], "final": ["t07"], "earlier": []}, resamples=200
    )
    study["hypotheses"] = {"ssd-at-0-7": study["hypotheses"]["ssd-at-0-7"]}


class Run:
    """A run of Snakemake through a cluster, in the background."""

    def __init__(self, cluster: Cluster, clone: Clone, study: str, *arguments: str, **environment: str) -> None:
        self.cluster, self.clone = cluster, clone
        self.out = clone.folder / f"driver-{time.monotonic_ns()}.out"
        (clone.folder / "site.yaml").write_text(SITE)
        command = [
            "snakemake", *arguments, "--profile", "slurm", "--configfile", study,
            "--slurm-partition-config", "site.yaml", "--slurm-init-seconds-before-status-checks", "2",
        ]  # fmt: skip
        with open(self.out, "w") as out:
            self.process = subprocess.Popen(
                command, cwd=clone.folder, env=ENVIRONMENT | cluster.environment | {"PYTHONPATH": str(IMPATIENT)} | environment, stdout=out,
                stderr=subprocess.STDOUT,
            )  # fmt: skip

    def __enter__(self) -> "Run":
        return self

    def __exit__(self, *error: object) -> None:
        if self.process.poll() is None:  # a test that failed half-way
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()

    def said(self) -> str:
        return self.out.read_text()

    def finish(self, patience: float = PATIENCE) -> str:
        assert self.process.wait(timeout=patience) == 0, self.said()[-6000:]
        return self.said()

    def wait_until(self, happened: Callable[[], bool], what: str) -> None:
        until = time.monotonic() + PATIENCE
        while not happened():
            assert self.process.poll() is None, f"the run ended before {what}: {self.said()[-6000:]}"
            assert time.monotonic() < until, f"no {what}: {self.said()[-6000:]}"
            time.sleep(0.05)

    def job_of(self, rule: str, wildcards: str = "") -> str:
        """The number of the newest job of a rule, once it runs."""
        pattern = rf"SLURM jobid (\d+) \(log: \S*/rule_{rule}/{re.escape(wildcards + '/' if wildcards else '')}\d+\.log"
        found: list[str] = []

        def running() -> bool:
            found[:] = re.findall(pattern, self.said())
            return bool(found) and self.state(found[-1]) == "RUNNING"

        self.wait_until(running, f"job of {rule} {wildcards}")
        return found[-1]

    def processes(self, *words: str) -> list[int]:
        """Python programs of this run's jobs, wherever they run, whose command line holds the words."""
        found = []
        for pid in self.cluster.processes():
            with contextlib.suppress(OSError):
                command = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
                ours = Path(f"/proc/{pid}/cwd").resolve() == self.clone.folder.resolve()
                if ours and command[0].startswith("python") and all(word in " ".join(command) for word in words):
                    found.append(pid)
        return found

    def state(self, job: str) -> str:
        return self.cluster.run("squeue", "--noheader", "--states=all", f"--jobs={job}", "--format=%T").strip()


def journaled(clone: Clone, model: str, shard: int = 0) -> pl.DataFrame:
    """Every sample that a shard's journal holds, as often as it holds it."""
    rows = []
    for path in sorted((clone.folder / RESULTS / f"models/{model}/journal-{shard}").glob("0*.jsonl")):
        for line in path.read_bytes().split(b"\n")[:-1]:
            rows.append(json.loads(line.split(b" ", 1)[1]))
    folded = [
        pl.read_parquet(path).select("request_id", "text")
        for path in sorted((clone.folder / RESULTS / f"models/{model}/journal-{shard}").glob("0*.parquet"))
    ]
    written = pl.DataFrame(
        [{"request_id": row["request_id"], "text": row["text"]} for row in rows],
        schema={"request_id": pl.String, "text": pl.String},
    )
    return pl.concat([*folded, written])
