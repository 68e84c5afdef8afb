"""Where the results of a study lie, and which names that folder keeps for what stands in it."""

import os
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

RUN_RECORD = "provenance.json"  # what made the results, as the report wrote it down; older results have none
# In every folder of results, and so in no path to one: results/models would lie among the models of a study in results/.
ROOMS = (
    "hub", "problems", "models", "arms", "runs", "analysis", "figures", "logs", "benchmarks", "checks.json", "study.yaml",
    "report.html", "revisions.lock", "ladder", "looks.json", "lineage.json", RUN_RECORD,
)  # fmt: skip


def usual_folder(study: Mapping[str, Any]) -> str:
    """Where the results of a study go that names no folder for them."""
    return f"results/{study.get('study', '')}"


def room_in(folder: str) -> str | None:
    """The part of a path that is the name of something in a folder of results."""
    return next((part for part in PurePosixPath(folder).parts if part in ROOMS), None)


def work_folder(results: str) -> Path:
    """Where what is undeclared lies: beside the results, or in the folder that FORKLOCK_WORK names."""
    return Path(os.environ.get("FORKLOCK_WORK", ".")) / results
