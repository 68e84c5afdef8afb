"""What is in the journal is never lost, never doubled, and never believed when damaged."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest

from selfdistill.errors import UserError
from selfdistill.sampling.journal import Journal
from selfdistill.sampling.requests import Request
from selfdistill.sampling.sampler import SamplerSettings, sample_shard
from selfdistill.tables import COMPLETIONS, PLAN, read_table, write_table

ROOT = Path(__file__).resolve().parents[2]
MODEL = ROOT / "resources/lab/model"


def record(name: str) -> dict[str, object]:
    return {"request_id": name, "token_ids": [1, 2], "text": "é\n\"", "n_tokens": 2, "finish_reason": "stop",
            "logprob": -1.5, "engine": "torch", "engine_version": "x", "seconds": 0.1}  # fmt: skip


def write(folder: Path, names: str) -> None:
    with Journal(folder) as journal:
        for name in names:
            journal.append(record(name))


def held(folder: Path) -> tuple[str, list[str]]:
    with Journal(folder) as journal:
        return "".join(journal.read()["request_id"]), journal.damaged


def test_a_torn_last_line_costs_that_sample_only(tmp_path: Path) -> None:
    write(tmp_path, "abc")
    segment = tmp_path / "000000.jsonl"
    segment.write_bytes(segment.read_bytes()[:-7])
    names, damaged = held(tmp_path)
    assert names == "ab"
    assert "line 3: torn or damaged" in damaged[0]
    write(tmp_path, "c")
    assert held(tmp_path)[0] == "abc"


def test_a_flipped_byte_costs_that_sample_only(tmp_path: Path) -> None:
    write(tmp_path, "abc")
    segment = tmp_path / "000000.jsonl"
    data = bytearray(segment.read_bytes())
    data[len(data) // 2] ^= 1
    segment.write_bytes(data)
    names, damaged = held(tmp_path)
    assert names == "ac" and "line 2" in damaged[0]


def test_folding_keeps_everything_and_later_samples_add_to_it(tmp_path: Path) -> None:
    write(tmp_path, "ab")
    write(tmp_path, "bc")
    with Journal(tmp_path) as journal:
        journal.fold(journal.read())
    assert [path.name for path in sorted(tmp_path.glob("0*"))] == ["000002.parquet"]
    write(tmp_path, "d")
    assert held(tmp_path)[0] == "abcd"


def test_a_damaged_segment_is_set_aside_and_named(tmp_path: Path) -> None:
    write(tmp_path, "ab")
    with Journal(tmp_path) as journal:
        journal.fold(journal.read())
    segment = tmp_path / "000001.parquet"
    segment.write_bytes(segment.read_bytes()[:-20])
    names, damaged = held(tmp_path)
    assert names == "" and "damaged" in damaged[0]
    assert (tmp_path / "000001.damaged").exists()


def test_a_second_sampler_is_told_and_leaves(tmp_path: Path) -> None:
    with (
        Journal(tmp_path),
        pytest.raises(UserError, match="another sampler is writing this journal"),
        Journal(tmp_path),
    ):
        pass


def test_a_full_disk_is_a_sentence_and_keeps_what_was_written() -> None:
    """/dev/full takes every byte and then says that the disk is full."""
    journal = Journal(Path("/tmp"))
    journal._writer, journal._synced = os.open("/dev/full", os.O_WRONLY), time.monotonic()
    with pytest.raises(UserError, match="No space left on device"):
        journal.append(record("a"))
    os.close(journal._writer)


# The whole sampler, killed


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from test_sampling import requests

    rows = [
        {**{name: getattr(request, name) for name in Request.__dataclass_fields__}, "model_id": "base", "problem_id": str(i),
         "purpose": "eval", "decode_id": "t10", "draw": 0, "shard": 0}
        for i, request in enumerate(requests(120))
    ]  # fmt: skip
    path = tmp_path_factory.mktemp("plan") / "plan.parquet"
    write_table(pl.DataFrame(rows, schema=PLAN), path, PLAN)
    return path


SETTINGS = '{"engine": "torch", "dtype": "float32", "context": 320}'


def sampler(plan: Path, folder: Path) -> list[str]:
    return [sys.executable, str(ROOT / "workflow_scripts/sample.py"), "--plan", str(plan), "--model", str(MODEL), "--shard", "0",
            "--journal", str(folder / "journal"), "--output", str(folder / "shard.parquet"), "--settings", SETTINGS, "--batch", "16"]  # fmt: skip


@pytest.fixture(scope="module")
def uninterrupted(plan: Path, tmp_path_factory: pytest.TempPathFactory) -> pl.DataFrame:
    folder = tmp_path_factory.mktemp("whole")
    sample_shard(
        plan, MODEL, 0, folder / "journal", folder / "shard.parquet", SamplerSettings("torch", "float32", 320, 24)
    )
    return read_table(folder / "shard.parquet", COMPLETIONS)


def journaled(folder: Path) -> int:
    return sum(path.read_bytes().count(b"\n") for path in (folder / "journal").glob("*.jsonl"))


def test_a_killed_sampler_goes_on_where_it_was(plan: Path, uninterrupted: pl.DataFrame, tmp_path: Path) -> None:
    kill_and_resume(plan, uninterrupted, tmp_path, kills=4, apart=25)


@pytest.mark.slow
def test_a_sampler_killed_at_every_turn_loses_and_doubles_nothing(
    plan: Path, uninterrupted: pl.DataFrame, tmp_path: Path
) -> None:
    kill_and_resume(plan, uninterrupted, tmp_path, kills=25, apart=4)


def kill_and_resume(plan: Path, uninterrupted: pl.DataFrame, folder: Path, kills: int, apart: int) -> None:
    """SIGKILL after a random number of samples, again and again; then one whole run."""
    rng = random.Random(11)
    for _ in range(kills):
        process = subprocess.Popen(sampler(plan, folder), stderr=subprocess.DEVNULL)
        aim = journaled(folder) + rng.randint(1, apart)
        while process.poll() is None and journaled(folder) < aim:
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert not (folder / "shard.parquet").exists()
    before = journaled(folder)
    assert before >= kills
    finished = subprocess.run(sampler(plan, folder), capture_output=True, text=True, check=True)
    assert f"{before} in the journal, {120 - before} to sample" in finished.stderr
    sealed = read_table(folder / "shard.parquet", COMPLETIONS)
    identical = ["request_id", "token_ids", "text", "finish_reason"]
    assert sealed.select(identical).equals(uninterrupted.select(identical))


def test_interrupting_keeps_the_journal_and_says_so(plan: Path, tmp_path: Path) -> None:
    process = subprocess.Popen(sampler(plan, tmp_path), stderr=subprocess.PIPE, text=True)
    while process.poll() is None and journaled(tmp_path) < 5:
        time.sleep(0.005)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode != 0
    assert "what is finished is kept" in said and "Traceback" not in said
    assert journaled(tmp_path) >= 5 and not (tmp_path / "shard.parquet").exists()


def test_a_grown_plan_samples_only_what_is_new(plan: Path, tmp_path: Path) -> None:
    whole = read_table(plan, PLAN)
    small = tmp_path / "plan.parquet"
    write_table(whole.head(40), small, PLAN)
    subprocess.run(sampler(small, tmp_path), check=True, capture_output=True)
    (tmp_path / "shard.parquet").unlink()  # Snakemake wipes declared outputs before it runs a rule again
    write_table(whole.head(60), small, PLAN)
    grown = subprocess.run(sampler(small, tmp_path), check=True, capture_output=True, text=True)
    assert "40 in the journal, 20 to sample" in grown.stderr
    (tmp_path / "shard.parquet").unlink()
    write_table(whole.head(30), small, PLAN)
    shrunk = subprocess.run(sampler(small, tmp_path), check=True, capture_output=True, text=True)
    assert "30 in the journal, 0 to sample" in shrunk.stderr
    assert read_table(tmp_path / "shard.parquet", COMPLETIONS).height == 30


def test_a_damaged_plan_is_a_sentence(tmp_path: Path) -> None:
    bad = tmp_path / "plan.parquet"
    bad.write_bytes(b"PAR1 this is no table")
    said = subprocess.run(sampler(bad, tmp_path), capture_output=True, text=True)
    assert said.returncode == 1
    assert said.stderr.startswith("error: ") and "cannot be read" in said.stderr and "Traceback" not in said.stderr


def test_another_number_of_shards_samples_nothing_anew(plan: Path, tmp_path: Path) -> None:
    whole = read_table(plan, PLAN).head(30)
    one, two = tmp_path / "one.parquet", tmp_path / "two.parquet"
    write_table(whole, one, PLAN)
    write_table(whole.with_columns(pl.lit(1, pl.Int32).alias("shard")), two, PLAN)
    settings = SamplerSettings("torch", "float32", 320, 24)
    sample_shard(one, MODEL, 0, tmp_path / "journal-0", tmp_path / "shard-0.parquet", settings)
    started = time.monotonic()
    sample_shard(two, MODEL, 1, tmp_path / "journal-1", tmp_path / "shard-1.parquet", settings)
    assert time.monotonic() - started < 1
    assert not list((tmp_path / "journal-1").glob("*.jsonl"))
    first, second = (read_table(tmp_path / f"shard-{n}.parquet", COMPLETIONS) for n in (0, 1))
    assert first.equals(second)
