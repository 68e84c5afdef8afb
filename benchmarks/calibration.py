"""Simulates studies whose truth is known and sends them through the functions that judge real ones: do they hold what they say?

    python benchmarks/calibration.py                        (continues what is there; writes benchmarks/calibration.json and .md)
    python benchmarks/calibration.py --only "method"        (the questions or cells that hold these words)
    python benchmarks/calibration.py --before FOLDER        (the cells of before, on another version's workflow_scripts)
    python benchmarks/calibration.py --page                 (only the page, from what is there)

A cell is run anew when the code that judges has changed (unless --keep), or its world or number of studies.
"""

import argparse
import gc
import hashlib
import json
import os
import sys
import time
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

for threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "POLARS_MAX_THREADS"):
    os.environ.setdefault(threads, "1")  # the processes are the parallel part
ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks/calibration.json"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=500)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--only", default="")
    parser.add_argument("--before", type=Path, help="workflow_scripts of the version to compare with")
    parser.add_argument("--keep", action="store_true", help="keep what an earlier state of the code gave")
    parser.add_argument("--page", action="store_true")
    asked = parser.parse_args()
    library = (asked.before or ROOT / "workflow_scripts").resolve()
    sys.path[:0] = [str(library), str(ROOT / "tests"), str(ROOT / "benchmarks")]
    target = RESULTS.with_stem("calibration_before") if asked.before else RESULTS
    if not asked.page:
        run(target, library, asked.studies, asked.processes, asked.only, asked.before is not None, asked.keep)
    if not asked.before:
        from calibrating.page import page

        RESULTS.with_suffix(".md").write_text(page(read(RESULTS), read(RESULTS.with_stem("calibration_before"))))


def run(target: Path, library: Path, studies: int, processes: int, only: str, before: bool, keep: bool) -> None:
    from multiprocessing import get_context

    from calibrating.cells import cells

    from selfdistill.machine.provenance import provenance

    known, code = read(target), code_digest()
    wanted = [cell for cell in cells() if only.lower() in cell.title.lower()]
    keys = {cell.title: [studies, json.loads(json.dumps(asdict(cell)))] for cell in wanted}

    def is_due(cell: Any) -> bool:
        there = known["cells"].get(cell.title, {})
        return there.get("key") != keys[cell.title] or (there["code"] != code and not keep)

    due = [(cell, studies) for cell in wanted if (cell.before or not before) and is_due(cell)]
    print(f"{len(due)} cells of {len(wanted)} to run", flush=True)
    known |= {"date": f"{datetime.now(UTC):%Y-%m-%d}", "machine": provenance(), "code": code}
    with get_context("spawn").Pool(processes, initializer=_find, initargs=(sys.path[:3],)) as pool:
        for done, (name, found) in enumerate(pool.imap_unordered(_measured, due), 1):
            known["cells"][name] = {"key": keys[name], "code": code, **found}
            target.write_text(json.dumps(known, indent=1, ensure_ascii=False) + "\n")
            print(f"{done}/{len(due)} {found['seconds']:.0f} s  {name}", flush=True)
    if not only:
        names = {cell.title for cell in cells()}
        known["cells"] = {name: found for name, found in known["cells"].items() if name in names}
        target.write_text(json.dumps(known, indent=1, ensure_ascii=False) + "\n")


def _find(folders: list[str]) -> None:
    sys.path[:0] = folders
    import calibrating.measures  # noqa: F401

    gc.freeze()  # statsmodels collects garbage at every adjustment: what is imported need not be looked at each time


def _measured(task: tuple[Any, int]) -> tuple[str, dict[str, Any]]:
    from calibrating.measures import measure

    cell, studies = task
    began = time.monotonic()
    found = measure(cell, studies)
    return cell.title, found | {"studies": studies, "seconds": round(time.monotonic() - began, 1)}


def code_digest() -> str:
    """Of what judges: the analysis and the statistics that the functions under test rest on."""
    from selfdistill.foundation.closure import ROOT as SCRIPTS
    from selfdistill.foundation.closure import modules_used_by

    judging = (f"selfdistill/analysis/{name}.py" for name in ("levels", "comparisons", "verdicts", "factorial"))
    found = hashlib.sha256()
    for path in modules_used_by(*judging):
        if path.relative_to(SCRIPTS).parts[1] in ("analysis", "statistics"):
            found.update(path.read_bytes())
    return found.hexdigest()[:12]


def read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text()) if path.exists() else {"cells": {}}


if __name__ == "__main__":
    main()
