"""A bundle in a folder of its own, once every byte of it was checked; with its rows, where a run looks for them, if asked.

Snakemake goes by times: what is there is good where it is newer than the code, and what lacks is made. So a run of a study
whose rows lie there makes the analysis and the report anew from them, and neither samples nor trains.
"""

import os
import re
import shutil
import time
import zipfile
from collections.abc import Iterable
from pathlib import Path

import yaml

from selfdistill.foundation.errors import UserError
from selfdistill.publishing.archive import CONTENTS, Opened
from selfdistill.publishing.members import CODE, REPORT, RESULTS, STUDY
from selfdistill.publishing.rerun import ROOM
from selfdistill.study.results import RUN_RECORD, usual_folder
from selfdistill.study.section import FOLDER

FROM_WEIGHTS = f"{ROOM}/weight_overlap.parquet"  # the one table of the analysis that is not made from rows
MADE_ANEW = (REPORT, RUN_RECORD, "checks.json", "figures/", f"{ROOM}/")
AGES = 60  # seconds by which the rows are newer than the code


def unpack(bundle: Path, opened: Opened, folder: Path, rows: bool) -> None:
    """`folder` is not there yet; it appears when all is in it. That no name leads out of it was checked before."""
    names = [*opened.contents["files"], CONTENTS]
    if folder.exists():
        raise UserError(f"{folder}: is there already; name a folder that is not.")
    part = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    try:
        with zipfile.ZipFile(bundle) as archive:
            archive.extractall(part, names)
        _of_one_age(part, time.time() - AGES)
        if rows:
            _place_rows(part, _folder_of_results(part / STUDY, bundle), opened.contents["files"])
        part.rename(folder)
    except OSError as error:
        raise UserError(
            f"{folder}: cannot be written ({error.strerror or error}); give another place, or make room."
        ) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _folder_of_results(file: Path, bundle: Path) -> str:
    """Where a run looks for its results. Anybody may have written the study file, to name a place outside the bundle."""
    try:
        study = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError, RecursionError):
        study = None
    place = study.get("results", usual_folder(study)) if isinstance(study, dict) else None
    if not isinstance(place, str) or not re.fullmatch(FOLDER, place):
        raise UserError(
            f"{bundle}: its {STUDY} names no folder of results below its own, so its rows have no place; do not trust it."
        )
    return place


def _place_rows(folder: Path, place: str, names: Iterable[str]) -> None:
    results = folder / CODE / place
    weights = any(name.startswith(f"{RESULTS}/runs/") and name.endswith(".safetensors") for name in names)
    for name in sorted(name.removeprefix(f"{RESULTS}/") for name in names if name.startswith(f"{RESULTS}/")):
        if not name.startswith(MADE_ANEW) or (name == FROM_WEIGHTS and not weights):
            (results / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(folder / RESULTS / name, results / name)
    _of_one_age(results, time.time())


def _of_one_age(folder: Path, seconds: float) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            os.utime(path, (seconds, seconds))
