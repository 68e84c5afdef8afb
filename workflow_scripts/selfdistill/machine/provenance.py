"""Where results come from: the state of the code, versions, the machine, and what every rule cost."""

import csv
import os
import platform
import subprocess
import tomllib
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import polars as pl

PROJECT = Path(__file__).parents[3] / "pyproject.toml"
PACKAGES = ("snakemake", "torch", "transformers", "trl", "math-verify", "polars", "numpy", "scipy", "matplotlib")


def provenance() -> dict[str, Any]:
    """Which code, which versions, which machine: enough to run the study again and to explain a difference."""
    return {
        "forklock": code_version(),
        **state_of_the_code(),
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": dict(_installed(PACKAGES)),
    }


def code_version() -> str:
    return str(tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]["version"])


def rule_seconds(folder: str | Path) -> pl.DataFrame:
    """Seconds, jobs and peak memory of every rule, from the benchmark file that Snakemake keeps of each job."""
    rows = [
        {"rule": path.relative_to(folder).parts[0].removesuffix(".tsv"), "seconds": row["s"], "max_rss": row["max_rss"]}
        for path in sorted(Path(folder).rglob("*.tsv"))
        for row in pl.read_csv(path, separator="\t", null_values=["NA", "-"], infer_schema_length=None).iter_rows(
            named=True
        )
    ]
    schema = {"rule": pl.String, "seconds": pl.Float64, "max_rss": pl.Float64}
    jobs = pl.DataFrame(rows, schema=schema, strict=False)
    return (
        jobs.group_by("rule")
        .agg(pl.len().alias("jobs"), pl.col("seconds").sum(), pl.col("max_rss").max())
        .sort("seconds", descending=True)
    )


def seconds_of_job(file: Path) -> float | None:
    """Of one job's benchmark file; None where there is none, or where it says nothing that is a number."""
    try:
        with open(file, encoding="utf-8", newline="") as handle:
            return float(next(csv.DictReader(handle, delimiter="\t"))["s"])
    except (OSError, StopIteration, KeyError, TypeError, ValueError):
        return None


def state_of_the_code() -> dict[str, str]:
    commit = _git("rev-parse", "HEAD")
    changes = _git("status", "--porcelain", "--untracked-files=no")
    return {
        "commit": commit or "not known (git does not answer, or this is no checkout)",
        "uncommitted changes": "not known" if changes is None else "yes" if changes else "none",
    }


def _git(*arguments: str) -> str | None:
    """What git says, or None where it says nothing that can be trusted."""
    try:
        return subprocess.run(
            ["git", *arguments], capture_output=True, text=True, timeout=20, check=True
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None


def _installed(names: Iterable[str]) -> Iterator[tuple[str, str]]:
    for name in names:
        try:
            yield name, version(name)
        except PackageNotFoundError:
            continue
