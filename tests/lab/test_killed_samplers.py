"""The sampler killed with SIGKILL at 25 random moments, with both engines, and gone on with: nothing lost, nothing doubled."""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest

from conftest import ENVIRONMENT, ROOT
from lab_requests import MODEL, lab_requests
from selfdistill.sampling.segments import Lines
from selfdistill.tables import COMPLETIONS, PLAN, read_table, write_table

REQUESTS = 240
CONTENT = ["request_id", "token_ids", "text", "n_tokens", "finish_reason", "logprob", "seconds", "engine_version"]


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rows = [
        {**vars(request), "model_id": "base", "problem_id": str(i), "purpose": "eval", "decode_id": "t10", "draw": 0, "shard": 0}
        for i, request in enumerate(lab_requests(REQUESTS))
    ]  # fmt: skip
    path = tmp_path_factory.mktemp("plan") / "plan.parquet"
    write_table(pl.DataFrame(rows, schema=PLAN), path, PLAN)
    return path


class Sampler:
    """`sample.py` on one shard, with one engine, started as often as it is killed."""

    def __init__(self, engine: str, python: str, plan: Path, folder: Path) -> None:
        self.journal, self.output = folder / "journal-0", folder / "shard-0.parquet"
        settings = f'{{"engine": "{engine}", "dtype": "float32", "context": 320}}'
        self.command = [
            python, str(ROOT / "workflow_scripts/sample.py"), "--plan", str(plan), "--model", str(MODEL), "--shard", "0",
            "--journal", str(self.journal), "--output", str(self.output), "--settings", settings, "--batch", "16",
        ]  # fmt: skip

    def start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(self.command, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def finish(self) -> subprocess.CompletedProcess[str]:
        return subprocess.run(self.command, env=ENVIRONMENT, capture_output=True, text=True, timeout=300)

    def lines(self) -> int:
        return sum(path.read_bytes().count(b"\n") for path in self.journal.glob("*.jsonl"))

    def journaled(self) -> pl.DataFrame:
        """Every whole sample on disk, read by the test itself; a torn line is none."""
        found = [pl.DataFrame(schema=COMPLETIONS)]
        for path in sorted(self.journal.glob("*.jsonl")):
            found += list(Lines(path).samples())
        found += [read_table(path, COMPLETIONS) for path in sorted(self.journal.glob("*.parquet"))]
        return pl.concat(found)


def kill_at(sampler: Sampler, moment: str, rng: random.Random) -> None:
    """Kills a new process at a random time: while it starts, after some more samples, or while it seals."""
    process = sampler.start()
    if moment == "starting":
        time.sleep(rng.uniform(0.0, 3.0))
    elif moment == "sampling":
        aim = sampler.lines() + rng.randint(1, 12)
        while process.poll() is None and sampler.lines() < aim:
            time.sleep(0.001)
        time.sleep(rng.uniform(0.0, 0.03))
    else:  # sealing, which is over in a moment
        while process.poll() is None and not list(sampler.output.parent.glob(".shard-0*.part")):
            time.sleep(0.0005)
    process.send_signal(signal.SIGKILL)
    process.wait()


def kill_and_resume(sampler: Sampler, moments: list[str], rng: random.Random) -> pl.DataFrame:
    paid_for = sampler.journaled() if sampler.journal.exists() else pl.DataFrame(schema=COMPLETIONS)
    for moment in moments:
        kill_at(sampler, moment, rng)
        now = sampler.journaled() if sampler.journal.exists() else paid_for
        # Whatever was in the journal before is in it still, unchanged.
        assert now.join(paid_for, on="request_id", how="semi").sort("request_id").equals(paid_for.sort("request_id"))
        paid_for = now
        # A power cut, unlike a kill, can leave half a line: here the last one loses its end.
        newest = max(sampler.journal.glob("*.jsonl"), default=None)
        if rng.random() < 0.3 and newest is not None and newest.stat().st_size:
            data = newest.read_bytes()
            last = data.rstrip(b"\n").rfind(b"\n") + 1
            newest.write_bytes(data[: rng.randint(last, len(data) - 1)])
            paid_for = sampler.journaled()
    finished = sampler.finish()
    assert finished.returncode == 0, finished.stderr[-2000:]
    sealed = read_table(sampler.output, COMPLETIONS)
    assert sealed.height == sealed["request_id"].n_unique() == REQUESTS
    # No token that was paid for was sampled again.
    assert (
        sealed.join(paid_for, on="request_id", how="semi")
        .select(CONTENT)
        .equals(paid_for.sort("request_id").select(CONTENT))
    )
    return sealed


def test_the_torch_engine_killed_17_times_gives_what_one_run_gives(plan: Path, tmp_path: Path) -> None:
    rng = random.Random(11)
    whole = Sampler("torch", sys.executable, plan, tmp_path / "whole")
    assert whole.finish().returncode == 0
    killed = Sampler("torch", sys.executable, plan, tmp_path / "killed")
    moments = ["starting", "starting", *["sampling"] * 12, "sealing", "sealing", "sealing"]
    sealed = kill_and_resume(killed, moments, rng)
    identical = ["request_id", "token_ids", "text", "n_tokens", "finish_reason"]
    assert sealed.select(identical).equals(read_table(whole.output, COMPLETIONS).select(identical))


@pytest.mark.xdist_group("vllm")
def test_vllm_killed_8_times_loses_nothing(plan: Path, tmp_path: Path, vllm_python: str) -> None:
    sampler = Sampler("vllm", vllm_python, plan, tmp_path)
    moments = ["starting", *["sampling"] * 6, "sealing"]
    sealed = kill_and_resume(sampler, moments, random.Random(12))
    assert set(sealed["engine"]) == {"vllm"}


WRITER = """
import sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from selfdistill.sampling.journal import Journal
with Journal(Path(sys.argv[2]), "torch") as journal:
    for number in range(1000):
        journal.append({"request_id": f"{sys.argv[3]}-{number}", "token_ids": [7] * 4_000_000, "text": "", "n_tokens": 4_000_000,
                        "finish_reason": "stop", "logprob": 0.0, "engine": "torch", "engine_version": "", "seconds": 0.0})
"""


def test_a_kill_in_the_middle_of_a_write_leaves_a_torn_line_that_is_noticed(tmp_path: Path) -> None:
    """Lines of many megabytes, so that the kernel is in the middle of one when the signal comes."""
    journal = tmp_path / "journal-0"
    torn = 0
    for attempt in range(40):
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(ROOT / "workflow_scripts"), str(journal), str(attempt)]
        )
        path = None
        while path is None or not path.stat().st_size:
            path = max(journal.glob("*.jsonl"), default=None)
        process.send_signal(signal.SIGKILL)
        process.wait()
        segment = Lines(path)
        assert len(segment.damaged) <= 1
        assert all(sample["n_tokens"].to_list() == [4_000_000] for sample in segment.samples())
        torn += len(segment.damaged)
        path.unlink()
        if torn >= 3:
            break
    assert torn >= 3, "no kill came in the middle of a write"
