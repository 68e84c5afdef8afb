"""A loader that is added makes no finished study stale, neither one without loaders nor one with other loaders; a changed
loader runs again what it read, and nothing that another one read."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from conftest import Clone
from selfdistill.problems.datasets.convert import convert
from selfdistill.rehearsal.recorded_shapes import write_in_shape

pytestmark = pytest.mark.xdist_group("dag")

LOADERS = "workflow_scripts/selfdistill/problems/datasets/loaders"
TARGET = "results/smoke/problems/train.parquet"
RAW = "hub/beyond-aime"


@contextmanager
def changed(clone: Clone, file: str, text: str) -> Iterator[None]:
    """The file holds something else meanwhile, and is as it was afterwards, its time too."""
    path = clone.folder / LOADERS / file
    before = (path.read_bytes(), path.stat().st_mtime_ns) if path.exists() else None
    path.write_text(text)
    try:
        yield
    finally:
        path.unlink()
        if before:
            path.write_bytes(before[0])
            os.utime(path, ns=(before[1], before[1]))


def added(clone: Clone) -> Any:
    """A loader that there was not before: the text of one that works, under another name."""
    text = (clone.folder / LOADERS / "beyond_aime.py").read_text()
    return changed(clone, "beyond_nothing.py", text.replace("beyond-aime", "beyond-nothing"))


def with_a_loader(study: dict[str, Any]) -> None:
    study["problems"]["sources"]["exam"] = {"path": RAW, "use": "eval", "loader": "beyond-aime"}


def test_a_finished_study_without_loaders_does_not_feel_a_new_one(smoke: Clone) -> None:
    with added(smoke):
        assert smoke.jobs_to_run() == {}


@pytest.mark.parametrize("kept", ["here", "in storage"])
def test_a_study_with_a_loader_feels_its_own_and_no_other(
    fresh: Clone, tmp_path: Path, kept: str, request: pytest.FixtureRequest
) -> None:
    storage = []
    if kept == "in storage":
        request.getfixturevalue("fs_storage")
        storage = ["--default-storage-provider", "fs", "--default-storage-prefix", str(tmp_path / "storage")]
    write_in_shape("beyond-aime", fresh.folder / RAW, [(f"What is {n} and 1?", str(n + 1), 1) for n in range(40)])
    assert len(convert("beyond-aime", fresh.folder / RAW, {})[0]) == 40
    study = fresh.changed_study(with_a_loader)
    made = fresh.snakemake(*storage, "--", TARGET, study=study)
    assert made.returncode == 0, made.stdout[-3000:] + made.stderr[-3000:]
    assert not list((tmp_path / "storage").rglob("*.py")), "the code is read where it lies"

    def stale() -> set[str]:
        return set(fresh.jobs_to_run(*storage, "--", TARGET, study=study))

    assert stale() == set()
    with added(fresh):
        assert stale() == set()
    own, other = (fresh.folder / LOADERS / file for file in ("beyond_aime.py", "hendrycks_math.py"))
    with changed(fresh, other.name, other.read_text() + "\n# changed\n"):
        assert stale() == set()
    with changed(fresh, own.name, own.read_text() + "\n# changed\n"):
        assert stale() == {"convert", "problems"}
    assert stale() == set()
