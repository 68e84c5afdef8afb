"""One training on several processes: the same run as on one, whatever ends it. On CPUs, over gloo, with FSDP2."""

import json
import os
import random
import signal
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

from selfdistill.foundation.errors import UserError
from selfdistill.tables.schema import Schema
from selfdistill.tables.training import (
    COHERENCE,
    DATASET,
    HISTOGRAMS,
    NOISE,
    RUN_LOG,
    TARGETS,
    TRAINED_LOGPROBS,
    WEIGHTS,
)
from selfdistill.tables.whole import read_table, write_table
from selfdistill.training.examples.rows import IGNORED, evened, example_order
from selfdistill.training.handover.checkpoints import WorkFolder
from selfdistill.training.handover.steps import StepJournal
from selfdistill.training.instruments.groups import grouped_parameters
from selfdistill.training.instruments.path import QUANTITIES
from selfdistill.training.processes import launcher, ranks
from selfdistill.training.run import train_run
from selfdistill.training.settings import RunSettings
from selfdistill.training.trainer.model import load_model
from training_fixture import BATCH, EXAMPLES, STEPS, assert_same_results, settings

pytestmark = pytest.mark.xdist_group("ranks")
PROGRAM = Path(__file__).resolve().parents[3] / "workflow_scripts" / "train.py"
MEASURED_OFTEN = {"measure_every": 2}

# The program, but that one of its processes signals itself or the launcher when it calls `where` at this step.
FAILING = """
import os, signal, sys, time
sys.path.insert(0, {scripts!r})
import train
from selfdistill.training.processes import launcher
rank, where, step, name, whom = sys.argv[1:6]
if launcher.is_worker() and os.environ["RANK"] == rank:
    from selfdistill.training.trainer.trainer import MeasuredTrainer as Trainer
    original = getattr(Trainer, where)
    def failing(self, *arguments):
        if self.state.global_step == int(step):
            os.kill(os.getppid() if whom == "launcher" else os.getpid(), getattr(signal, name))
            time.sleep(2)
        return original(self, *arguments)
    setattr(Trainer, where, failing)
train.as_program(lambda: train.main(sys.argv[6:]))
"""


def on_ranks(processes: int = 1, nodes: int = 1, **training: Any) -> RunSettings:
    return settings(**(MEASURED_OFTEN | training)).model_copy(update={"processes": processes, "nodes": nodes})


def command(program: list[str], model: Path, dataset: Path, chosen: RunSettings, folder: Path) -> list[str]:
    given = ["--model", str(model), "--dataset", str(dataset), "--settings", chosen.model_dump_json()]
    return [sys.executable, *program, *given, "--out", str(folder / "out"), "--work", str(folder / "work")]


def run(arguments: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(arguments, capture_output=True, text=True, env=environment(), timeout=300)


def environment(**more: str) -> dict[str, str]:
    return os.environ | {"OMP_NUM_THREADS": "1"} | more


@pytest.fixture(scope="session")
def one(model: Path, dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("one")
    train_run(model, dataset, on_ranks(), folder / "out", folder / "work")
    return folder / "out"


@pytest.fixture(scope="session")
def two(model: Path, dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two processes of two sequences a pass: the last step, of six sequences, leaves one of them without any."""
    folder = tmp_path_factory.mktemp("two")
    done = run(command([str(PROGRAM)], model, dataset, on_ranks(2), folder))
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("training ssd: 6 steps") == 1 == done.stderr.count("step 6/6"), "one process talks"
    return folder / "out"


@pytest.fixture(scope="session")
def two_nodes(model: Path, dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A launcher for each of two nodes, as srun starts them; one sequence a pass."""
    folder = tmp_path_factory.mktemp("nodes")
    (folder / "scontrol").write_text(
        '#!/bin/sh\ncase "$*" in\n'
        "'show hostnames here[1-2]') echo here1; echo here2 ;;\n"
        "'show node here1') echo 'NodeName=here1'; echo '   NodeAddr=localhost NodeHostName=here1' ;;\n"
        "*) exit 1 ;;\nesac\n"
    )
    (folder / "scontrol").chmod(0o755)
    arguments = command([str(PROGRAM)], model, dataset, on_ranks(1, 2, micro_batch=1, max_steps=2), folder)
    slurm = {
        "PATH": f"{folder}:{os.environ['PATH']}",
        "SLURM_JOB_NODELIST": "here[1-2]",
        "SLURM_JOB_ID": str(free_job()),
    }
    nodes = [
        subprocess.Popen(arguments, env=environment(**slurm, SLURM_NODEID=node), stderr=subprocess.PIPE, text=True)
        for node in ("1", "0")
    ]
    said = [node.communicate(timeout=300)[1] for node in nodes]
    assert [node.returncode for node in nodes] == [0, 0], said
    assert said[0] == "" and "step 2/2" in said[1], "the second node has nothing to say"
    return folder / "out"


def free_job() -> int:
    """The number of a job whose port is free."""
    while True:
        job = random.randrange(len(launcher.PORTS))
        with socket.socket() as probe:
            if probe.connect_ex(("localhost", launcher.PORTS.start + job)):
                return job


def tables(folder: Path, name: str, schema: Schema) -> pl.DataFrame:
    return read_table(folder / f"{name}.parquet", schema)


# The same run as on one process


def test_two_ranks_take_the_steps_that_one_takes(one: Path, two: Path) -> None:
    single, double = (tables(folder, "log", RUN_LOG) for folder in (one, two))
    for exact in ("step", "tokens", "sequences", "effective_sequences", "learning_rate"):
        assert single[exact].equals(double[exact]), exact
    assert double["sequences"].to_list() == [8, 8, 8, 8, 8, 6]
    for measured in ("loss", "entropy", "grad_norm", "clip_coefficient"):
        assert double[measured].to_list() == pytest.approx(single[measured].to_list(), rel=1e-5), measured


def test_the_exported_models_of_two_ranks_are_whole(one: Path, two: Path) -> None:
    from safetensors.torch import load_file

    for name in ("at-025", "at-100"):
        single, double = (load_file(folder / name / "model.safetensors") for folder in (one, two))
        assert single.keys() == double.keys()
        assert all(torch.allclose(single[key], double[key], rtol=0, atol=1e-6) for key in single)
        said = [
            tables(folder / name, "trained_logprobs", TRAINED_LOGPROBS)["log_probs"].explode() for folder in (one, two)
        ]
        assert said[0].to_list() == pytest.approx(said[1].to_list(), abs=1e-4)
    listed = [sorted(str(path.relative_to(folder)) for path in folder.rglob("*")) for folder in (one, two)]
    assert listed[0] == listed[1]
    manifests = [json.loads((folder / "manifest.json").read_text()) for folder in (one, two)]
    for key in ("parameters", "trained_parameters", "weights_dtype", "optimizer_dtype", "tokens"):
        assert manifests[0][key] == manifests[1][key], key


def test_every_micro_batch_of_two_ranks_is_measured_in_the_order_of_the_data(one: Path, two: Path) -> None:
    single, double = (tables(folder, "noise", NOISE) for folder in (one, two))
    keys = ["step", "micro_batch", "group", "tokens", "sequences"]
    assert single.select(keys).equals(double.select(keys))
    for geometry, within in (("norm_squared", 1e-5), ("adam_norm_squared", 1e-3), ("update_norm_squared", 1e-3)):
        # A gradient that is hardly anything over a moment that is hardly anything: the last digits of both are rounding.
        expected, found = (table[geometry].to_numpy() for table in (single, double))
        assert np.isfinite(expected).sum() >= len(expected) / 3, (
            f"{geometry} is measured at every other step but the first"
        )
        np.testing.assert_allclose(found, expected, rtol=within, err_msg=geometry)


def test_what_two_ranks_see_of_their_weights_adds_up(one: Path, two: Path) -> None:
    single, double = (tables(folder, "weights", WEIGHTS) for folder in (one, two))
    assert single.select("step", "group", "weights").equals(double.select("step", "group", "weights"))
    for count in ("changed", "changed_on_grid", "changed_since_start"):
        difference = (single[count] - double[count]).abs().drop_nulls()
        assert difference.sum() <= 2 < single[count].sum(), f"{count}: at most a weight that lies on the edge"
    for measured in (
        "predicted_changed",
        "update_norm_squared",
        "kept_on_grid",
        "norm_squared",
        "distance_norm_squared",
    ):
        expected, found = (table[measured].drop_nulls().to_list() for table in (single, double))
        assert found == pytest.approx(expected, rel=1e-4) and sum(expected) > 0, measured
    counted = tables(two, "histograms", HISTOGRAMS).group_by("step", "group", "quantity").agg(pl.col("count").sum())
    sizes = dict(double.select("group", "weights").unique().iter_rows())
    assert counted.height == STEPS // 2 * len(sizes) * len(QUANTITIES)
    assert all(total == sizes[group] for group, total in counted.select("group", "count").iter_rows())
    paths = [tables(folder, "coherence", COHERENCE) for folder in (one, two)]
    for measured in ("distance_norm_squared", "path_norm_squared"):
        assert paths[1][measured].to_list() == pytest.approx(paths[0][measured].to_list(), rel=1e-4), measured
        assert paths[0][measured].min() > 0, measured  # type: ignore[operator]


def test_norms_on_two_ranks_are_those_of_each_examples_gradient(model: Path, dataset: Path, two_nodes: Path) -> None:
    """Against autograd on plain logits: what the hooks see of gathered, tied weights, before anything is averaged."""
    from selfdistill.tables.training import DATASET

    order = example_order(EXAMPLES, 1, on_ranks().seed("data order"))
    rows = read_table(dataset, DATASET)[order[:BATCH].tolist()]
    reference = load_model(model).train()
    groups, parameters = grouped_parameters(reference)
    total = sum(len(completion) for completion in rows["completion_ids"])
    noise = tables(two_nodes, "noise", NOISE).filter(pl.col("step") == 1)
    whole = [torch.zeros_like(parameter) for _, parameter in parameters]
    for number, (prompt, completion) in enumerate(rows.select("prompt_ids", "completion_ids").iter_rows()):
        logits = reference(input_ids=torch.tensor([prompt + completion])).logits[0, len(prompt) - 1 : -1]
        loss = torch.nn.functional.cross_entropy(logits, torch.tensor(completion), reduction="sum") / total
        gradients = torch.autograd.grad(loss, [parameter for _, parameter in parameters])
        expected = dict.fromkeys(groups, 0.0)
        for (group, _), gradient, summed in zip(parameters, gradients, whole, strict=True):
            expected[groups[group]] += float((gradient.double() ** 2).sum())
            summed += gradient
        found = dict(noise.filter(pl.col("micro_batch") == number).select("group", "norm_squared").iter_rows())
        assert found == pytest.approx(expected, rel=1e-5), f"example {number}"
    step = noise.filter(pl.col("micro_batch") == -1)["norm_squared"].sum()
    assert step == pytest.approx(sum(float((gradient.double() ** 2).sum()) for gradient in whole), rel=1e-5)


def test_rows_that_even_out_the_last_step_have_nothing_to_learn_from() -> None:
    rows = {"input_ids": [[5, 6, 7]] * 6, "labels": [[IGNORED, 6, 7]] * 6}
    evened_rows = evened(rows, 4)
    assert [len(column) for column in evened_rows.values()] == [8, 8]
    assert evened_rows["labels"][6:] == [[IGNORED, IGNORED]] * 2
    assert evened(rows, 3) == rows


@pytest.mark.parametrize(
    ("rows", "columns", "world", "stride"), [(10, 3, 4, 1), (10, 3, 4, 7), (3, 5, 8, 4), (9, 1, 2, 3)]
)
def test_parts_of_a_sample_make_up_the_sample_of_the_whole(
    rows: int, columns: int, world: int, stride: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FSDP2 cuts as torch.chunk does; the last ranks may hold less, or nothing."""
    whole = torch.arange(rows * columns).reshape(rows, columns)
    pieces = [*whole.chunk(world), *[whole[:0]] * world]
    monkeypatch.setattr(ranks, "_world", world)
    sample = []
    for rank in range(world):
        monkeypatch.setattr(ranks, "_rank", rank)
        spread = SimpleNamespace(shape=whole.shape, numel=whole.numel, to_local=lambda rank=rank: pieces[rank])
        sample += pieces[rank].flatten()[-ranks.first_index(spread) % stride :: stride].tolist()  # type: ignore[arg-type]
    assert sample == whole.flatten()[::stride].tolist()


# Whatever ends it


def test_whatever_ends_a_run_costs_no_row_and_no_bit(model: Path, dataset: Path, two: Path, tmp_path: Path) -> None:
    """kill -9 of a rank in the middle of a checkpoint, kill -9 of the launcher, a polite stop; and then to the end."""
    script, work = tmp_path / "failing.py", tmp_path / "work"
    script.write_text(FAILING.format(scripts=str(PROGRAM.parent)))

    def fail(*how: str) -> subprocess.CompletedProcess[str]:
        failed = run(command([str(script), *how], model, dataset, on_ranks(2), tmp_path))
        assert "Traceback" not in failed.stderr, failed.stderr
        return failed

    died = fail("1", "_save_optimizer_and_scheduler", "4", "SIGKILL", "itself")
    assert died.returncode == 1 and "process 1 of this training was ended by SIGKILL" in died.stderr.splitlines()[-1]
    assert (work / "unfinished" / "checkpoint-4").is_dir() and (work / "checkpoint-2").is_dir()
    assert not (work / "checkpoint-4").exists() and len(StepJournal(work / "steps.jsonl").rows()) == 4

    died = fail("0", "_clip_grad_norm", "4", "SIGKILL", "launcher")
    assert died.returncode == -signal.SIGKILL and "going on after step 2 of 6" in died.stderr
    assert len(StepJournal(work / "steps.jsonl").rows()) == 4, "its processes end with it"

    stopped = fail("1", "_clip_grad_norm", "4", "SIGTERM", "launcher")
    assert stopped.returncode == 130 and "going on after step 4 of 6" in stopped.stderr
    assert "training stopped after step 5 of 6; run the same command" in stopped.stderr
    assert not (tmp_path / "out").exists()

    done = run(command([str(PROGRAM)], model, dataset, on_ranks(2), tmp_path))
    assert done.returncode == 0 and "going on after step 5 of 6" in done.stderr, done.stderr
    assert_same_results(tmp_path / "out", two)


def test_a_mistake_is_said_once(model: Path, dataset: Path, tmp_path: Path) -> None:
    done = run(command([str(PROGRAM)], model, dataset, on_ranks(2, micro_batch=8), tmp_path))
    assert done.returncode == 1
    assert done.stderr == "error: training.micro_batch: 8 on 2 processes does not divide training.batch (8).\n"


def test_ranks_are_refused_together_while_another_trainer_is_at_it(model: Path, dataset: Path, tmp_path: Path) -> None:
    with WorkFolder(tmp_path / "work").locked():
        refused = run(command([str(PROGRAM)], model, dataset, on_ranks(2), tmp_path))
    assert refused.returncode == 1 and refused.stderr.count("\n") == 1
    assert f"process {os.getpid()} on {socket.gethostname()} is training in this folder" in refused.stderr
    assert not (tmp_path / "work").exists()


def test_several_nodes_without_slurm_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    with pytest.raises(UserError, match="SLURM_JOB_ID is not set"):
        launcher.place_in_slurm()


def test_a_slurm_that_does_not_answer_is_waited_for_no_longer_than_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "scontrol").write_text("#!/bin/sh\nexec sleep 600\n")
    (tmp_path / "scontrol").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    for name in ("SLURM_JOB_ID", "SLURM_JOB_NODELIST", "SLURM_NODEID"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setattr(launcher, "SLURM_ANSWERS_IN", 0.2)
    with pytest.raises(
        UserError, match=r"`scontrol show hostnames 1` failed: .*timed out.*; see whether Slurm answers"
    ):
        launcher.place_in_slurm()


def test_two_ranks_learn_from_soft_targets_as_one(model: Path, dataset: Path, tmp_path: Path) -> None:
    """Three quarters of the probability on the sampled token, one on another; the last step leaves a rank without rows."""
    rows = [
        (request, [2] * len(tokens), [each for token in tokens for each in (token, (token + 1) % 40)],
         [0.75, 0.25] * len(tokens), 0.0, float(len(tokens)), 0)
        for request, tokens in read_table(dataset, DATASET).select("request_id", "completion_ids").iter_rows()
    ]  # fmt: skip
    targets = tmp_path / "targets.parquet"
    write_table(pl.DataFrame(rows, schema=TARGETS, orient="row"), targets, TARGETS)
    train_run(model, dataset, on_ranks(), tmp_path / "out", tmp_path / "work", targets_file=targets)
    done = run([*command([str(PROGRAM)], model, dataset, on_ranks(2), tmp_path / "two"), "--targets", str(targets)])
    assert done.returncode == 0, done.stderr
    ours, theirs = (read_table(folder / "out" / "log.parquet", RUN_LOG) for folder in (tmp_path / "two", tmp_path))
    for column in ("loss", "entropy", "grad_norm"):
        assert ours[column].to_list() == pytest.approx(theirs[column].to_list(), rel=1e-5), column
