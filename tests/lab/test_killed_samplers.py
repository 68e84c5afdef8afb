"""The sampler killed with SIGKILL at 16 random moments, with both engines, and gone on with: nothing lost, nothing doubled."""

import json
import random
import signal
import subprocess
import sys
import time
import zlib
from pathlib import Path

import polars as pl
import pytest

from conftest import ENVIRONMENT, PATIENCE, ROOT
from lab_requests import sample_command, write_plan
from selfdistill.sampling.journal.segments import Lines
from selfdistill.tables.sampling import COMPLETIONS
from selfdistill.tables.whole import read_table

REQUESTS = 240
CONTENT = ["request_id", "token_ids", "text", "n_tokens", "finish_reason", "logprob", "seconds", "engine_version"]


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_plan(tmp_path_factory.mktemp("plan") / "plan.parquet", REQUESTS)


class Sampler:
    """`sample.py` on one shard, with one engine, started as often as it is killed."""

    def __init__(self, engine: str, python: str, plan: Path, folder: Path) -> None:
        self.journal, self.output = folder / "journal-0", folder / "shard-0.parquet"
        self.command = sample_command(plan, folder, engine, python, folding_often=True)

    def start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(self.command, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def finish(self) -> subprocess.CompletedProcess[str]:
        return subprocess.run(self.command, env=ENVIRONMENT, capture_output=True, text=True, timeout=PATIENCE)

    def bytes_written(self) -> int:
        return sum(path.stat().st_size for path in self.journal.glob("0*") if path.exists())

    def journaled(self) -> pl.DataFrame:
        """Every whole sample on disk, once, read without the journal's own code; a torn line is none."""
        found = [pl.DataFrame(schema=COMPLETIONS)]
        for path in sorted(self.journal.glob("0*.jsonl")):
            for line in path.read_bytes().split(b"\n")[:-1]:
                checksum, payload = line.split(b" ", 1)
                assert int(checksum, 16) == zlib.crc32(payload), "a line is damaged that no power cut has torn"
                found.append(pl.DataFrame([json.loads(payload)], schema=COMPLETIONS))
        found += [pl.read_parquet(path) for path in sorted(self.journal.glob("0*.parquet"))]
        return pl.concat(found).unique("request_id").sort("request_id")


def kill_at(sampler: Sampler, moment: str, rng: random.Random) -> bool:
    """Kills a new process at a random time: while it starts, after some more samples, while it folds or while it seals.
    False when it was over before."""
    for leftover in (*sampler.journal.glob(".*.part"), *sampler.output.parent.glob(".shard-0*.part")):
        leftover.unlink()
    process = sampler.start()
    if moment == "starting":
        time.sleep(rng.uniform(0.0, 3.0))
    elif moment == "sampling":
        aim = sampler.bytes_written() + rng.randint(1, 12_000)
        while process.poll() is None and sampler.bytes_written() < aim:
            time.sleep(0.001)
        time.sleep(rng.uniform(0.0, 0.03))
    else:  # over in a moment
        pattern = {"folding": "journal-0/.*.part", "sealing": ".shard-0*.part"}[moment]
        while process.poll() is None and not list(sampler.output.parent.glob(pattern)):
            pass
        time.sleep(rng.choice([0.0, 0.0005, 0.002]))
    killed = process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.wait()
    return killed


def kill_and_resume(sampler: Sampler, moments: list[str], rng: random.Random) -> pl.DataFrame:
    paid_for = sampler.journaled() if sampler.journal.exists() else pl.DataFrame(schema=COMPLETIONS)
    killed = 0
    for moment in moments:
        killed += kill_at(sampler, moment, rng)
        now = sampler.journaled() if sampler.journal.exists() else paid_for
        # Whatever was in the journal before is in it still, unchanged.
        assert now.join(paid_for, on="request_id", how="semi").equals(paid_for)
        paid_for = now
        # A power cut, unlike a kill, can leave half a line: here the last one loses its end.
        newest = max(sampler.journal.glob("0*.jsonl"), default=None)
        if rng.random() < 0.3 and newest is not None and newest.stat().st_size:
            data = newest.read_bytes()
            last = data.rstrip(b"\n").rfind(b"\n") + 1
            newest.write_bytes(data[: rng.randint(last, len(data) - 1)])
            paid_for = sampler.journaled()
    assert killed >= len(moments) - 1, "the sampler was mostly over before it could be killed"
    finished = sampler.finish()
    assert finished.returncode == 0, finished.stderr[-2000:]
    sealed = read_table(sampler.output, COMPLETIONS)
    assert sealed.height == sealed["request_id"].n_unique() == REQUESTS
    # No token that was paid for was sampled again.
    assert sealed.join(paid_for, on="request_id", how="semi").select(CONTENT).equals(paid_for.select(CONTENT))
    return sealed


def test_the_torch_engine_killed_6_times_gives_what_one_run_gives(plan: Path, tmp_path: Path) -> None:
    rng = random.Random(11)
    whole = Sampler("torch", sys.executable, plan, tmp_path / "whole")
    assert whole.finish().returncode == 0
    killed = Sampler("torch", sys.executable, plan, tmp_path / "killed")
    moments = ["starting", *["sampling", "folding"] * 2, "sealing"]
    sealed = kill_and_resume(killed, moments, rng)
    identical = ["request_id", "token_ids", "text", "n_tokens", "finish_reason"]
    reference = read_table(whole.output, COMPLETIONS)
    assert sealed.select(identical).equals(reference.select(identical))
    assert ((sealed["logprob"] - reference["logprob"]).abs() < 1e-3).all(ignore_nulls=False)


@pytest.mark.xdist_group("vllm")
def test_vllm_killed_4_times_loses_nothing(plan: Path, tmp_path: Path, vllm_python: str) -> None:
    sampler = Sampler("vllm", vllm_python, plan, tmp_path)
    moments = ["starting", "sampling", "folding", "sealing"]
    sealed = kill_and_resume(sampler, moments, random.Random(12))
    assert set(sealed["engine"]) == {"vllm"}


WRITER = """
import sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from selfdistill.sampling.journal.journal import Journal
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
