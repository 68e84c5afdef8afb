"""The terminal that a job inherits from Snakemake as standard output, several jobs at once: one of them draws its bar, the
others put in a plain line now and then. What is written never waits and never fails.
"""

import fcntl
import os
import select
import sys
from contextlib import suppress

STDOUT, STDERR = 1, 2


class Terminal:
    """The terminal that standard output is, opened anew: a lock on an open file is what tells its processes apart."""

    def __init__(self, opened: int) -> None:
        self._opened, self._drawing = opened, False

    @classmethod
    def of_stdout(cls) -> "Terminal | None":
        try:
            return cls(os.open(os.ttyname(STDOUT), os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC))
        except OSError:  # a file, a pipe, or a terminal of another user or container
            return None

    def mine(self) -> bool:
        """Whether this process draws the bar: the first to ask, and the next one when that has ended."""
        if not self._drawing:
            with suppress(OSError):
                fcntl.flock(self._opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self._drawing = True
        return self._drawing

    def columns(self) -> int:
        with suppress(OSError):
            return os.get_terminal_size(self._opened).columns or 80
        return 80

    def draw(self, bar: str, last: bool) -> None:
        write(self._opened, f"\r{bar}\x1b[K" + ("\n" if last else ""))

    def put_in(self, line: str) -> None:
        """In place of another process's bar, which is drawn again below."""
        write(self._opened, f"\r\x1b[K{line}\n")

    def close(self) -> None:
        with suppress(OSError):
            os.close(self._opened)


def speaks_unicode() -> bool:
    return sys.stdout is not None and (sys.stdout.encoding or "").lower().startswith("utf")


def write(to: int, text: str) -> None:
    """In one call, past Python's buffers: lines of several processes do not mix, and what nobody reads any more is lost
    without an error, now or when the interpreter ends. So is what a full pipe has no room for."""
    with suppress(OSError):
        if to not in (STDOUT, STDERR) or select.select([], [to], [], 0)[1]:
            os.write(to, text.encode(errors="replace"))
