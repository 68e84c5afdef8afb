"""Locks on GPUs, by which the processes of a machine share them, whoever's they are.

One file per card, in one folder for all users, locked by the kernel: however a process dies, its cards are free again. No
plain lock: it is taken for several cards at once or not at all, and in a folder where other users may not be trusted.
"""

import fcntl
import os
import random
import stat
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from selfdistill.foundation.errors import UserError
from selfdistill.machine.devices import Device
from selfdistill.machine.gpus import gpus_in_words

POLL_SECONDS = 1.0


class Taken(NamedTuple):
    held: dict[Device, int]  # with the open files that hold them; nothing where there were too few
    busy: list[Device]


def wait_for(count: int, candidates: list[Device], folder: Path, timeout: float | None) -> dict[Device, int]:
    """All or nothing: who waits holds no GPU, so no two wait for each other."""
    until = None if timeout is None else time.monotonic() + timeout
    told = False
    with _shared_folder(folder) as shared:
        while True:
            taken = _take(count, candidates, shared)
            if taken.held:
                return taken.held
            if until is not None and time.monotonic() >= until:
                raise UserError(
                    f"{gpus_in_words(count)} did not become free within {timeout:g} s: {_holders(taken.busy, shared)}. Wait for them or "
                    "stop them, and run again; with Snakemake, --resources gpu=N keeps jobs from waiting so."
                )
            if not told:
                print(
                    f"waiting for {gpus_in_words(count)}: {_holders(taken.busy, shared)}", file=sys.stderr, flush=True
                )
                told = True
            time.sleep(random.uniform(0.5, 1.5) * POLL_SECONDS)  # uneven, so that two never chase each other


def _take(count: int, candidates: list[Device], shared: int) -> Taken:
    held: dict[Device, int] = {}
    busy = []
    try:
        for device in candidates:
            lock = _locked(str(device.lock), shared)
            if lock is None:
                busy.append(device)
                continue
            held[device] = lock
            if len(held) == count:
                return Taken(held, busy)
    except BaseException:
        _give_back(held)
        raise
    _give_back(held)
    return Taken({}, busy)


def _give_back(held: dict[Device, int]) -> None:
    for lock in held.values():
        os.close(lock)


def _locked(name: str, shared: int) -> int | None:
    """The lock, as an open file with our process id in it; None when another process has it."""
    lock = _open_lock(name, shared)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    except OSError:
        os.close(lock)
        raise
    if not _still_there(name, lock, shared):  # a cleaner of old files came between
        os.close(lock)
        return _locked(name, shared)
    with suppress(OSError):  # a full disk: the lock counts, not the note
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
    return lock


def _open_lock(name: str, shared: int) -> int:
    """Opened without O_CREAT when it exists: the kernel forbids that for other users' files in a sticky folder. A link or a
    special file that someone put there is refused, for we write into it."""
    flags = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        lock = os.open(name, flags, dir_fd=shared)
    except FileNotFoundError:
        try:
            with _writable_by_all():
                lock = os.open(name, flags | os.O_CREAT | os.O_EXCL, 0o666, dir_fd=shared)
        except FileExistsError:
            return _open_lock(name, shared)
    about = os.fstat(lock)
    if not stat.S_ISREG(about.st_mode) or about.st_nlink > 1:
        os.close(lock)
        raise OSError(0, "not a plain file; remove it", name)
    return lock


def _still_there(name: str, lock: int, shared: int) -> bool:
    try:
        return os.path.samestat(os.stat(name, dir_fd=shared, follow_symlinks=False), os.fstat(lock))
    except FileNotFoundError:
        return False


@contextmanager
def _shared_folder(folder: Path) -> Iterator[int]:
    """Everybody may add locks, and remove none but their own. A link in the folder's place is not followed."""
    with suppress(FileExistsError), _writable_by_all():
        os.mkdir(folder, 0o1777)
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        yield opened
    finally:
        os.close(opened)


@contextmanager
def _writable_by_all() -> Iterator[None]:
    before = os.umask(0)
    try:
        yield
    finally:
        os.umask(before)


def _holders(busy: list[Device], shared: int) -> str:
    return ", ".join(f"GPU {device.name} is held by {_holder(str(device.lock), shared)}" for device in busy)


def _holder(name: str, shared: int) -> str:
    """What the lock's file says, which anybody could have written: believed only when it is a number."""
    with suppress(OSError):
        lock = _open_lock(name, shared)
        try:
            said = os.pread(lock, 20, 0).strip()
        finally:
            os.close(lock)
        if said.isdigit():
            return f"process {said.decode()}"
    return "a process that left no id"
