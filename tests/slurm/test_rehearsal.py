"""The dress rehearsal of the field study: its own file through Slurm, with vLLM, from a hub to the report; only small.

What stands in: the lab's model and problems for the real ones, served by `stand_in_hub`; vLLM's build for CPUs; and
`stand_in_conda`, which gives each stage an environment that is there already.
"""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
import yaml
from cluster import cluster
from studies import Run

from conftest import ENVIRONMENT, PATIENCE, ROOT, Clone
from stand_in_hub import NEWEST, Hub, stand_in_hub

pytestmark = pytest.mark.xdist_group("rehearsal")
SECRET = "hf_what-must-not-be-found-anywhere"
RESULTS = Path("results/qwen3.5-4b-rehearsal")


@pytest.fixture
def hub(fresh: Clone, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """A hub that has what the rehearsal would find in folders; its doors open to whoever brings the token."""
    subprocess.run(
        [sys.executable, "workflow_scripts/forklock.py", "rehearse", "config/qwen3.5-4b.yaml", "--engine", "vllm",
         "--arms", "soft", "aa"],
        cwd=fresh.folder, env=ENVIRONMENT, check=True, capture_output=True, timeout=PATIENCE,
    )  # fmt: skip
    study = yaml.safe_load((fresh.folder / RESULTS / "given/study.yaml").read_text())
    folder = tmp_path_factory.mktemp("hub")
    from selfdistill.problems.datasets.registry import dataset_of

    shutil.move(fresh.folder / study["model"]["path"], folder / "models" / study["model"]["hub"])
    for source in study["problems"]["sources"].values():
        shutil.move(fresh.folder / source["path"], folder / "datasets" / dataset_of(source["loader"]).hub)
    with stand_in_hub(Hub(folder, token=SECRET)) as it:
        yield it


def test_the_field_study_goes_from_the_hub_to_its_report(
    hub: Hub, fresh: Clone, vllm_python: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    environments = {"forklock-sampling-vllm": str(Path(vllm_python).parents[1]), "": sys.prefix}
    given = {
        "STAND_IN_CONDA_HAS": json.dumps(environments),
        "HF_TOKEN": SECRET,
        "HF_HOME": str(tmp_path_factory.mktemp("home")),
        **hub.environment,
    }
    arguments = (str(RESULTS / "report.html"), "--sdm", "conda")
    with cluster() as slurm:
        given["PATH"] = f"{ROOT / 'tests/stand_in_conda/bin'}:{slurm.environment['PATH']}"
        with Run(slurm, fresh, str(RESULTS / "given/study.yaml"), *arguments, **given) as run:
            said = run.finish()

    report = (fresh.folder / RESULTS / "report.html").read_text()
    for told in (
        "Qwen/Qwen3.5-4B",
        "martheballon/Omni-MATH-2",
        NEWEST,
        "aa-is-null",
        "hard-300",
        "all of aime-25, 2 answers to each",
        "vllm 0.30",
    ):
        assert told in report, told
    checks = json.loads((fresh.folder / RESULTS / "checks.json").read_text())
    assert checks and all(check["passed"] for check in checks)
    locked = json.loads((fresh.folder / RESULTS / "revisions.lock").read_text())
    assert len(locked) == 10 and {entry["revision"] for entry in locked.values()} == {NEWEST}

    for model in ("base", "aa", "samples-ssd-32k", "soft/seed-0/at-100"):
        graded = pl.read_parquet(fresh.folder / RESULTS / "models" / model / "graded.parquet")
        assert set(graded["engine"]) == {"vllm"} and graded["request_id"].is_unique().all()
    assert {rule for rule in ("sample", "train", "teacher", "check_export", "grade") if f"/rule_{rule}/" in said} == {
        "sample", "train", "teacher", "check_export", "grade",
    }  # fmt: skip

    # The token was used, and stands in no file that the run left: logs, metadata, results, Slurm's own.
    assert any(line.startswith("GET") for line in hub.asked)
    rooms = [fresh.folder / room for room in (".snakemake", "results", "hub")] + list(fresh.folder.glob("*.out"))
    written = [path for room in rooms for path in (room, *room.rglob("*")) if path.is_file() and not path.is_symlink()]
    assert len(written) > 200 and not [path for path in written if SECRET.encode() in path.read_bytes()]
