"""Another's text on a terminal is text: no character of a study file, an answer or a log moves the cursor, colours what follows,
or turns a line around. Each that would is shown by its number, as ⟨001B⟩.
"""

import sys
from collections.abc import Iterable
from typing import Any, TextIO, cast

CONTROLS = {*range(0x20), *range(0x7F, 0xA0)} - {ord("\n"), ord("\t")}
TURNING = {0x200E, 0x200F, 0x061C, *range(0x202A, 0x202F), *range(0x2066, 0x206A)}  # the direction of writing
SHOWN = {number: f"⟨{number:04X}⟩" for number in CONTROLS | TURNING}


def harmless(text: str) -> str:
    return text.translate(SHOWN)


class Harmless:
    """A stream that is written to so."""

    def __init__(self, stream: TextIO, kept: str = "") -> None:
        self._stream = stream
        self._shown = {number: shown for number, shown in SHOWN.items() if chr(number) not in kept}

    def write(self, text: str) -> int:
        self._stream.write(text.translate(self._shown))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def guard_output() -> None:
    """For all that this process prints from now on. Bars of progress on standard error go back to the line's beginning."""
    sys.stdout, sys.stderr = cast(TextIO, Harmless(sys.stdout)), cast(TextIO, Harmless(sys.stderr, "\r"))
