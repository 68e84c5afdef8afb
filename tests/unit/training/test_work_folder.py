"""Claims about the work folder: a finished training is never lost, and one process at a time is at it."""

import json
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from selfdistill.foundation.errors import UserError
from selfdistill.tables.training import RUN_LOG
from selfdistill.tables.whole import read_table
from selfdistill.training.handover import finished as finished_module
from selfdistill.training.handover.checkpoints import WorkFolder
from selfdistill.training.handover.exports import BASE_LOGPROBS_FILE, TRAINED_LOGPROBS_FILE
from selfdistill.training.handover.finished import FinishedRun
from selfdistill.training.handover.steps import StepJournal
from selfdistill.training.run import Stopped, train_run
from training_fixture import assert_same_results, settings, training_command

pytestmark = pytest.mark.xdist_group("trainer")

EXPORTS = {"at-025": 2, "at-050": 3, "at-075": 4, "at-100": 6}
Harm = Callable[[Path], object]


@pytest.fixture(scope="module")
def trained(model: Path, dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run: `out` and `work`."""
    folder = tmp_path_factory.mktemp("trained")
    train_run(model, dataset, settings(), folder / "out", folder / "work")
    return folder


@pytest.fixture
def work(trained: Path, tmp_path: Path) -> Path:
    return shutil.copytree(trained / "work", tmp_path / "work")


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def must_not_train(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("selfdistill.training.run.build_trainer", lambda *_: pytest.fail("it trained again"))


# A finished training is never lost


@pytest.mark.parametrize("unreadable", ["finished/manifest.json", "finished/log.parquet", "settings.json"])
def test_what_cannot_be_read_now_is_left_as_it_is(
    model: Path, dataset: Path, work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unreadable: str
) -> None:
    """A folder where the file was: reading it is an error of the file system, as on a disk that does not answer."""
    must_not_train(monkeypatch)
    (work / unreadable).rename(tmp_path / "kept")
    (work / unreadable).mkdir()
    before = content(work)
    with pytest.raises(
        UserError, match=r"cannot be read or written \(Is a directory\); nothing of this training was removed"
    ):
        train_run(model, dataset, settings(), tmp_path / "out", work)
    assert content(work) == before and not (tmp_path / "out").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kept", "work", "work.lock"]


def of_another_version(work: Path, digests: bool) -> None:
    """Tables with other columns than today's; a manifest with their digests, or an old one without."""
    log = work / "finished" / "log.parquet"
    pl.read_parquet(log).drop("entropy").with_columns(more=1).write_parquet(log)
    manifest = json.loads((work / "finished/manifest.json").read_text())
    tables = manifest.pop("tables")
    if digests:
        manifest["tables"] = FinishedRun(work / "finished", work / "exports").table_digests(EXPORTS)
        assert manifest["tables"].keys() == tables.keys() and manifest["tables"] != tables
    (work / "finished/manifest.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize("digests", [True, False])
def test_columns_of_another_version_do_not_unfinish_a_training(
    model: Path, dataset: Path, work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, digests: bool
) -> None:
    must_not_train(monkeypatch)
    of_another_version(work, digests)
    before = content(work)
    train_run(model, dataset, settings(), tmp_path / "out", work)
    assert content(work) == before
    assert "more" in pl.read_parquet(tmp_path / "out/log.parquet").columns


def a_byte_of(name: str) -> Harm:
    def harm(work: Path) -> None:
        content = bytearray((work / name).read_bytes())
        content[-1] ^= 1
        (work / name).write_bytes(content)

    return harm


def gone(name: str) -> Harm:
    return lambda work: shutil.rmtree(work / name) if (work / name).is_dir() else (work / name).unlink()


def without_digests(harm: Harm) -> Harm:
    def both(work: Path) -> None:
        manifest = json.loads((work / "finished/manifest.json").read_text())
        del manifest["tables"]
        (work / "finished/manifest.json").write_text(json.dumps(manifest))
        harm(work)

    return both


def cut_short(name: str) -> Harm:
    return lambda work: (work / name).write_bytes((work / name).read_bytes()[:-9])


HARMED = {
    "a model's weights": (a_byte_of("exports/at-100/model.safetensors"), "the digest of at-100 is another one"),
    "a model": (gone("exports/at-050"), "at-050 is no model folder any more"),
    "a table": (a_byte_of("finished/noise.parquet"), r"the digest of noise\.parquet is another one"),
    "a table gone": (gone("finished/log.parquet"), r"log\.parquet is gone"),
    "log-probabilities": (gone(f"exports/at-025/{TRAINED_LOGPROBS_FILE}"), r"at-025/trained_logprobs\.parquet is gone"),
    "the manifest": (cut_short("finished/manifest.json"), r"manifest\.json cannot be read"),
    "the manifest gone": (gone("finished/manifest.json"), "neither a checkpoint nor the manifest is there"),
    "a table of old": (without_digests(cut_short("finished/log.parquet")), r"log\.parquet cannot be read"),
    "a table of old gone": (without_digests(gone("finished/log.parquet")), r"log\.parquet is gone"),
}  # fmt: skip


@pytest.mark.parametrize("what", HARMED)
def test_harm_to_a_finished_training_is_seen(work: Path, what: str) -> None:
    harm, sentence = HARMED[what]
    assert WorkFolder(work).harm(EXPORTS) is None
    harm(work)
    with pytest.raises(AssertionError, match=sentence):
        raise AssertionError(WorkFolder(work).harm(EXPORTS))


def test_a_harmed_training_is_set_aside_whole_and_done_anew(
    model: Path, dataset: Path, work: Path, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    a_byte_of("exports/at-100/model.safetensors")(work)
    before = content(work)
    train_run(model, dataset, settings(), tmp_path / "out", work)
    assert content(tmp_path / "work.damaged-1") == before
    assert_same_results(tmp_path / "out", trained / "out")
    said = capsys.readouterr().err
    assert f"the digest of at-100 is another one. It was set aside as {tmp_path / 'work.damaged-1'}" in said
    assert "training ssd: 6 steps" in said


def test_what_was_set_aside_as_damaged_never_comes_back(
    model: Path, dataset: Path, work: Path, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even when other settings came between, whose folder is left for the one that was whole."""
    shutil.copytree(work, tmp_path / "work.damaged-1")
    a_byte_of("finished/log.parquet")(tmp_path / "work.damaged-1")
    with pytest.raises(Stopped):
        train_run(model, dataset, settings(lr=2e-3), tmp_path / "other", work, lambda: True)
    must_not_train(monkeypatch)
    train_run(model, dataset, settings(), tmp_path / "out", work)
    assert_same_results(tmp_path / "out", trained / "out")


@pytest.fixture
def stopped(model: Path, dataset: Path, tmp_path: Path) -> Path:
    """A work folder with a checkpoint after step 3, two exported models and three journalled steps."""
    steps = iter([False, False, True])
    with pytest.raises(Stopped):
        train_run(model, dataset, settings(), tmp_path / "out", tmp_path / "work", lambda: next(steps))
    assert (tmp_path / "work/checkpoint-3").is_dir()
    return tmp_path / "work"


@pytest.mark.parametrize(
    ("harm", "sentence"),
    [
        (gone("exports/at-025"), "checkpoint-3 is there and the model exported before it as at-025 is gone"),
        (cut_short("steps.jsonl"), "checkpoint-3 is there and the journal of its steps ends at step 2"),
    ],
)
def test_a_checkpoint_that_cannot_be_gone_on_from_is_set_aside_and_not_removed(
    model: Path, dataset: Path, stopped: Path, capsys: pytest.CaptureFixture[str], harm: Harm, sentence: str
) -> None:
    harm(stopped)
    before = content(stopped)
    with pytest.raises(Stopped):
        train_run(model, dataset, settings(), stopped.parent / "out", stopped, lambda: True)
    assert content(stopped.with_name("work.damaged-1")) == before
    assert sentence in capsys.readouterr().err


def test_a_run_that_was_killed_before_its_first_checkpoint_leaves_nothing_aside(
    model: Path, dataset: Path, stopped: Path
) -> None:
    """What its few steps left is made again."""
    shutil.rmtree(stopped / "checkpoint-3")
    train_run(model, dataset, settings(), stopped.parent / "out", stopped)
    assert not list(stopped.parent.glob("work.*-*"))


def test_a_run_that_began_without_the_bases_log_probabilities_goes_on_without_them(
    model: Path, dataset: Path, stopped: Path, trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As one that an earlier version began: after its first step nobody can write them down any more."""
    (stopped / BASE_LOGPROBS_FILE).unlink()
    (stopped / "exports/at-025" / BASE_LOGPROBS_FILE).unlink()
    train_run(model, dataset, settings(), stopped.parent / "out", stopped)
    assert "going on after step 3 of 6" in capsys.readouterr().err
    assert_same_results(stopped.parent / "out", trained / "out")
    assert not (stopped.parent / "out/at-025" / BASE_LOGPROBS_FILE).exists()


def test_a_checkpoint_gets_its_name_before_the_one_before_it_goes(
    stopped: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And one of the same name is never removed to make room."""
    work = WorkFolder(stopped)
    written = shutil.copytree(stopped / "checkpoint-3", work.unfinished / "checkpoint-4")
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError("the disk is gone")))
    with pytest.raises(OSError, match="the disk is gone"):
        work.seal_checkpoint(written)
    assert (stopped / "checkpoint-3/trainer_state.json").is_file()
    monkeypatch.undo()
    with pytest.raises(OSError):
        work.seal_checkpoint(shutil.copytree(stopped / "checkpoint-3", work.unfinished / "checkpoint-3"))
    assert (stopped / "checkpoint-3/trainer_state.json").is_file()


# What a power cut would leave


def test_everything_is_on_the_disk_before_the_manifest_says_so(
    work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each file before it gets its public name, and each name before the manifest gets its own."""
    synced: set[int] = set()
    named: list[Path] = []
    fsync, replace = os.fsync, os.replace

    def noting_fsync(handle: int) -> None:
        synced.add(os.fstat(handle).st_ino)
        fsync(handle)

    def noting_replace(source: Path, target: Path) -> None:
        inside = [source, *source.rglob("*")] if source.is_dir() else [source]
        assert {path.stat().st_ino for path in inside} <= synced, f"{target} was named before it was on the disk"
        if target.name == "manifest.json":
            assert {path.name for path in out.iterdir() if path != source} >= {*EXPORTS, "log.parquet"}
            assert out.stat().st_ino in synced, "names are on the disk only with their folder"
        synced.discard(out.stat().st_ino)
        named.append(target)
        replace(source, target)

    monkeypatch.setattr("os.fsync", noting_fsync)
    monkeypatch.setattr("os.replace", noting_replace)
    out = tmp_path / "out"
    WorkFolder(work).result.publish_to(out, EXPORTS)
    assert len(named) == 2 * len(EXPORTS) + 6 and named[-1] == out / "manifest.json"
    assert out.stat().st_ino in synced


def test_a_large_table_is_linked_and_the_manifest_is_a_copy(
    work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result, out = WorkFolder(work).result, tmp_path / "out"
    result.publish_to(out, EXPORTS)
    assert not (out / "log.parquet").samefile(result.folder / "log.parquet")
    monkeypatch.setattr(finished_module, "LARGE", (result.folder / "log.parquet").stat().st_size - 1)
    result.publish_to(out, EXPORTS)
    assert (out / "log.parquet").samefile(result.folder / "log.parquet") and not list(out.glob(".*"))


def test_a_publication_that_was_killed_leaves_nothing_behind(
    work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise SystemExit

    result, out = WorkFolder(work).result, tmp_path / "out"
    (out / ".at-025.part").mkdir(parents=True)
    (out / ".log.parquet.4711.part").touch()
    result.publish_to(out, EXPORTS)
    assert not list(out.glob(".*"))
    monkeypatch.setattr(finished_module, "publish", killed)
    with pytest.raises(SystemExit):
        result.publish_to(out, EXPORTS)
    assert not (out / "manifest.json").exists(), "a folder with a manifest is a finished run"


# One process at a time


def test_a_second_trainer_is_refused_and_touches_nothing(
    model: Path, dataset: Path, trained: Path, tmp_path: Path
) -> None:
    """The first is stopped in the middle of its fourth step, and later killed there; then the second goes on."""
    first = subprocess.Popen(
        training_command(model, dataset, tmp_path, signalled=("SIGSTOP", "_clip_grad_norm", 3)),
        stderr=subprocess.DEVNULL, env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    try:
        os.waitid(os.P_PID, first.pid, os.WSTOPPED)
        before = content(tmp_path)
        second = subprocess.run(training_command(model, dataset, tmp_path), capture_output=True, text=True, timeout=120)
        assert second.returncode == 1
        assert second.stderr == (
            f"error: {tmp_path / 'work'}: process {first.pid} on {socket.gethostname()} is training in this folder; wait for "
            "its end, or stop it and run the same command to go on from its last checkpoint.\n"
        )
        assert content(tmp_path) == before and len(StepJournal(tmp_path / "work/steps.jsonl").rows()) == 3
    finally:
        first.send_signal(signal.SIGKILL)
        first.wait()
    second = subprocess.run(training_command(model, dataset, tmp_path), capture_output=True, text=True, timeout=120)
    assert second.returncode == 0 and "going on after step 2 of 6" in second.stderr, second.stderr
    assert_same_results(tmp_path / "out", trained / "out")
    assert read_table(tmp_path / "out/log.parquet", RUN_LOG).height == 6


def test_the_lock_holds_although_the_folder_is_set_aside_under_it(tmp_path: Path) -> None:
    work = WorkFolder(tmp_path / "work")
    with work.locked():
        work.claim("one", {})
        work.claim("other", {})
        assert (tmp_path / "work.old-1").is_dir()
        with pytest.raises(UserError, match="is training in this folder"), WorkFolder(tmp_path / "work").locked():
            pass
