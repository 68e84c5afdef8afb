"""The tutorial, step by step: the commands that stand on the page, in a fresh clone, and what the page says they tell."""

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import polars as pl
import pytest

from conftest import ENVIRONMENT, PATIENCE, ROOT, Clone
from selfdistill.tables import words

PAGE = (ROOT / "docs/tutorial.md").read_text()
STEP = re.compile(r"^## (\d+)\. (.+?)$(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
BLOCK = re.compile(r"^```(sh|text)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FORKLOCK = f'#!/bin/sh\nexec {sys.executable} "$CLONE/workflow_scripts/forklock.py" "$@"\n'


def steps() -> dict[str, list[tuple[str, str]]]:
    """Title → the commands of a step, each with what the page says that they tell."""
    return {f"{number} {title}": told(text) for number, title, text in STEP.findall(PAGE)}


def told(text: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for kind, block in BLOCK.findall(text):
        found = [*found, (block, "")] if kind == "sh" else [*found[:-1], (found[-1][0], block)]
    return found


def test_the_tutorial_has_ten_steps_and_each_does_something() -> None:
    assert [int(title.split()[0]) for title in steps()] == list(range(1, 11))
    assert all(steps().values())


def test_its_first_step_is_what_the_makefile_does() -> None:
    [(commands, _)] = next(iter(steps().values()))
    assert commands.splitlines()[1:] == ["make environment", ". .venv/bin/activate"]


def test_the_steps_of_the_tutorial_run_in_a_fresh_clone(fresh: Clone, tmp_path_factory: pytest.TempPathFactory) -> None:
    programs = tmp_path_factory.mktemp("bin")
    (programs / "forklock").write_text(FORKLOCK)
    (programs / "forklock").chmod(0o755)
    environment = ENVIRONMENT | {"PATH": f"{programs}:{ENVIRONMENT['PATH']}", "CLONE": str(fresh.folder)}
    for title, blocks in list(steps().items())[1:]:
        for commands, says in blocks:
            done = run(commands, fresh.folder, environment)
            said = "\n".join([done.stdout, done.stderr])
            assert (done.returncode != 0) == says.startswith("error: "), f"{title}: {commands}{said[-3000:]}"
            assert [line for line in says.splitlines() if line not in said] == [], f"{title}: {said[-3000:]}"
    results = fresh.folder / "results/my-afternoon"
    assert (results / "report.html").stat().st_size > 100_000
    assert right_answers_of_the_base(results) > 0.3  # else every difference would be nothing, whatever training did
    packed = run("forklock bundle config/my-afternoon.yaml.bak --out packed.zip", fresh.folder, environment)
    assert packed.returncode == 0, packed.stderr  # as it was before step 9: a study that measures no gradients apart
    assert "results/analysis/noise_summary.parquet" in zipfile.ZipFile(fresh.folder / "packed.zip").namelist()


def right_answers_of_the_base(results: Path) -> float:
    levels = pl.read_parquet(results / "analysis/levels.parquet")
    asked = levels.filter(estimand=words.ACCURACY, model_id="base", decode_id="t07", split="all", budget="full")
    return float(asked["estimate"].item())


def run(commands: str, folder: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-euc", commands], cwd=folder, env=environment, capture_output=True, text=True, timeout=PATIENCE
    )
