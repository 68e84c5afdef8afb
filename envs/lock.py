"""Makes requirements.lock and envs/*.yaml from requirements.in. Run it through `make lock`; it needs the package index.

Everything named in requirements.in is installed into a throw-away environment; what is then there, with exact
versions, is the lock. torch and what only some builds of it need (CUDA packages) stay outside: torch is pinned in
requirements.in and asked for by itself, so that the machine decides which build it takes. Each conda environment is
the closure of its groups in requirements.in over the lock.
"""

import json
import re
import subprocess
import sys
import tempfile
import venv
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
# The stages' environments, and the groups of requirements.in that each needs.
ENVIRONMENTS = {
    "workflow": ["workflow", "study"],
    "sampling": ["study", "sampling"],
    "training": ["study", "sampling", "training"],
    "analysis": ["study", "analysis"],
}
Resolved = dict[str, tuple[str, list[str]]]  # name → (version, names it needs)
OF_THE_BUILD = re.compile(r"^(torch|triton|nvidia-.*|cuda-.*)$")
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
    """The groups of requirements.in and the names in each."""
    found: dict[str, list[str]] = {}
    group = ""
    for line in (ROOT / "requirements.in").read_text().splitlines():
        if line.startswith("# group: "):
            group = line.removeprefix("# group: ")
            found[group] = []
        elif line and not line.startswith("#"):
            found[group].append(normal(re.split(r"[=<>~!\[; ]", line)[0]))
    return found


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def resolve() -> Resolved:
    """What a fresh installation of requirements.in holds."""
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        python = f"{folder}/bin/python"
        subprocess.run(
            [python, "-m", "pip", "install", "-q", "packaging", "-r", str(ROOT / "requirements.in")], check=True
        )
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


def environment_file(name: str, locked: set[str], resolved: Resolved) -> str:
    def lines() -> Iterator[str]:
        yield "# Made by `make lock` from requirements.in; do not edit."
        yield f"name: forklock-{name}"
        yield "channels: [conda-forge, nodefaults]"
        yield "dependencies:"
        yield "  - python=3.11"
        yield "  - pip"
        yield "  - pip:"
        if "torch" in locked:
            yield f"      - torch=={resolved['torch'][0]}"
        yield from (
            f"      - {package}=={resolved[package][0]}"
            for package in sorted(locked)
            if not OF_THE_BUILD.match(package)
        )

    return "\n".join(lines()) + "\n"


def files(resolved: Resolved) -> dict[str, str]:
    """The lock and the environments as texts, by their paths."""
    wanted = groups()
    everything = closure((name for names in wanted.values() for name in names), resolved)
    lines = ["# Made by `make lock` from requirements.in; do not edit. torch is asked for by itself: see the Makefile."]
    lines += [f"{name}=={resolved[name][0]}" for name in sorted(everything) if not OF_THE_BUILD.match(name)]
    written = {"requirements.lock": "\n".join(lines) + "\n"}
    for name, its_groups in ENVIRONMENTS.items():
        names = closure((package for group in its_groups for package in wanted[group]), resolved)
        written[f"envs/{name}.yaml"] = environment_file(name, names, resolved)
    return written


def main() -> None:
    for name, text in files(resolve()).items():
        (ROOT / name).write_text(text)
        print(f"wrote {name}", file=sys.stderr)


if __name__ == "__main__":
    main()
