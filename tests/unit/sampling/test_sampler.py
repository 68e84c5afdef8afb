"""The sampler around an engine: what it refuses, what it leaves alone, and that it goes on after an interruption."""

import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from lab_requests import MODEL, sample_command, write_plan
from selfdistill.foundation.errors import UserError
from selfdistill.sampling import sampler as sampler_module
from selfdistill.sampling.sampler import SamplerSettings, sample_shard
from selfdistill.tables.sampling import COMPLETIONS, PLAN
from selfdistill.tables.whole import read_table, write_table

SETTINGS = SamplerSettings("torch", "float32", 320, batch=24)


def test_interrupting_keeps_the_journal_and_says_so(tmp_path: Path) -> None:
    plan = write_plan(tmp_path / "plan.parquet", 2000)  # so many that it is not over before it is interrupted
    process = subprocess.Popen(
        sample_command(plan, tmp_path), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    lines = tmp_path / "journal-0/000000.jsonl"
    while process.poll() is None and not (lines.exists() and lines.read_bytes().count(b"\n") >= 5):
        time.sleep(0.005)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode != 0
    assert "what is finished is kept" in said and "Traceback" not in said
    assert lines.read_bytes().count(b"\n") >= 5 and not (tmp_path / "shard-0.parquet").exists()


def test_a_second_sampler_on_one_shard_says_so_and_exits(tmp_path: Path) -> None:
    """The first is stopped for as long as the second needs, which may be longer than the first would run."""
    plan = write_plan(tmp_path / "plan.parquet", 240)
    first = subprocess.Popen(sample_command(plan, tmp_path), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while first.poll() is None and not list((tmp_path / "journal-0").glob("*.jsonl")):
            time.sleep(0.005)
        first.send_signal(signal.SIGSTOP)
        second = subprocess.run(sample_command(plan, tmp_path), capture_output=True, text=True, timeout=60)
        assert second.returncode == 1
        assert second.stderr.startswith("error: ") and "another sampler is writing this journal" in second.stderr
    finally:
        first.send_signal(signal.SIGCONT)
        first.wait(timeout=300)
    assert first.returncode == 0
    assert read_table(tmp_path / "shard-0.parquet", COMPLETIONS).height == 240


def test_a_damaged_plan_is_a_sentence(tmp_path: Path) -> None:
    bad = tmp_path / "plan.parquet"
    bad.write_bytes(b"PAR1 this is no table")
    said = subprocess.run(sample_command(bad, tmp_path), capture_output=True, text=True)
    assert said.returncode == 1
    assert said.stderr.startswith("error: ") and "cannot be read" in said.stderr and "Traceback" not in said.stderr


def test_a_request_that_does_not_fit_the_context_is_refused_before_anything_runs(tmp_path: Path) -> None:
    plan = write_plan(tmp_path / "plan.parquet", 2, max_tokens=400)
    with pytest.raises(UserError, match="do not fit the context of 320"):
        sample_shard(plan, MODEL, 0, tmp_path / "journal-0", tmp_path / "shard-0.parquet", SETTINGS)
    assert not (tmp_path / "journal-0").exists()


def test_another_number_of_shards_samples_nothing_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = write_plan(tmp_path / "one.parquet", 30)
    two = write_plan(tmp_path / "two.parquet", 30, shard=1)
    sample_shard(one, MODEL, 0, tmp_path / "journal-0", tmp_path / "shard-0.parquet", SETTINGS)
    monkeypatch.setattr(sampler_module, "open_engine", lambda name, settings: pytest.fail("nothing is left to sample"))
    sample_shard(two, MODEL, 1, tmp_path / "journal-1", tmp_path / "shard-1.parquet", SETTINGS)
    first, second = (read_table(tmp_path / f"shard-{n}.parquet", COMPLETIONS) for n in (0, 1))
    assert first.equals(second)


def test_requests_that_are_asked_for_twice_are_sampled_once(tmp_path: Path) -> None:
    plan = write_plan(tmp_path / "plan.parquet", 5)
    rows = read_table(plan, PLAN)
    write_table(pl.concat([rows, rows.with_columns(decode_id=pl.lit("same"))]), plan, PLAN)
    sample_shard(plan, MODEL, 0, tmp_path / "journal-0", tmp_path / "shard-0.parquet", SETTINGS)
    assert read_table(tmp_path / "shard-0.parquet", COMPLETIONS).height == 5


def test_an_engine_is_started_once_for_all_decodes_of_a_shard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = tmp_path / "plan.parquet"
    frames = []
    for name, temperature in (("t07", 0.7), ("t10", 1.0), ("t15", 1.5)):
        rows = read_table(write_plan(plan, 4, temperature=temperature), PLAN)
        frames.append(
            rows.with_columns(decode_id=pl.lit(name), request_id=pl.format("{}-{}", pl.lit(name), "request_id"))
        )
    write_table(pl.concat(frames), plan, PLAN)
    started: list[Any] = []
    real = sampler_module.open_engine

    def counted(*given: Any) -> Any:
        started.append(given)
        return real(*given)

    monkeypatch.setattr(sampler_module, "open_engine", counted)
    sample_shard(plan, MODEL, 0, tmp_path / "journal-0", tmp_path / "shard-0.parquet", SETTINGS)
    assert len(started) == 1
    assert read_table(tmp_path / "shard-0.parquet", COMPLETIONS).height == 12


def test_the_sampled_text_is_the_tokens_without_the_end_token(tmp_path: Path) -> None:
    from tokenizers import Tokenizer

    plan = write_plan(tmp_path / "plan.parquet", 8)
    sample_shard(plan, MODEL, 0, tmp_path / "journal-0", tmp_path / "shard-0.parquet", SETTINGS)
    tokenizer = Tokenizer.from_file(str(MODEL / "tokenizer.json"))
    for row in read_table(tmp_path / "shard-0.parquet", COMPLETIONS).iter_rows(named=True):
        whole = tokenizer.decode(row["token_ids"], skip_special_tokens=False)
        assert whole == row["text"] + ("<|im_end|>" if row["finish_reason"] == "stop" else "")
        assert row["n_tokens"] == len(row["token_ids"]) and row["logprob"] < 0
