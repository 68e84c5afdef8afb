"""Asking a model: what is done is kept when the job is killed, and probes that do not fit are refused in a sentence."""

import json
import runpy
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

from conftest import ENVIRONMENT, PATIENCE, ROOT
from extend_examples import torch_plugged
from law_examination import CONTEXT, MODEL, TOKENIZER, examine, lab_probes
from selfdistill.foundation.errors import UserError
from selfdistill.machine.leases import Lease
from selfdistill.mechanism import prober
from selfdistill.mechanism.positions import probe_ids
from selfdistill.mechanism.prober import Job, ProberSettings, probe_model
from selfdistill.sampling.requests import NextTokens
from selfdistill.tables import words
from selfdistill.tables.mechanism import CARRIERS, DISTRIBUTIONS, PROBE_PLAN
from selfdistill.tables.schema import Schema
from selfdistill.tables.whole import read_table, write_table

torch.set_num_threads(1)
SETTINGS = ProberSettings(engine="auto", dtype="float32", context=CONTEXT, top=50)
# The program, but that it is killed when it has so many parts.
KILLED = """
import os, runpy, signal, sys
parts, sys.argv = int(sys.argv[1]), sys.argv[2:]
sys.path.insert(0, sys.argv[0].rpartition("/")[0])
from selfdistill.mechanism.parts import Parts
write = Parts.write
def killed(self, carrier, rows):
    write(self, carrier, rows)
    if len(list(self.folder.glob("*.parquet"))) == parts:
        os.kill(os.getpid(), signal.SIGKILL)
Parts.write = killed
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def carrier_rows() -> list[dict[str, Any]]:
    about = {"model_id": "base", "source": "quiz", "family": "f", "half": words.MEASURING, "decode_id": "t07"}
    about |= {"verdict": "correct", "finish_class": "answered"}
    return [
        {"carrier_id": each.carrier_id, "problem_id": each.carrier_id, "prompt_ids": each.prompt_ids, **about,
         "token_ids": each.completion_ids, "n_tokens": len(each.completion_ids),
         "text": TOKENIZER.decode(each.completion_ids, skip_special_tokens=False)}
        for each in lab_probes()
    ]  # fmt: skip


def plan_rows() -> list[dict[str, Any]]:
    return [
        {"probe_id": key, "carrier_id": each.carrier_id, "position": position, "token_id": each.completion_ids[position],
         "kinds": [words.RANDOM]}
        for each in lab_probes()
        for position, key in probe_ids(each.carrier_id, each.prompt_ids, each.completion_ids, each.positions).items()
    ]  # fmt: skip


def written(folder: Path, name: str, rows: list[dict[str, Any]], schema: Schema) -> Path:
    path = folder / f"{name}.parquet"
    write_table(pl.DataFrame(rows, schema=schema), path, schema)
    return path


def job(folder: Path, carriers: list[dict[str, Any]] | None = None, plan: list[dict[str, Any]] | None = None) -> Job:
    return Job(
        model_id="base",
        model=MODEL,
        carriers=written(folder, "carriers", carriers or carrier_rows(), CARRIERS),
        plan=written(folder, "plan", plan or plan_rows(), PROBE_PLAN),
        work=folder / "work",
        output=folder / "base.parquet",
    )


def test_a_plugged_engine_is_asked_itself_and_its_laws_are_those_that_it_gives(tmp_path: Path) -> None:
    tables = []
    for engine in ("torch", torch_plugged(tmp_path)):
        folder = tmp_path / engine.partition("@")[0]
        folder.mkdir()
        asked = job(folder)
        probe_model(asked, replace(SETTINGS, engine=engine))
        tables.append(read_table(asked.output, DISTRIBUTIONS))
    assert [{*table["engine"]} for table in tables] == [{"torch"}, {"torch-plugged"}]
    mine, theirs = (table.drop("engine", "engine_version", strict=False) for table in tables)
    assert mine.equals(theirs)


def test_every_probe_has_its_law_and_the_table_is_sorted(tmp_path: Path) -> None:
    asked = job(tmp_path)
    probe_model(asked, SETTINGS)
    found = read_table(asked.output, DISTRIBUTIONS)
    assert found["probe_id"].to_list() == sorted(row["probe_id"] for row in plan_rows())
    assert found["engine"].unique().to_list() == ["torch"] and found["model_id"].unique().to_list() == ["base"]
    by_probe = {row["probe_id"]: row for row in found.iter_rows(named=True)}
    for each in lab_probes():
        keys = probe_ids(each.carrier_id, each.prompt_ids, each.completion_ids, each.positions)
        rows = [by_probe[keys[position]] for position in each.positions]
        columns = {key: np.array([row[key] for row in rows]) for key in rows[0]}
        told = NextTokens(
            each.carrier_id, columns["ids"], columns["logprobs"], columns["log_sum_exp"], columns["entropy"], columns["rank"],
            columns["logprob"],
        )  # fmt: skip
        examine(told, each, within=1e-5, top=50)


def command(asked: Job, *before: str) -> list[str]:
    settings = {"engine": "auto", "dtype": "float32", "context": CONTEXT, "top": 50}
    return [
        sys.executable, *before, str(ROOT / "workflow_scripts/probe.py"), "--carriers", str(asked.carriers), "--plan",
        str(asked.plan), "--model", str(asked.model), "--model-id", "base", "--work", str(asked.work), "--output",
        str(asked.output), "--settings", json.dumps(settings),
    ]  # fmt: skip


def test_a_job_that_was_killed_goes_on_where_it_was(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "whole").mkdir()
    (tmp_path / "killed").mkdir()
    whole, killed = job(tmp_path / "whole"), job(tmp_path / "killed")
    probe_model(whole, SETTINGS)
    ran = subprocess.run(command(killed, "-c", KILLED, "3"), env=ENVIRONMENT, capture_output=True, timeout=PATIENCE)
    assert ran.returncode == -signal.SIGKILL and not killed.output.exists()
    kept = list(killed.work.rglob("*.parquet"))
    assert len(kept) == 3
    for path in kept:
        (path.parent / f".{path.name}.1.part").write_text("torn")  # as a writer leaves it that is killed
    probe_model(replace(killed, work=killed.work / "laws"), SETTINGS)
    assert "7 carriers, 3 done before, 4 to read" in capsys.readouterr().err
    assert read_table(killed.output, DISTRIBUTIONS).equals(read_table(whole.output, DISTRIBUTIONS))
    assert not list(killed.work.rglob("*.part*"))


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The carriers that are read."""
    seen: list[str] = []
    real = prober.laws

    def noted(engine: Any, asked: Any, given: Any, top: int) -> Any:
        seen.extend(each.carrier_id for each in given)
        return real(engine, asked, given, top)

    monkeypatch.setattr(prober, "laws", noted)
    return seen


def test_parts_of_other_probes_or_damaged_ones_are_asked_anew(tmp_path: Path, read: list[str]) -> None:
    asked, stopped = job(tmp_path), Stopped(2)
    with pytest.MonkeyPatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(prober.Parts, "write", stopped.write)
        probe_model(asked, SETTINGS)
    first, second = stopped.carriers
    next(asked.work.rglob(f"{first}.parquet")).write_bytes(b"damaged")
    fewer = [row for row in plan_rows() if row["carrier_id"] != second or row["position"] > 0]
    read.clear()
    probe_model(job(tmp_path, plan=fewer), SETTINGS)
    assert {first, second} <= set(read) and len(read) == len(lab_probes())


class Stopped:
    """Writes so many parts, and is interrupted."""

    def __init__(self, count: int) -> None:
        self.count, self.carriers, self.real = count, list[str](), prober.Parts.write

    @property
    def write(self) -> Callable[..., None]:
        def write(parts: prober.Parts, carrier: str, rows: pl.DataFrame) -> None:
            if len(self.carriers) == self.count:
                raise KeyboardInterrupt
            self.real(parts, carrier, rows)
            self.carriers.append(carrier)

        return write


def test_two_processes_do_not_probe_one_model_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, refused = job(tmp_path), []

    def second(*_: Any, **__: Any) -> Any:
        with pytest.raises(UserError, match="another process probes this model"):
            probe_model(asked, SETTINGS)
        refused.append(True)
        return iter(())

    monkeypatch.setattr(prober, "laws", second)
    with pytest.raises(UserError, match="7 of 7 carriers have no answer; run again"):
        probe_model(asked, SETTINGS)
    assert refused


def change(rows: list[dict[str, Any]], **changed: Any) -> list[dict[str, Any]]:
    return [rows[0] | changed, *rows[1:]]


WRONG: dict[str, tuple[Callable[[Path], Job], str]] = {
    "a position beyond the end": (
        lambda folder: job(folder, plan=change(plan_rows(), position=5000)),
        r"probe \w+: position 5000 lies beyond the end of carrier \w+, which has \d+ tokens; plan anew",
    ),
    "a position before the beginning": (
        lambda folder: job(folder, plan=change(plan_rows(), position=-1)), "position -1 lies beyond the end",
    ),
    "another token": (
        lambda folder: job(folder, plan=change(plan_rows(), token_id=2)), r"at position 0 of carrier \w+ stands token \d+ and not 2",
    ),
    "a carrier that is not there": (
        lambda folder: job(folder, plan=change(plan_rows(), carrier_id="gone")), "its carrier gone is not among the carriers",
    ),
    "a carrier that is too long": (
        lambda folder: job(folder, carriers=[row | {"prompt_ids": [5] * CONTEXT} for row in carrier_rows()]),
        r"carrier \w+: \d+ tokens of prompt and completion do not fit the context of 320 with one to spare",
    ),
    "another tokenizer": (
        lambda folder: job(folder, carriers=change(carrier_rows(), text="quite another text")),
        r"carrier \w+: its tokens are another text in the tokenizer of base; probes compare models of one tokenizer",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_probes_that_do_not_fit_are_refused_before_the_model_is_opened(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, sentence = WRONG[name]
    monkeypatch.setattr(prober, "open_engine", lambda *_: pytest.fail("the model was opened"))
    with pytest.raises(UserError, match=sentence):
        probe_model(made(tmp_path), SETTINGS)


def test_laws_and_depths_share_one_lease(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """CUDA's devices are chosen when it first runs in a process: a second lease there is refused."""
    leases: list[int] = []

    def lease(count: int) -> Lease:
        leases.append(count)
        return Lease([], [])

    monkeypatch.setattr("selfdistill.machine.leases.lease_gpus", lease)
    monkeypatch.setattr(ProberSettings, "device", "cpu")
    asked = job(tmp_path)
    depths = tmp_path / "depths.parquet"
    monkeypatch.setattr(sys, "argv", [*command(asked)[1:], "--depths", str(depths), "--gpus", "1"])
    runpy.run_path(str(ROOT / "workflow_scripts/probe.py"))["main"]()
    assert leases == [1] and asked.output.exists() and depths.exists()
