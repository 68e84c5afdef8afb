"""The conda environments: in step with the lock, whole and free of contradictions, and each enough for its own rules.

There is no conda here: `tests/stand_in_conda` makes virtual environments in its place, from the same pins.
"""

import json
import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from conftest import ENVIRONMENT, PATIENCE, ROOT, Clone

sys.path.insert(0, str(ROOT / "envs"))
import lock

FILES = sorted((ROOT / "envs").glob("*.yaml"))
ON_CPU = {f"forklock-{name}" for name in lock.ENVIRONMENTS}
# Whose Python each program must run with, `teacher` apart: the smoke study has no soft targets.
PROGRAMS = {
    "forklock-workflow": {"study_record"},
    "forklock-practice": {"practice"},
    "forklock-sampling": {"prompts", "questions", "plan", "sample", "check_export", "carriers", "probe", "judge_questions", "judge"},
    "forklock-training": {"train", "gradients"},
    "forklock-analysis": {
        "problems", "grade", "dataset", "levels", "comparisons", "truncation", "factorial", "verdicts", "noise", "weight_change",
        "checks", "report", "variance", "audit_sheet", "difficulty", "grader", "solving", "token_classes", "mechanism",
        "strips", "weight_overlap", "depth", "noise_probe", "doubt", "practice_analysis", "annotation", "disagreement_texts", "disagreement",
    },
}  # fmt: skip
# Snakemake gives `script:` rules its own packages to unpack what they are told, behind those of their environment.
# The others are taken by libraries where they happen to be and are not missed where they are not.
FROM_OUTSIDE = {"snakemake", "PIL", "dill", "charset_normalizer"}


def pins_of(file: Path) -> dict[str, str]:
    return dict(re.findall(r"^(?:      - )?([\w.-]+)==(\S+)$", file.read_text(), re.MULTILINE))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_package_of_an_environment_is_pinned_to_one_version(file: Path) -> None:
    lines = re.findall(r"^ +- (.+)$", file.read_text(), re.MULTILINE)
    assert lines[:3] == [lock.PYTHON, lock.PIP, "pip:"]
    assert all(re.fullmatch(r"[\w.-]+==[\w.+!]+", line) for line in lines[3:]) and len(lines) > 30


def test_the_training_environments_differ_by_the_build_of_torch_and_the_kernels_alone() -> None:
    cpu, gpu = (pins_of(ROOT / f"envs/training{name}.yaml") for name in ("", "-gpu"))
    assert cpu.items() <= gpu.items()
    added = {name for name in gpu.keys() - cpu.keys() if not lock.OF_THE_BUILD.match(name)}
    assert added == {"flash-linear-attention", "fla-core", "einops"}


def test_the_pinned_kernels_are_new_enough_for_the_check_before_a_training() -> None:
    from selfdistill.training.trainer.kernels import OLDEST, OLDEST_TRITON_ON_HOPPER

    pins = pins_of(ROOT / "envs/training-gpu.yaml")
    for name, oldest in (("flash-linear-attention", OLDEST["fla"]), ("triton", OLDEST_TRITON_ON_HOPPER)):
        assert tuple(map(int, pins[name].split("."))) >= tuple(map(int, oldest.split(".")))


def test_gpu_studies_train_in_the_gpu_environment_and_others_do_not(fresh: Clone) -> None:
    def planned(study: str) -> str:
        said = subprocess.run(
            fresh.command("results/smoke/runs/ssd/seed-0/manifest.json", "--dry-run", "--sdm", "conda", study=study),
            cwd=fresh.folder, env=WITH_STAND_IN, capture_output=True, text=True, timeout=PATIENCE,
        )  # fmt: skip
        assert said.returncode == 0, said.stderr
        return said.stdout + said.stderr

    assert "envs/training.yaml will be created" in planned("config/smoke.yaml")
    with_gpus = planned(fresh.changed_study(lambda study: study["training"].update(gpus=1)))
    assert "envs/training-gpu.yaml will be created" in with_gpus and "envs/training.yaml" not in with_gpus


@pytest.mark.xdist_group("conda")
@pytest.mark.parametrize(
    "name",
    [
        "envs/training-gpu.yaml",
        pytest.param("envs/sampling-vllm.yaml", marks=pytest.mark.slow),
        pytest.param("containers/gpu.lock", marks=pytest.mark.slow),
    ],
)
def test_what_is_for_gpus_resolves_to_exactly_its_pins(name: str) -> None:
    """From metadata: pip would refuse pins that contradict each other, and would add what is not pinned."""
    pins = pins_of(ROOT / name)
    chosen = lock.would_install([f"{package}=={version}" for package, version in pins.items()], [], for_gpus=True)
    assert {package: version for package, (version, _) in chosen.items()} == pins


WITH_STAND_IN = ENVIRONMENT | {"PATH": f"{ROOT / 'tests/stand_in_conda/bin'}:{ENVIRONMENT['PATH']}"}


def short(study: dict[str, Any]) -> None:
    """The smoke study with one training, and few samples: every rule once is enough here."""
    study["arms"] = {name: study["arms"][name] for name in ("ssd", "aa")}
    study["arms"]["rl"] = {"method": "grpo", "training": {"warmup_steps": 1}}
    study["practice"] = {"decode": "t07", "generations": 2, "questions": 4, "rollouts": 4, "updates": 1}
    study["hypotheses"] = {name: study["hypotheses"][name] for name in ("ssd-at-0-7", "aa-is-null")}
    study["training"].update(samples=100, examples=64, checkpoints=[100])
    study["evaluation"].update(budgets={"quick": 12, "full": 24}, resamples=200)
    study["evaluation"]["decodes"]["base"] = ["t07", "t15"]
    study["mechanism"] |= {"arms": ["ssd"]}
    study["disagreement"] = {"decode": "t11", "arms": ["ssd"], "texts": 4}
    study["annotation"] = {
        "judge": {"model": "resources/lab/model", "context": 512}, "rubric": "resources/rubrics/brief.yaml", "decode": "t07",
        "answers": 4, "passes": 1, "max_tokens": 24,
    }  # fmt: skip


@pytest.mark.xdist_group("conda")
def test_every_rule_runs_in_an_environment_made_of_its_own_pins(fresh: Clone) -> None:
    """The whole study through `--sdm conda`. Each environment wrote down which programs ran in it and with whose packages."""
    said = subprocess.run(
        fresh.command("--sdm", "conda", study=fresh.changed_study(short)),
        cwd=fresh.folder, env=WITH_STAND_IN, capture_output=True, text=True, timeout=PATIENCE,
    )  # fmt: skip
    assert said.returncode == 0, said.stdout[-3000:] + said.stderr[-3000:]
    assert (fresh.folder / "results/smoke/report.html").is_file()

    ran: dict[str, set[str]] = defaultdict(set)
    for prefix in sorted((fresh.folder / ".snakemake/conda").glob("*/name")):
        for line in (prefix.parent / "used.jsonl").read_text().splitlines():
            witness = json.loads(line)
            outside = {name for name in witness["strangers"] if not name.startswith("snakemake_interface")}
            assert outside <= FROM_OUTSIDE, f"{witness}: what is not pinned was found elsewhere"
            if match := re.fullmatch(r"(?:tmp\w+\.)?(\w+)\.py", witness["program"]):
                ran[witness["environment"]].add(match[1])
        checked = subprocess.run(
            [sys.executable, "-m", "pip", "--python", str(prefix.parent / "bin/python"), "check"],
            capture_output=True, text=True, timeout=PATIENCE,
        )  # fmt: skip
        assert checked.returncode == 0, f"{prefix.read_text()} contradicts itself: {checked.stdout}"
    assert ran == PROGRAMS and ran.keys() == ON_CPU
