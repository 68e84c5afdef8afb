"""Locks: one process at a time, of this machine or of another one that shares the disk.

A lock is the kernel's (flock) and ends with the process that holds it, however that ends: a crash leaves nothing to be
cleared away. The file stays, empty of meaning but for the name of its last holder. Where a file system keeps no such
locks a sentence says so; a lock that is only pretended would be worse than none.
"""

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import Timeout, UnixFileLock

from selfdistill.foundation.errors import UserError

Sentence = Callable[[str], str]


@contextmanager
def held(path: Path, busy: Sentence | None = None) -> Iterator[None]:
    """Hold the lock while the block runs. While another process holds it, wait; with `busy`, refuse in its words.

    `busy` makes the sentence from who the other is: "process 4711 on node-3".
    """
    lock = _acquired(path, busy)
    try:
        yield
    finally:
        lock.release()


def _acquired(path: Path, busy: Sentence | None) -> UnixFileLock:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    except OSError as error:
        raise UserError(
            f"{path.parent}: cannot write here ({error.strerror}); make the folder writable, or make room."
        ) from error
    lock = UnixFileLock(path, blocking=busy is None, fallback_to_soft=False)
    try:
        lock.acquire()
    except Timeout:
        assert busy is not None
        raise UserError(busy(_holder(path))) from None
    except OSError as error:
        raise UserError(
            f"{path.parent}: this file system keeps no locks ({error.strerror}); mount it with flock, or put the results "
            "elsewhere."
        ) from error
    with suppress(OSError):  # a full disk: the lock holds without the note
        path.write_text(f"process {os.getpid()} on {socket.gethostname()}\n", encoding="utf-8")
    return lock


def _holder(path: Path) -> str:
    """As it wrote itself down; it may not have come to that yet."""
    return path.read_text(encoding="utf-8").strip() or "another process"
