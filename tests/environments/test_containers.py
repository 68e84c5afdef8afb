"""The container recipes hold what the lock says, bring nothing secret along, and do not run as root. No image is built here."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import ENVIRONMENT, PATIENCE, ROOT

sys.path.insert(0, str(ROOT / "envs"))
import lock

DOCKERFILE = (ROOT / "containers/Dockerfile").read_text()
DEFINITION = (ROOT / "containers/forklock.def").read_text()


def pins_of(name: str) -> dict[str, str]:
    return dict(re.findall(r"^([\w.-]+)==(\S+)$", (ROOT / name).read_text(), re.MULTILINE))


def instructions() -> list[tuple[str, str]]:
    joined = re.sub(r"\\\n", " ", re.sub(r"^#.*\n", "", DOCKERFILE, flags=re.MULTILINE))
    return [tuple(line.split(maxsplit=1)) for line in joined.splitlines() if line]  # type: ignore[misc]


def sections() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in DEFINITION.splitlines():
        if line.startswith("%"):
            found[line[1:]] = []
        elif found and line.strip() and not line.strip().startswith("#"):
            found[list(found)[-1]].append(line.strip())
    return found


def test_the_lock_for_gpus_has_the_versions_of_the_environments_it_stands_for() -> None:
    everything = pins_of("containers/gpu.lock")
    for name in ("requirements.lock", "envs/training-gpu.yaml", "envs/sampling-vllm.yaml"):
        text = (ROOT / name).read_text()
        pins = dict(re.findall(r"([\w.-]+)==(\S+)", text))
        differ = {package for package in pins.keys() & everything.keys() if pins[package] != everything[package]}
        assert {package for package in differ if not lock.OF_THE_BUILD.match(package)} <= lock.VLLM_DECIDES, name
    needed = (lines for group, lines in lock.groups().items() if group not in lock.NO_STUDY_NEEDS)
    wanted = {lock.name_of(line) for lines in needed for line in lines}
    assert wanted - everything.keys() == lock.NOT_BESIDE_VLLM


def test_both_recipes_start_from_the_python_of_the_conda_environments() -> None:
    base = f"python:{lock.PYTHON.removeprefix('python=')}-slim-bookworm"
    assert f"FROM {base}\n" in DOCKERFILE and f"From: {base}\n" in DEFINITION


def test_both_recipes_install_the_same_by_the_same_program() -> None:
    ran = " ".join(text for name, text in instructions() if name == "RUN")
    post = " ".join(sections()["post"])
    assert 'install.sh "/opt/forklock/$LOCK"' in ran and 'install.sh "/opt/forklock/{{ LOCK }}"' in post
    [packages] = re.findall(r"--no-install-recommends ([\w\s.-]+?) +(?:&&|rm)", ran)
    assert f"--no-install-recommends {packages} " in post
    for recipe in (DOCKERFILE, "\n".join(sections()["arguments"])):
        assert "LOCK=requirements.lock\n" in recipe and re.search(r"TORCH_INDEX=(\n|$)", recipe)


def test_what_is_copied_exists_and_is_all_that_the_build_is_given() -> None:
    copied = {source for name, text in instructions() if name == "COPY" for source in text.split()[:-1]}
    copied = {source.rstrip("/") for source in copied}
    given = {
        line[1:] for line in (ROOT / "containers/Dockerfile.dockerignore").read_text().splitlines() if line[0] == "!"
    }
    assert copied == given == {line.split()[0] for line in sections()["files"]}
    assert all((ROOT / source).exists() for source in copied)


def test_no_recipe_names_a_secret_or_runs_as_root() -> None:
    named = " ".join(text for name, text in instructions() if name in ("ARG", "ENV"))
    assert not re.search(r"TOKEN|KEY|PASSWORD|SECRET", named + " ".join(sections()["environment"]), re.IGNORECASE)
    [user] = [text for name, text in instructions() if name == "USER"]
    assert int(user.split(":")[0]) > 0
    assert set(dict(instructions())) <= {"FROM", "ARG", "RUN", "COPY", "ENV", "USER", "WORKDIR", "CMD"}


@pytest.mark.slow
def test_the_recipes_program_would_install_the_lock_and_nothing_else(tmp_path: Path) -> None:
    subprocess.run(
        ["sh", "containers/install.sh", "requirements.lock", "--dry-run", "--ignore-installed", "--report", tmp_path / "r.json"],
        cwd=ROOT, env=ENVIRONMENT, check=True, capture_output=True, timeout=PATIENCE,
    )  # fmt: skip
    metadata = [item["metadata"] for item in json.loads((tmp_path / "r.json").read_text())["install"]]
    chosen = {lock.normal(package["name"]): package["version"].split("+")[0] for package in metadata}
    outside = {name for name in chosen if lock.OF_THE_BUILD.match(name)}
    assert {name: chosen[name] for name in chosen.keys() - outside} == pins_of("requirements.lock")
    [torch] = [line for line in lock.groups()["sampling"] if line.startswith("torch==")]
    assert torch == f"torch=={chosen['torch']}"
