"""Brings what a rehearsal reads to its place and leaves alone what is there already, so that a rehearsal of an unchanged
study finds its results up to date. What does change is looked for anew, as a user's other copy would have to be."""

import os
import shutil
from pathlib import Path


def bring(made: Path, folder: Path) -> list[str]:
    """Make the folders in `folder` those in `made`; the names of those that are not what they were."""
    folder.mkdir(parents=True, exist_ok=True)
    wanted = {path.name for path in made.iterdir()}
    left = {path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")} - wanted
    changed = [name for name in sorted(wanted) if _content(made / name) != _content(folder / name)]
    for name in (*left, *changed):
        shutil.rmtree(folder / name, ignore_errors=True)
    for name in changed:
        shutil.copytree(made / name, folder / name)
    return [*sorted(left), *changed]


def forget_copies(names: list[str], results: Path) -> None:
    """What the results say of copies that are no longer the same, which would be refused."""
    for name in names:
        (results / "hub" / ("model.json" if name == "model" else f"sources/{name}.json")).unlink(missing_ok=True)
    if names:
        for root in {".", os.environ.get("FORKLOCK_WORK", ".")}:
            (Path(root) / results / "revisions.lock").unlink(missing_ok=True)


def _content(folder: Path) -> dict[str, bytes]:
    """Every file but the hidden ones, in which a download keeps its papers."""
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    return {
        name: path.read_bytes()
        for name, path in files.items()
        if not any(part.startswith(".") for part in name.split("/"))
    }
