"""Where things come from: digests of models, the state of the code, the machine, and what every rule cost."""

import hashlib
import os
import platform
import subprocess
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import polars as pl

from selfdistill.errors import UserError

TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "tokenizer.model",
    "vocab.json",
    "merges.txt",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
)
CODE = "*.py"  # run only where a study trusts it by name
WEIGHT_PATTERNS = ("*.safetensors", "*.safetensors.index.json")


def model_files(folder: Path) -> Iterator[Path]:
    """What makes a model sample as it does: configuration, end tokens, tokenizer and weights, by name."""
    found = {folder / "config.json", folder / "generation_config.json", *tokenizer_files(folder)}
    found |= {path for pattern in (*WEIGHT_PATTERNS, CODE) for path in folder.glob(pattern)}
    return iter(sorted((path for path in found if path.is_file()), key=lambda path: path.name))


def tokenizer_files(folder: Path) -> list[Path]:
    """What decides how a text becomes tokens, the chat template included."""
    return [folder / name for name in TOKENIZER_FILES if (folder / name).is_file()]


def model_digest(folder: str | Path) -> str:
    """SHA-256 over the names and bytes of the model's files. Cards and notes do not count."""
    folder = Path(folder)
    if not (folder / "config.json").is_file() or not list(folder.glob("*.safetensors")):
        raise UserError(f"{folder}: is not a model folder: it needs config.json and safetensors weights.")
    total = hashlib.sha256()
    for path in model_files(folder):
        with open(path, "rb") as handle:
            total.update(f"{path.name}\0{hashlib.file_digest(handle, 'sha256').hexdigest()}\n".encode())
    return total.hexdigest()


PACKAGES = ("snakemake", "torch", "transformers", "trl", "math-verify", "polars", "numpy", "scipy", "matplotlib")


def provenance() -> dict[str, Any]:
    """Which code, which versions, which machine: enough to run the study again and to explain a difference."""
    return {
        "commit": _git("rev-parse", "HEAD") or "not a git checkout",
        "uncommitted changes": "yes" if _git("status", "--porcelain", "--untracked-files=no") else "none",
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": dict(_installed(PACKAGES)),
    }


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


def _git(*arguments: str) -> str:
    try:
        return subprocess.run(
            ["git", *arguments], capture_output=True, text=True, timeout=20, check=True
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""


def _installed(names: Iterable[str]) -> Iterator[tuple[str, str]]:
    for name in names:
        try:
            yield name, version(name)
        except PackageNotFoundError:
            continue
