"""Claims about locks: one holder at a time, known by name, and free the moment it is gone, however it went."""

import errno
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from conftest import ROOT
from selfdistill.foundation.errors import UserError
from selfdistill.foundation.locks import held

SCRIPTS = str(ROOT / "workflow_scripts")
HOLDER = """
import sys
import time
sys.path.insert(0, {scripts!r})
from pathlib import Path
from selfdistill.foundation.locks import held
with held(Path(sys.argv[1])):
    {meanwhile}
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def holder(lock: Path, meanwhile: str = "pass") -> Iterator[subprocess.Popen[str]]:
    """A process that holds the lock until its input ends; its children are in its group, so that none outlives the test."""
    program = HOLDER.format(scripts=SCRIPTS, meanwhile=meanwhile)
    started = subprocess.Popen(
        [sys.executable, "-c", program, str(lock)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    try:
        assert started.stdout is not None and started.stdout.readline() == "held\n"
        yield started
    finally:
        os.killpg(started.pid, signal.SIGKILL)
        started.communicate()


def busy(who: str) -> str:
    return f"{who} is at it; wait."


def test_a_second_process_is_told_who_holds_the_lock(tmp_path: Path) -> None:
    lock = tmp_path / "new" / "lock"
    with holder(lock) as other:
        with pytest.raises(UserError) as refused, held(lock, busy):
            pass
        assert str(refused.value) == f"process {other.pid} on {socket.gethostname()} is at it; wait."


def test_a_killed_holder_gives_the_lock_back_and_its_children_keep_nothing(tmp_path: Path) -> None:
    """A child that was forked and one that runs another program both outlive it."""
    lock = tmp_path / "lock"
    children = "import os, subprocess, time; subprocess.Popen(['sleep', '600'])\n    if not os.fork(): time.sleep(600)"
    with holder(lock, children) as other:
        os.kill(other.pid, signal.SIGKILL)
        other.wait()
        # A child that was just being forked may have it for a moment yet; one that kept it would have it for minutes.
        until = time.monotonic() + 60
        while True:
            try:
                with held(lock, busy):
                    assert lock.read_text() == f"process {os.getpid()} on {socket.gethostname()}\n"
                    break
            except UserError:
                assert time.monotonic() < until, "a child kept the lock"
                time.sleep(0.05)


def test_without_a_sentence_the_second_waits_for_the_first(tmp_path: Path) -> None:
    with holder(tmp_path / "lock") as first:
        program = HOLDER.replace("with held", "print('asking', flush=True)\nwith held").format(
            scripts=SCRIPTS, meanwhile="pass"
        )
        second = subprocess.Popen(
            [sys.executable, "-c", program, str(tmp_path / "lock")],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert second.stdout is not None and second.stdout.readline() == "asking\n"
        with pytest.raises(subprocess.TimeoutExpired):
            second.wait(timeout=0.5)
        first.kill()
        assert second.communicate()[0] == "held\n"


def test_the_lock_is_free_after_the_block_whatever_happened_in_it(tmp_path: Path) -> None:
    for _ in range(2):
        with pytest.raises(ZeroDivisionError), held(tmp_path / "lock", busy):
            1 / 0  # noqa: B018


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_a_sentence_and_no_pretended_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def fails(*given: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr("fcntl.flock", fails)
    sentence = rf"{tmp_path}: this file system keeps no locks \({os.strerror(code)}\); mount it"
    with pytest.raises(UserError, match=sentence), held(tmp_path / "lock", busy):
        pass


def test_a_folder_that_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    sentence = r"file: cannot write here \((File exists|Not a directory)\)"
    with pytest.raises(UserError, match=sentence), held(tmp_path / "file" / "lock", busy):
        pass
