"""Times a study by stage, in a clone of its own, and writes what it measured beside this file.

    python benchmarks/lab_study.py                        (the lab study; writes benchmarks/lab_study.json and .md)
    python benchmarks/lab_study.py --study config/lab-full.yaml

Measured: wall time; seconds, jobs and peak memory of every rule (Snakemake's own benchmark files); the peak of the
whole process tree (proportional set sizes, so that shared pages count once); start-up, as the time that the same
interpreter takes to import what each kind of job imports, times the number of jobs.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "workflow_scripts"))

from selfdistill.machine.provenance import provenance, rule_seconds  # noqa: E402

# What a job of these rules imports before it does anything.
IMPORTS = {
    "sample": "import torch, tokenizers, polars; import selfdistill.sampling.engines.torch_engine",
    "train": "import trl, transformers, torch; from trl import SFTTrainer",
    "plan": "import polars; import selfdistill.sampling.plan",
    "grade": "import polars; import selfdistill.grading.grade",
}


def run_study(folder: Path, study: str, cores: int) -> tuple[float, float]:
    """(seconds, peak memory in MB) of a study from an empty results folder."""
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder)], check=True)
    environment = os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    command = [str(Path(sys.executable).parent / "snakemake"), "--cores", str(cores), "--configfile", study]
    began = time.monotonic()
    with open(folder / "benchmark.log", "w") as log:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=subprocess.STDOUT)
        peak = 0.0
        while process.poll() is None:
            peak = max(peak, tree_memory(process.pid))
            time.sleep(0.5)
    if process.returncode:
        sys.exit(f"the study failed; see {folder / 'benchmark.log'}")
    return time.monotonic() - began, peak


def tree_memory(pid: int) -> float:
    """MB of a process and everything below it."""
    total = 0
    try:
        root = psutil.Process(pid)
        for process in (root, *root.children(recursive=True)):
            try:
                total += process.memory_full_info().pss
            except (psutil.Error, OSError):
                continue
    except psutil.Error:
        return 0.0
    return total / 1e6


def import_seconds() -> dict[str, float]:
    environment = os.environ | {"PYTHONPATH": str(ROOT / "workflow_scripts"), "OMP_NUM_THREADS": "1"}
    found = {}
    for name, code in IMPORTS.items():
        times = []
        for _ in range(3):
            began = time.monotonic()
            subprocess.run([sys.executable, "-c", code], env=environment, check=True, capture_output=True)
            times.append(time.monotonic() - began)
        found[name] = sorted(times)[1]
    return found


def dry_run_seconds(folder: Path, study: str) -> float:
    began = time.monotonic()
    command = [str(Path(sys.executable).parent / "snakemake"), "-n", "--forceall", "--configfile", study]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return time.monotonic() - began


def as_markdown(measured: dict) -> str:
    rows = "\n".join(
        f"| {row['rule']} | {row['jobs']} | {row['seconds']:.0f} | {row['seconds'] / measured['job_seconds']:.0%} | {row['max_rss']:.0f} |"
        for row in measured["rules"]
    )
    imports = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in measured["import_seconds"].items())
    machine = measured["machine"]
    return f"""# {measured["study"]}: where the time goes

`python benchmarks/lab_study.py{"" if measured["study"] == "config.yaml" else " --study " + measured["study"]}`, {measured["date"]}, {machine["machine"]}, Python {machine["python"]}, commit {machine["commit"][:10]}.

**{measured["wall_seconds"]:.0f} s** of wall time on {measured["cores"]} cores, peak memory of all processes together **{measured["peak_mb"] / 1000:.1f} GB**;
a dry run of the whole graph takes {measured["dry_run_seconds"]:.1f} s. Imports of a job: {imports}; over all jobs of these
rules {measured["startup_seconds"]:.0f} s, {measured["startup_seconds"] / measured["job_seconds"]:.0%} of the time of all jobs.

| rule | jobs | seconds, all jobs | share | most memory, MB |
|---|---|---|---|---|
{rows}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--study", default="config.yaml")
    parser.add_argument("--cores", type=int, default=2)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "clone"
        wall, peak = run_study(folder, asked.study, asked.cores)
        results = next(path.parent for path in sorted(folder.glob("results/**/report.html")))
        rules = rule_seconds(results / "benchmarks")
        dry = dry_run_seconds(folder, asked.study)
    jobs = dict(rules.select("rule", "jobs").iter_rows())
    imports = import_seconds()
    measured = {
        "study": asked.study,
        "date": datetime.now(UTC).date().isoformat(),
        "machine": provenance(),
        "cores": asked.cores,
        "wall_seconds": wall,
        "peak_mb": peak,
        "dry_run_seconds": dry,
        "job_seconds": float(rules["seconds"].sum()),
        "import_seconds": imports,
        "startup_seconds": sum(seconds * jobs.get(name, 0) for name, seconds in imports.items()),
        "rules": rules.to_dicts(),
    }
    target = ROOT / "benchmarks" / ("lab_study" if asked.study == "config.yaml" else f"{Path(asked.study).stem}_study")
    target.with_suffix(".json").write_text(json.dumps(measured, indent=1) + "\n")
    target.with_suffix(".md").write_text(as_markdown(measured))
    print(as_markdown(measured))


if __name__ == "__main__":
    main()
