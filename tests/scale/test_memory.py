"""The memory of sampling and grading does not grow with what the samples hold, only by a little for each request."""

import subprocess
import sys
from pathlib import Path

import pytest

from conftest import ENVIRONMENT, PATIENCE, ROOT

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
    said = subprocess.run(program, env=ENVIRONMENT, capture_output=True, text=True, timeout=PATIENCE)
    assert said.returncode == 0, said.stderr[-2000:]
    return int(said.stdout.split()[-1])


def test_the_samplers_memory_grows_by_a_name_for_each_request_and_not_by_its_sample(tmp_path: Path) -> None:
    """A sample of 150 tokens is more than five kilobytes as Python holds it; a request's name and seed are half of one."""
    peaks = []
    for count in (10_000, 100_000):
        folder = tmp_path / str(count)
        peak("plan", folder, count, 150)
        peaks.append(peak("sample", folder, count, 150))
        assert (folder / "shard-0.parquet").exists()
    assert (peaks[1] - peaks[0]) * 2**20 < 90_000 * 1024, peaks


def test_a_hundred_thousand_long_completions_are_sealed_and_graded_in_one_gigabyte(tmp_path: Path) -> None:
    for step in ("plan", "journal"):
        peak(step, tmp_path, 100_000, 1_000)
    peaks = {step: peak(step, tmp_path, 100_000, 1_000) for step in ("seal", "grade")}
    assert max(peaks.values()) <= 1024, peaks


SOFT_LOSS = """
import sys
sys.path.insert(0, sys.argv[1])
import torch
from selfdistill.training.objectives.soft import SoftTargets, soft_cross_entropy

def peak():
    return int(open("/proc/self/status").read().partition("VmHWM:")[2].split()[0]) // 1024

positions, vocabulary, width, retained = 4096, 248_320, 16, 20
hidden, head = torch.randn(positions, width, requires_grad=True), torch.nn.Linear(width, vocabulary, bias=False)
ids = torch.randint(vocabulary - retained, (positions, 1)) + torch.arange(retained)
q = torch.full((positions * retained,), 1 / retained)
before = peak()
loss, _ = soft_cross_entropy(hidden, head, SoftTargets(torch.full((positions,), retained), ids.flatten(), q))
loss.backward()
print(peak() - before)
"""


def test_the_soft_loss_never_holds_the_logits_of_all_positions() -> None:
    """They would be 3880 MiB here, and 30 GiB for 32k tokens; the chunk under way is 256 MiB, twice."""
    said = subprocess.run(
        [sys.executable, "-c", SOFT_LOSS, str(ROOT / "workflow_scripts")],
        env=ENVIRONMENT, capture_output=True, text=True, timeout=PATIENCE,
    )  # fmt: skip
    assert said.returncode == 0, said.stderr[-2000:]
    assert int(said.stdout) < 1024


DIVERGENCE = """
import sys
sys.path.insert(0, sys.argv[1])
import torch
from selfdistill.training.objectives.divergence import Comparison, NextWords, Positions, compare

def peak():
    return int(open("/proc/self/status").read().partition("VmHWM:")[2].split()[0]) // 1024

positions, vocabulary, width = 1024, 151_936, 16
student = NextWords(torch.randn(positions, width, requires_grad=True), torch.randn(vocabulary, width, requires_grad=True), None)
teacher = NextWords(torch.randn(positions, width), torch.randn(vocabulary, width), None)
here = Positions(torch.randint(vocabulary, (positions,)), torch.ones(positions), torch.full((positions,), -12.0))
before = peak()
compare(student, teacher, here, Comparison(0.5, 100, ratio_clip=2.0)).loss.backward()
print(peak() - before)
"""


def test_the_divergence_never_holds_the_logits_of_all_positions() -> None:
    """They would be 1188 MiB here, of both models, and 23 GiB for 20k tokens; of the chunk under way there are four of 128 MiB."""
    said = subprocess.run(
        [sys.executable, "-c", DIVERGENCE, str(ROOT / "workflow_scripts")],
        env=ENVIRONMENT, capture_output=True, text=True, timeout=PATIENCE,
    )  # fmt: skip
    assert said.returncode == 0, said.stderr[-2000:]
    assert int(said.stdout) < 800
