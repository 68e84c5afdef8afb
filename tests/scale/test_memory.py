"""A hundred thousand samples take no more memory than ten thousand."""

import subprocess
import sys
from pathlib import Path

import pytest

from conftest import ENVIRONMENT, ROOT

pytestmark = pytest.mark.xdist_group("scale")


def peak(step: str, folder: Path, count: int, tokens: int) -> int:
    """Peak memory of a step in MiB."""
    program = [
        sys.executable,
        str(ROOT / "tests/scale/hundred_thousand.py"),
        step,
        str(folder),
        str(count),
        str(tokens),
    ]
    said = subprocess.run(program, env=ENVIRONMENT, capture_output=True, text=True, timeout=500)
    assert said.returncode == 0, said.stderr[-2000:]
    return int(said.stdout.split()[-1])


def test_the_samplers_memory_does_not_grow_with_the_number_of_samples(tmp_path: Path) -> None:
    peaks = []
    for count in (10_000, 100_000):
        folder = tmp_path / str(count)
        peak("plan", folder, count, 150)
        peaks.append(peak("sample", folder, count, 150))
        assert (folder / "shard-0.parquet").exists()
    assert peaks[1] <= 1.10 * peaks[0], peaks


def test_a_hundred_thousand_long_completions_are_sealed_and_graded_in_two_gigabytes(tmp_path: Path) -> None:
    for step in ("plan", "journal"):
        peak(step, tmp_path, 100_000, 2_000)
    peaks = {step: peak(step, tmp_path, 100_000, 2_000) for step in ("seal", "grade")}
    assert max(peaks.values()) <= 2048, peaks
