"""Times `make test` in a clone of its own, and writes where the time went to benchmarks/test_suite.md.

    python benchmarks/test_suite.py                  (environments are made anew in the clone, as on a fresh machine)
    python benchmarks/test_suite.py --junit FILE     (writes the page from what such a run left)

Seconds of a room of tests are those of its tests with their fixtures, added up over the workers.
"""

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parents[1]
SLOWEST = 12


class Timed(NamedTuple):
    room: str
    name: str
    seconds: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--junit", type=Path, help="a junit file of a run that is over")
    parser.add_argument("--wall", type=float, help="seconds of that run on the wall, with its environments")
    asked = parser.parse_args()
    if asked.junit:
        command = "CI=true PYTEST_ADDOPTS=--junitxml=FILE .ci/run"
        write_page(timed_tests(asked.junit), asked.wall, test_seconds(asked.junit), command)
        return
    with tempfile.TemporaryDirectory(prefix="forklock-tests-") as folder:
        subprocess.run(["git", "clone", "--quiet", str(ROOT), f"{folder}/clone"], check=True)
        junit = Path(folder) / "junit.xml"
        began = time.monotonic()
        ended = subprocess.run(
            ["make", "test"], cwd=f"{folder}/clone", env=os.environ | {"PYTEST_ADDOPTS": f"--junitxml={junit}", "CI": "true"}
        )  # fmt: skip
        wall = time.monotonic() - began
        if ended.returncode:
            sys.exit("the tests failed, so their time says nothing")
        write_page(timed_tests(junit), wall, test_seconds(junit), "python benchmarks/test_suite.py")


def timed_tests(junit: Path) -> list[Timed]:
    cases = ElementTree.parse(junit).getroot().iter("testcase")
    return [
        Timed(room_of(case.get("classname", "")), case.get("name", ""), float(case.get("time", 0))) for case in cases
    ]


def test_seconds(junit: Path) -> float:
    suite = next(ElementTree.parse(junit).getroot().iter("testsuite"))
    return float(suite.get("time", 0))


def room_of(classname: str) -> str:
    _, *folders, _ = classname.split(".")
    return "/".join(folders)


def write_page(tests: list[Timed], wall: float, seconds: float, command: str) -> None:
    rooms: dict[str, list[float]] = defaultdict(list)
    for test in tests:
        rooms[test.room].append(test.seconds)
    commit = subprocess.run(
        ["git", "rev-parse", "--short=10", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.strip()
    lines = [
        "# The tests: where the time goes",
        "",
        f"`{command}`, {datetime.now(UTC).date()}, {platform.system()} {platform.machine()}, "
        f"{os.cpu_count()} cores, Python {platform.python_version()}, commit {commit}.",
        "",
        f"`make test` took **{wall / 60:.1f} minutes** with making both environments, its {len(tests):,} tests "
        f"**{seconds / 60:.1f} minutes**.",
        "",
        "| tests | number | seconds, over the workers |",
        "|---|---|---|",
    ]
    for room, times in sorted(rooms.items(), key=lambda item: -sum(item[1])):
        lines.append(f"| `tests/{room}` | {len(times)} | {sum(times):,.0f} |")
    lines += [
        "",
        "The slowest, each with the fixtures that it was the first to need:",
        "",
        "| test | seconds |",
        "|---|---|",
    ]
    lines += [
        f"| `{test.room}`: {test.name.replace('|', '/')} | {test.seconds:.0f} |"
        for test in sorted(tests, key=lambda test: -test.seconds)[:SLOWEST]
    ]
    (ROOT / "benchmarks/test_suite.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
