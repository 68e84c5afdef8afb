"""What a job costs more through Slurm than without: on a cluster of this machine alone, so the queue is empty.

    python benchmarks/slurm_overhead.py        (as root, with Debian's Slurm; writes benchmarks/slurm_overhead.json and .md)

Measured: small sampling jobs of the smoke study, run by Snakemake itself and through Slurm at several values of
slurm-init-seconds-before-status-checks; for each job its own seconds (Snakemake's benchmark file), its seconds in Slurm
(sacct), and the delay from its end until the driver has noticed it (the driver's output, read with a clock).
"""

import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import yaml

ROOT = Path(__file__).resolve().parents[1]
for folder in ("workflow_scripts", "tests/slurm"):
    sys.path.insert(0, str(ROOT / folder))

from cluster import Cluster, cluster  # noqa: E402

from selfdistill.machine.provenance import provenance  # noqa: E402

JOBS = 8
PAUSES = (2, 5, 10, 40)  # the profile has 10, the executor by default 40
MODEL = Path("results/smoke/models/base")
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}


def prepare(folder: Path) -> str:
    """A clone with a plan of small shards, so that what is timed is sampling jobs and nothing else."""
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder)], check=True)
    study = yaml.safe_load((folder / "config/smoke.yaml").read_text())
    study["sampling"]["shards_base"] = JOBS
    (folder / "small.yaml").write_text(yaml.safe_dump(study, sort_keys=False))
    run(folder, ENVIRONMENT, str(MODEL / "plan.parquet"), "--cores", "2")
    return "small.yaml"


def run(folder: Path, environment: dict[str, str], *arguments: str) -> tuple[float, dict[str, float]]:
    """(seconds of the whole run, Slurm's job number → the clock when its end was noticed)."""
    command = [str(Path(sys.executable).parent / "snakemake"), *arguments, "--configfile", "small.yaml"]
    numbers: dict[str, str] = {}
    noticed: dict[str, float] = {}
    began = time.monotonic()
    with subprocess.Popen(
        command, cwd=folder, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            lines.append(line)
            if found := re.search(r"Job (\d+) has been submitted with SLURM jobid (\d+)", line):
                numbers[found.group(1)] = found.group(2)
            if (found := re.search(r"Finished jobid: (\d+)", line)) and found.group(1) in numbers:
                noticed[numbers[found.group(1)]] = time.time()
    if process.returncode:
        sys.exit(f"the run failed: {''.join(lines)[-3000:]}")
    return time.monotonic() - began, noticed


def shards(folder: Path) -> list[str]:
    """The jobs' outputs, after what earlier runs made of them is gone."""
    names = [str(MODEL / f"shard-{shard}.parquet") for shard in range(JOBS)]
    subprocess.run(
        ["rm", "-rf", *names, *(str(MODEL / f"journal-{shard}") for shard in range(JOBS))], cwd=folder, check=True
    )
    return names


def own_seconds(folder: Path) -> float:
    """Median seconds of a job's own command."""
    files = (folder / "results/smoke/benchmarks/sample/base").glob("*.tsv")
    return statistics.median(pl.read_csv(path, separator="\t")["s"][0] for path in files)


def through_slurm(it: Cluster, folder: Path, pause: int) -> dict[str, Any]:
    seconds, noticed = run(
        folder, ENVIRONMENT | it.environment, *shards(folder), "--profile", "slurm",
        "--slurm-init-seconds-before-status-checks", str(pause),
    )  # fmt: skip
    said = it.run("sacct", "-X", "-n", "-P", "--format=JobIDRaw,Submit,Start,End", f"--jobs={','.join(noticed)}")
    waits, lasted, delays = [], [], []
    for number, *times in (line.split("|") for line in said.split()):
        submitted, started, ended = (datetime.fromisoformat(moment).timestamp() for moment in times)
        waits.append(started - submitted)
        lasted.append(ended - started)
        delays.append(noticed[number] - ended)
    return {
        "pause": pause,
        "wall_seconds": seconds,
        "own_seconds": own_seconds(folder),
        "waited_seconds": statistics.median(waits),
        "slurm_seconds": statistics.median(lasted),
        "noticed_after_seconds": statistics.median(delays),
    }


def page(measured: dict[str, Any]) -> str:
    machine = measured["machine"]
    lines = [
        "# What a job costs through Slurm",
        "",
        f"`python benchmarks/slurm_overhead.py`, {measured['date']}, {machine['machine']}, Python {machine['python']}, commit "
        f"{machine['commit'][:10]}.",
        "",
        f"{measured['jobs']} small sampling jobs of the smoke study, on a cluster of two nodes that are both this machine; medians by",
        "job, in seconds; Slurm's own clock has whole seconds. Under Slurm all of them share the cores at once, without it two do:",
        "what a job takes beyond its own command is mostly the start of Snakemake, twice, and grows with that crowd.",
        "",
        "| pause before the first look | whole run | a job's own command | wait in the queue | job in Slurm | end noticed after |",
        "|---|---|---|---|---|---|",
        f"| without Slurm, 2 cores | {measured['local']['wall_seconds']:.0f} | {measured['local']['own_seconds']:.1f} | | | |",
    ]
    for row in measured["slurm"]:
        lines.append(
            f"| {row['pause']} s | {row['wall_seconds']:.0f} | {row['own_seconds']:.1f} | {row['waited_seconds']:.0f} | "
            f"{row['slurm_seconds']:.0f} | {row['noticed_after_seconds']:.0f} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    with tempfile.TemporaryDirectory() as temporary, cluster() as it:
        folder = Path(temporary) / "clone"
        prepare(folder)
        seconds, _ = run(folder, ENVIRONMENT, *shards(folder), "--cores", "2")
        measured = {
            "date": f"{datetime.now(UTC):%Y-%m-%d}",
            "machine": provenance(),
            "jobs": JOBS,
            "local": {"wall_seconds": seconds, "own_seconds": own_seconds(folder)},
            "slurm": [through_slurm(it, folder, pause) for pause in PAUSES],
        }
    target = ROOT / "benchmarks/slurm_overhead.json"
    target.write_text(json.dumps(measured, indent=1) + "\n")
    target.with_suffix(".md").write_text(page(measured))


if __name__ == "__main__":
    main()
