"""Requests to sample from the lab model, as a plan would make them, and the program that samples them."""

import json
import sys
from pathlib import Path
from typing import Any

import polars as pl

from conftest import ROOT
from selfdistill.examination.laws import MODEL, lab_requests
from selfdistill.tables.sampling import PLAN
from selfdistill.tables.whole import write_table

__all__ = ["MODEL", "lab_requests", "sample_command", "write_plan"]


def write_plan(path: Path, count: int, shard: int = 0, **decode: Any) -> Path:
    rows = [
        {**vars(request), "model_id": "base", "problem_id": str(i), "purpose": "eval", "decode_id": "t10", "draw": 0,
         "shard": shard}
        for i, request in enumerate(lab_requests(count, **decode))
    ]  # fmt: skip
    write_table(pl.DataFrame(rows, schema=PLAN), path, PLAN)
    return path


# Segments are folded after so few bytes that a small test sees it happen.
FOLDING_OFTEN = (
    "import runpy, sys; sys.argv = sys.argv[1:]; sys.path.insert(0, sys.argv[0].rpartition('/')[0]); "
    "from selfdistill.sampling.journal import journal; journal.FOLD_BYTES = 12_000; runpy.run_path(sys.argv[0], run_name='__main__')"
)


def sample_command(
    plan: Path, folder: Path, engine: str = "torch", python: str = sys.executable, folding_often: bool = False
) -> list[str]:
    """`sample.py` on one shard, with journal-0 and shard-0.parquet in the folder."""
    settings = json.dumps({"engine": engine, "dtype": "float32", "context": 320})
    return [
        python, *(["-c", FOLDING_OFTEN] if folding_often else []), str(ROOT / "workflow_scripts/sample.py"), "--plan", str(plan),
        "--model", str(MODEL), "--shard", "0", "--journal", str(folder / "journal-0"), "--output",
        str(folder / "shard-0.parquet"), "--settings", settings, "--batch", "16",
    ]  # fmt: skip
