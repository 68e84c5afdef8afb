"""What is in the journal is never lost, never doubled, and never believed when damaged."""

import errno
import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet as pq
import pytest

from selfdistill.foundation.errors import UserError
from selfdistill.sampling.journal import journal as journal_module
from selfdistill.sampling.journal.journal import Journal
from selfdistill.sampling.journal.segments import decode_line, encode_line
from selfdistill.tables.sampling import COMPLETIONS
from selfdistill.tables.schema import Schema
from selfdistill.tables.streams import TableWriter
from selfdistill.tables.whole import read_table, write_table

ROOT = Path(__file__).resolve().parents[3]
CAN_MOUNT = subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode == 0


def record(name: str, tokens: int = 2) -> dict[str, object]:
    return {"request_id": name, "token_ids": [*range(tokens)], "text": "é\n\" " * tokens, "n_tokens": tokens,
            "finish_reason": "stop", "logprob": -1.5, "engine": "torch", "engine_version": "x", "seconds": 0.1}  # fmt: skip


def write(folder: Path, names: str, tokens: int = 2) -> None:
    with Journal(folder, "torch") as journal:
        for name in names:
            journal.append(record(name, tokens))


def held(folder: Path) -> tuple[str, list[str]]:
    with Journal(folder, "torch") as journal:
        return "".join(sorted(journal.held())), journal.damaged


def seal(folder: Path, names: str) -> pl.DataFrame:
    with Journal(folder, "torch") as journal:
        journal.seal(pl.Series("request_id", list(names), pl.String), folder.parent / "shard.parquet")
    return read_table(folder.parent / "shard.parquet", COMPLETIONS)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "journal-0"


def segments(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("0*"))


def test_a_line_reads_back_and_no_damaged_line_does() -> None:
    line = encode_line(record("a"))
    assert decode_line(line) == record("a")
    for place in range(len(line)):
        for changed in (line[:place], line[:place] + bytes([line[place] ^ 1]) + line[place + 1 :]):
            assert decode_line(changed) is None, place


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_a_torn_last_line_costs_that_sample_only(folder: Path, cut: int) -> None:
    write(folder, "abc")
    segment = folder / "000000.jsonl"
    segment.write_bytes(segment.read_bytes()[:-cut])
    names, damaged = held(folder)
    assert names == "ab"
    assert "line 3: torn or damaged" in damaged[0]
    write(folder, "c")
    assert held(folder)[0] == "abc"


def test_a_flipped_byte_costs_that_sample_only(folder: Path) -> None:
    write(folder, "abc")
    segment = folder / "000000.jsonl"
    data = bytearray(segment.read_bytes())
    data[len(data) // 2] ^= 1
    segment.write_bytes(data)
    names, damaged = held(folder)
    assert names == "ac" and "line 2" in damaged[0]


def test_sealing_keeps_what_was_asked_for_and_folds_everything(folder: Path) -> None:
    write(folder, "dbc")
    write(folder, "ba")
    assert seal(folder, "abd")["request_id"].to_list() == ["a", "b", "d"]
    assert segments(folder) == ["000002.parquet"]
    write(folder, "e")
    assert held(folder)[0] == "abcde"
    assert seal(folder, "ce")["request_id"].to_list() == ["c", "e"]
    assert held(folder)[0] == "abcde"


def test_the_sealed_shard_does_not_depend_on_the_order_in_which_samples_finished(folder: Path, tmp_path: Path) -> None:
    names = [f"{number:03d}" for number in range(300)]
    bytes_of = []
    for seed in range(3):
        other = tmp_path / str(seed) / "journal-0"
        order = random.Random(seed).sample(names, len(names))
        for start in range(0, 300, 100 + 50 * seed):
            with Journal(other, "torch") as journal:
                for name in order[start : start + 100 + 50 * seed]:
                    journal.append(record(name, tokens=500))
        with Journal(other, "torch") as journal:
            journal.seal(pl.Series("request_id", names), other.parent / "shard.parquet")
        bytes_of.append((other.parent / "shard.parquet").read_bytes())
    assert bytes_of[0] == bytes_of[1] == bytes_of[2]


def test_lines_that_grow_long_are_folded_on_the_way(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_module, "FOLD_BYTES", 5_000)
    names = [chr(ord("A") + number) for number in range(40)]
    write(folder, "".join(names), tokens=50)
    assert len([name for name in segments(folder) if name.endswith(".parquet")]) >= 3
    assert sum(path.stat().st_size for path in folder.glob("*.jsonl")) <= 5_000
    assert held(folder) == ("".join(sorted(names)), [])
    assert seal(folder, "".join(names))["token_ids"].list.len().to_list() == [50] * 40


def test_more_segments_than_are_opened_at_once_become_one(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_module, "MERGED_AT_ONCE", 3)
    for name in "hgfedcba":
        write(folder, name)
    assert seal(folder, "abcdefg")["request_id"].to_list() == list("abcdefg")
    assert len(segments(folder)) == 1 and held(folder)[0] == "abcdefgh"


def test_killed_between_folding_and_removing_nothing_is_doubled(folder: Path) -> None:
    write(folder, "ab")
    lines = (folder / "000000.jsonl").read_bytes()
    rows = [record(name) for name in "ab"]
    write_table(pl.DataFrame(rows, schema=COMPLETIONS), folder / "000000.parquet", COMPLETIONS)
    (folder / "000000.jsonl").write_bytes(lines)
    (folder / ".000001.parquet.77.part").write_bytes(b"PAR1 half")
    assert held(folder) == ("ab", [])
    assert segments(folder) == ["000000.parquet"] and not list(folder.glob(".*.part"))


def test_killed_while_folding_into_a_table_that_lost_rows_the_lines_stay(folder: Path) -> None:
    write(folder, "ab")
    write_table(pl.DataFrame([record("a")], schema=COMPLETIONS), folder / "000000.parquet", COMPLETIONS)
    assert held(folder) == ("ab", [])
    assert segments(folder) == ["000000.damaged", "000000.jsonl"]
    assert seal(folder, "ab")["request_id"].to_list() == ["a", "b"]


class ForgetfulWriter(TableWriter):
    """Loses the last row of every piece."""

    def write(self, frame: pl.DataFrame) -> None:
        super().write(frame.head(-1))


class ScratchingWriter(TableWriter):
    """Changes a byte of the first page, just before the second column."""

    def __exit__(self, *ended: Any) -> None:
        super().__exit__(*ended)
        second = pq.ParquetFile(self.path).metadata.row_group(0).column(1)
        data = bytearray(self.path.read_bytes())
        data[(second.dictionary_page_offset or second.data_page_offset) - 2] ^= 1
        self.path.write_bytes(data)


class CuttingWriter(TableWriter):
    """Stops half way."""

    def __exit__(self, *ended: Any) -> None:
        super().__exit__(*ended)
        self.path.write_bytes(self.path.read_bytes()[:-100])


@pytest.mark.parametrize("writer", [ForgetfulWriter, ScratchingWriter, CuttingWriter])
def test_no_line_is_removed_before_the_table_it_went_into_has_been_read_back(
    folder: Path, writer: type[TableWriter], monkeypatch: pytest.MonkeyPatch
) -> None:
    names = "abcdefgh"
    write(folder, names, tokens=200)
    before = (folder / "000000.jsonl").read_bytes()
    monkeypatch.setattr(journal_module, "TableWriter", writer)
    with pytest.raises(UserError, match=r"000001\.parquet: does not read back as it was written"):
        seal(folder, names)
    assert segments(folder) == ["000000.jsonl"] and (folder / "000000.jsonl").read_bytes() == before
    monkeypatch.setattr(journal_module, "FOLD_BYTES", 1)
    with pytest.raises(UserError, match=r"000001\.parquet: does not read back"):
        write(folder, "z", tokens=200)
    assert segments(folder) == ["000000.jsonl", "000001.jsonl"]
    monkeypatch.undo()
    assert held(folder) == (f"{names}z", [])
    assert seal(folder, f"{names}z")["request_id"].to_list() == [*names, "z"]
    assert segments(folder) == ["000002.parquet"]


def test_a_flipped_byte_in_a_folded_segment_costs_one_piece(folder: Path) -> None:
    with Journal(folder, "torch") as journal:
        for number in range(6):
            journal.append(record(f"r{number}", tokens=40_000))  # two of these make a piece
    names = [f"r{number}" for number in range(6)]
    with Journal(folder, "torch") as journal:
        journal.seal(pl.Series("request_id", names), folder.parent / "shard.parquet")
    segment = folder / "000001.parquet"
    data = bytearray(segment.read_bytes())
    data[len(data) // 2] ^= 1
    segment.write_bytes(data)
    with Journal(folder, "torch") as journal:
        whole = sorted(journal.held())
        assert 3 <= len(whole) <= 4 and "piece 2: damaged; its 2 samples are lost" in journal.damaged[0]
        for name in set(names) - set(whole):
            journal.append(record(name, tokens=40_000))
        assert journal.held().sort().to_list() == names
        journal.seal(pl.Series("request_id", names), folder.parent / "shard.parquet")
    assert read_table(folder.parent / "shard.parquet", COMPLETIONS)["n_tokens"].to_list() == [40_000] * 6


def test_every_flipped_byte_of_a_folded_segment_is_noticed_or_harmless(folder: Path) -> None:
    write(folder, "ab")
    before = seal(folder, "ab")
    segment = folder / "000001.parquet"
    data = segment.read_bytes()
    noticed = 0
    for place in range(0, len(data), 3):
        changed = bytearray(data)
        changed[place] ^= 1 << (place % 8)
        for path in folder.glob("*.damaged"):
            path.unlink()
        segment.write_bytes(changed)
        names, damaged = held(folder)
        noticed += bool(damaged)
        if names == "ab":
            assert seal(folder, "ab").equals(before), place
        assert names in ("ab", "") and (names == "ab" or damaged)
        if not segment.exists():
            shutil.rmtree(folder)
            folder.mkdir()
    assert noticed > len(data) / 3 / 2


def test_a_segment_that_cannot_be_opened_is_set_aside_and_named(folder: Path) -> None:
    write(folder, "ab")
    seal(folder, "ab")
    segment = folder / "000001.parquet"
    segment.write_bytes(segment.read_bytes()[:-20])
    names, damaged = held(folder)
    assert names == "" and "set aside as 000001.damaged" in damaged[0]
    assert held(folder) == ("", [])
    assert (folder / "000001.damaged").exists()
    write(folder, "ab")
    assert held(folder)[0] == "ab"


def test_a_disk_that_fails_to_read_is_not_taken_for_damage(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(folder, "ab")
    seal(folder, "ab")

    def fails(*given: object, **named: object) -> None:
        raise OSError(errno.ESTALE, "Stale file handle")

    monkeypatch.setattr("pyarrow.parquet.ParquetFile", fails)
    with pytest.raises((OSError, UserError), match="Stale file handle"):
        held(folder)
    monkeypatch.undo()
    assert held(folder) == ("ab", [])


def test_a_table_with_a_damaged_piece_is_kept_aside_when_it_is_folded(folder: Path) -> None:
    with Journal(folder, "torch") as journal:
        for number in range(4):
            journal.append(record(f"r{number}", tokens=40_000))
        journal.seal(pl.Series("request_id", [f"r{number}" for number in range(4)]), folder.parent / "shard.parquet")
    data = bytearray((folder / "000001.parquet").read_bytes())
    data[len(data) // 4] ^= 1
    (folder / "000001.parquet").write_bytes(data)
    write(folder, "z")
    seal(folder, "z")
    assert (folder / "000001.damaged").read_bytes() == data
    assert held(folder)[0] == "r2r3z"


def test_a_journal_without_a_note_belongs_to_whoever_drew_its_samples(folder: Path) -> None:
    write(folder, "a")
    (folder / "journal.json").unlink()
    with pytest.raises(UserError, match="drawn by the torch engine"), Journal(folder, "vllm"):
        pass
    seal(folder, "a")
    (folder / "journal.json").unlink()
    with pytest.raises(UserError, match="drawn by the torch engine"), Journal(folder, "vllm"):
        pass


def test_a_file_system_without_locks_is_a_sentence(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*given: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", fails)
    with pytest.raises(UserError, match="keeps no locks"), Journal(folder, "torch"):
        pass


def test_adopting_finds_what_is_folded_meanwhile_and_leaves_out_what_is_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "journal-0", "ab")
    write(tmp_path / "journal-0", "cd")
    real = journal_module.Lines
    folded: list[Path] = []

    def fold_first(path: Path, schema: Schema) -> journal_module.Lines:
        if not folded:
            folded.append(path)
            monkeypatch.setattr(journal_module, "Lines", real)
            seal(tmp_path / "journal-0", "abcd")
        return real(path, schema)

    monkeypatch.setattr(journal_module, "Lines", fold_first)
    with Journal(tmp_path / "journal-1", "torch") as journal:
        journal.adopt(pl.Series("request_id", ["a", "c", "x"]))
        assert journal.held().to_list() == ["a", "c"]

    write(tmp_path / "journal-0", "e")
    damaged = tmp_path / "journal-0/000002.parquet"
    damaged.write_bytes(damaged.read_bytes()[:-9])
    (tmp_path / "journal-0.tar").write_bytes(b"no journal")
    with Journal(tmp_path / "journal-2", "torch") as journal:
        journal.adopt(pl.Series("request_id", ["b", "e"]))
        assert journal.held().to_list() == ["e"]
        assert "It was not adopted from" in journal.damaged[0]
    assert damaged.exists()


def test_a_second_sampler_is_told_and_leaves(folder: Path) -> None:
    with (
        Journal(folder, "torch"),
        pytest.raises(UserError, match="another sampler is writing this journal"),
        Journal(folder, "torch"),
    ):
        pass


def test_a_journal_of_another_engine_is_refused_with_the_reason(folder: Path) -> None:
    write(folder, "a")
    with pytest.raises(UserError, match="drawn by the torch engine and now vllm is asked for"), Journal(folder, "vllm"):
        pass
    assert held(folder)[0] == "a"


def test_a_journal_that_does_not_say_whose_it_is_is_refused(folder: Path) -> None:
    write(folder, "a")
    (folder / "journal.json").write_text("{")
    with pytest.raises(UserError, match="write which engine drew the samples"), Journal(folder, "torch"):
        pass


def test_samples_of_other_shards_are_adopted_but_not_another_engines(tmp_path: Path) -> None:
    write(tmp_path / "journal-0", "abc")
    write(tmp_path / "journal-1", "de")
    seal(tmp_path / "journal-1", "de")
    with Journal(tmp_path / "journal-2", "torch") as journal:
        journal.adopt(pl.Series("request_id", ["b", "d", "x"]))
        assert sorted(journal.held()) == ["b", "d"]
    with Journal(tmp_path / "journal-3", "vllm") as journal:
        journal.adopt(pl.Series("request_id", ["b", "d", "x"]))
        assert len(journal.held()) == 0
    assert held(tmp_path / "journal-0")[0] == "abc"


def test_a_failing_write_is_a_sentence_and_keeps_what_was_written() -> None:
    """/dev/full takes every byte and then says that the disk is full."""
    journal = Journal(Path("/tmp"), "torch")
    journal._writer, journal._synced = os.open("/dev/full", os.O_WRONLY), 0.0
    with pytest.raises(UserError, match=r"No space left on device.*every sample that was finished before is safe"):
        journal.append(record("a"))
    os.close(journal._writer)


FILL = """
import json, sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from selfdistill.foundation.programs import as_program
from selfdistill.sampling.journal.journal import Journal
def main():
    with Journal(Path(sys.argv[2]), "torch") as journal:
        for number in range(100_000):
            journal.append(json.loads(sys.argv[3]) | {"request_id": f"r{number:06d}"})
            print(number, flush=True)
as_program(main)
"""


@pytest.mark.skipif(not CAN_MOUNT, reason="mounting needs more rights")
def test_a_disk_that_fills_up_loses_no_finished_sample(tmp_path: Path) -> None:
    """A real file system of 300 kB, filled to its last byte, then made larger and gone on with."""
    disk = tmp_path / "disk"
    disk.mkdir()
    program = [
        sys.executable,
        "-c",
        FILL,
        str(ROOT / "workflow_scripts"),
        str(disk / "journal-0"),
        json.dumps(record("r", 90)),
    ]
    script = f"""
        mount -t tmpfs -o size=300k none {disk}
        "$@" > {tmp_path}/first.out 2> {tmp_path}/first.err; echo $? > {tmp_path}/first.code
        cp -r {disk}/journal-0 {tmp_path}/journal-0
    """
    subprocess.run(["unshare", "--mount", "sh", "-c", script, "sh", *program], check=True, timeout=60)
    assert (tmp_path / "first.code").read_text() == "1\n"
    said = (tmp_path / "first.err").read_text()
    assert said.startswith("error: ") and "No space left on device" in said and "Traceback" not in said
    written = (tmp_path / "first.out").read_text().split()
    assert len(written) > 50
    names, damaged = held(tmp_path / "journal-0")
    assert names == "".join(f"r{int(number):06d}" for number in written)
    assert len(damaged) <= 1 and all("torn" in complaint for complaint in damaged)


@pytest.mark.skipif(not CAN_MOUNT, reason="mounting needs more rights")
def test_a_disk_too_full_to_seal_keeps_the_journal(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    program = """
import sys
sys.path.insert(0, sys.argv[1]); sys.path.insert(0, sys.argv[3])
import polars as pl, random
from pathlib import Path
from selfdistill.foundation.programs import as_program
from selfdistill.sampling.journal.journal import Journal
from test_journal import record
def main():
    rng = random.Random(0)
    with Journal(Path(sys.argv[2]) / "journal-0", "torch") as journal:
        names = [f"r{number:03d}" for number in range(40)]
        for name in names:
            journal.append(record(name) | {"token_ids": [rng.getrandbits(30) for _ in range(200)]})
        journal.seal(pl.Series("request_id", names), Path(sys.argv[2]) / "shard.parquet")
as_program(main)
"""
    script = f"""
        mount -t tmpfs -o size=112k none {disk}
        "$@" 2> {tmp_path}/err; echo $? > {tmp_path}/code
        ls -A {disk} > {tmp_path}/files; cp -r {disk}/journal-0 {tmp_path}/journal-0
    """
    command = [sys.executable, "-c", program, str(ROOT / "workflow_scripts"), str(disk), str(Path(__file__).parent)]
    subprocess.run(["unshare", "--mount", "sh", "-c", script, "sh", *command], check=True, timeout=60)
    said = (tmp_path / "err").read_text()
    assert (tmp_path / "code").read_text() == "1\n" and "No space left on device" in said and "Traceback" not in said
    assert (tmp_path / "files").read_text().split() == ["journal-0"]
    assert len(held(tmp_path / "journal-0")[0]) == 40 * 4
