"""Kernels that a model needs on a GPU are found missing, broken or too old before a run, in a sentence that says the mend."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

from selfdistill.training.trainer.kernels import needed_kernels, refuse_slow_kernels

pytestmark = pytest.mark.xdist_group("kernels")

ROOT = Path(__file__).resolve().parents[3]
LAB = ROOT / "resources/lab/model"
# A process of its own for each question, for what was imported once stays imported: a fork of one that has loaded transformers,
# which takes seconds. The machine has no GPU, so what kind it is is said.
ASKED = """
import json, os, sys
from pathlib import Path
from transformers.models.auto import configuration_auto
from selfdistill.foundation.programs import as_program
from selfdistill.training.trainer import kernels
for line in sys.stdin:
    folder, hopper, padding_free, accept_slow, said = json.loads(line)
    if os.fork() == 0:
        os.dup2(os.open(said, os.O_WRONLY | os.O_CREAT), 2)
        sys.path.insert(0, folder)
        kernels.is_hopper = lambda: hopper
        as_program(lambda: kernels.refuse_slow_kernels(Path(folder), "cuda", padding_free, accept_slow))
        sys.exit()
    print(os.waitstatus_to_exitcode(os.wait()[1]), flush=True)
"""
Ask = Callable[..., tuple[int, str]]


@pytest.fixture(scope="module")
def ask() -> Iterator[Ask]:
    with subprocess.Popen(
        [sys.executable, "-c", ASKED], env={"PYTHONPATH": str(ROOT / "workflow_scripts")}, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        text=True,
    ) as process:  # fmt: skip
        assert process.stdin and process.stdout
        asked, answers, numbers = process.stdin, process.stdout, count()

        def ask(
            folder: Path, hopper: bool = True, padding_free: bool = False, accept_slow: bool = False
        ) -> tuple[int, str]:
            said = folder / f"said-{next(numbers)}"
            print(json.dumps([str(folder), hopper, padding_free, accept_slow, str(said)]), file=asked, flush=True)
            status = int(answers.readline())
            lines = said.read_text().splitlines()
            assert all(line.startswith(("warning: ", "error: ")) for line in lines) and len(lines) <= 2, lines
            return status, said.read_text()

        yield ask
        asked.close()


@pytest.fixture
def qwen(tmp_path: Path) -> Path:
    return model(tmp_path, "qwen3_5")


def model(folder: Path, model_type: str) -> Path:
    (folder / "config.json").write_text(json.dumps({"model_type": model_type}))
    return folder


def installed(folder: Path, **versions: str) -> None:
    """Packages of these versions, where the next process finds them first."""
    for name, version in versions.items():
        (folder / name).mkdir()
        (folder / name / "__init__.py").write_text(f"__version__ = {version!r}\n")


@pytest.mark.parametrize(
    ("model_type", "packages"),
    [
        ("qwen3_5", ["causal_conv1d", "fla"]),
        ("qwen3_5_text", ["causal_conv1d", "fla"]),
        ("qwen3_5_moe", ["causal_conv1d", "fla"]),
        ("zamba", ["causal_conv1d", "mamba_ssm"]),
        ("qwen3", []),
        ("no-such-model", []),
    ],
)
def test_a_model_needs_the_kernels_that_its_own_code_looks_for(
    tmp_path: Path, model_type: str, packages: list[str]
) -> None:
    assert needed_kernels(model(tmp_path, model_type)) == packages


def test_a_model_without_such_layers_needs_nothing_and_a_cpu_neither(qwen: Path) -> None:
    refuse_slow_kernels(LAB, "cuda")
    refuse_slow_kernels(qwen, "cpu", padding_free=True)


def test_all_there_and_new_enough_is_silent(qwen: Path, ask: Ask) -> None:
    installed(qwen, fla="0.6.0", causal_conv1d="1.7.0", triton="3.7.1")
    assert ask(qwen) == (0, "")


def test_missing_kernels_are_refused_by_the_name_to_install(qwen: Path, ask: Ask) -> None:
    status, said = ask(qwen)
    warned, refused = said.splitlines()  # the convolution costs little
    assert status == 1 and warned.startswith("warning: ") and "causal-conv1d (it is not installed)" in warned
    assert refused.startswith("error: ") and "flash-linear-attention>=0.6.0 (it is not installed)" in refused


def test_slow_kernels_can_be_accepted_and_are_still_told_of(qwen: Path, ask: Ask) -> None:
    installed(qwen, causal_conv1d="1.7.0")
    status, said = ask(qwen, accept_slow=True)
    assert status == 0 and said.startswith("warning: ") and "flash-linear-attention" in said


def test_kernels_that_are_too_old_are_refused(qwen: Path, ask: Ask) -> None:
    installed(qwen, fla="0.4.2", causal_conv1d="1.7.0", triton="3.7.1")
    status, said = ask(qwen)
    assert status == 1 and "flash-linear-attention>=0.6.0 (its version is 0.4.2)" in said


def test_kernels_that_fail_to_import_are_refused_with_the_reason(qwen: Path, ask: Ask) -> None:
    installed(qwen, fla="0.6.0", causal_conv1d="1.7.0", triton="3.7.1")
    (qwen / "fla/__init__.py").write_text("raise OSError('libcudart.so.13: no such file')\n")
    status, said = ask(qwen)
    assert status == 1 and "it cannot be imported: libcudart.so.13: no such file" in said


def test_an_old_triton_is_refused_on_hopper_alone(qwen: Path, ask: Ask) -> None:
    installed(qwen, fla="0.6.0", causal_conv1d="1.7.0", triton="3.7.0")
    status, said = ask(qwen, hopper=True)
    assert status == 1 and "triton>=3.7.1 for a Hopper GPU (its version is 3.7.0)" in said
    assert ask(qwen, hopper=False) == (0, "")


def test_the_convolution_is_only_missed_where_sequences_share_a_row(qwen: Path, ask: Ask) -> None:
    installed(qwen, fla="0.6.0", triton="3.7.1+git1")
    status, said = ask(qwen)
    assert status == 0 and said.startswith("warning: ") and "causal-conv1d (it is not installed)" in said
    for accept_slow in (False, True):
        status, said = ask(qwen, padding_free=True, accept_slow=accept_slow)
        assert status == 1 and "causal-conv1d" in said and "training.collation: padded" in said
