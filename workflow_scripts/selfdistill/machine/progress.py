"""The sampler's live view: a bar for the eye on the terminal, lines of JSON for machines in the log.

The sampler only counts. A thread of its own speaks twice a second at most, so that a long wait for long completions is seen
as such, and a terminal that is stopped or gone stops no sampling. Standard error is the rule's log.
"""

import json
import os
import sys
import threading
import time
from collections import deque
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, NamedTuple

from tqdm import tqdm

from selfdistill.machine.memory import gpu_memory_gib, memory_gib
from selfdistill.machine.terminal import STDERR, STDOUT, Terminal, speaks_unicode, write

LOOK_EVERY = 0.5  # seconds, as are all of these
FIRST_LOG, LOG_EVERY = 1.0, 5.0
LINE_EVERY = 30.0
ETA_AFTER, ETA_SHARE = 5.0, 0.02  # before both of them, an ETA would be of short completions only
LAST_WORDS = 5.0  # how long an end waits for a terminal that takes no more
BAR = "{desc} {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} [{elapsed}{postfix}]"


@dataclass
class Tally:
    samples: int = 0
    tokens: int = 0
    cut: int = 0
    loops: int = 0


class Progress:
    """`total` samples are to be drawn now; `done_before` are in the journal already and count in the bar only."""

    def __init__(self, total: int, done_before: int, label: str) -> None:
        self.total, self.done_before, self.label = total, done_before, label
        self._tally, self._lock, self._closed = Tally(), threading.Lock(), threading.Event()
        self._began = time.monotonic()
        self._recent = RecentSpeed(self._began)
        self._gpu_memory: float | None = None
        self._gpu_looked = -LOG_EVERY
        self._terminal = Terminal.of_stdout()
        self._log_due, self._line_due = self._began + FIRST_LOG, self._began + LINE_EVERY
        self._thread = threading.Thread(target=self._report, name="progress", daemon=True)
        self._thread.start()

    def count(self, n_tokens: int, finish_reason: str) -> None:
        with self._lock:
            self._tally.samples += 1
            self._tally.tokens += n_tokens
            self._tally.cut += finish_reason == "length"
            self._tally.loops += finish_reason == "loop"
        now = time.monotonic()
        if now - self._gpu_looked >= LOG_EVERY:  # here and not in the thread: CUDA may be recording a graph then
            self._gpu_looked = now
            self._gpu_memory = gpu_memory_gib()

    def close(self) -> None:
        """Says the end. Safe to call again."""
        self._closed.set()
        self._thread.join(LAST_WORDS)

    def __enter__(self) -> "Progress":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _report(self) -> None:
        while not self._closed.wait(LOOK_EVERY):
            self._speak(last=False)
        self._speak(last=True)
        if self._terminal:
            self._terminal.close()

    def _speak(self, last: bool) -> None:
        now = time.monotonic()
        with self._lock:
            tally = replace(self._tally)
        self._recent.add(now, tally)
        facts = self._facts(now, tally)
        if last or now >= self._log_due:
            self._log_due = now + LOG_EVERY
            self._log(facts)
        drawn = self._terminal is not None and self._terminal.mine()
        if self._terminal is not None and drawn:
            self._terminal.draw(self._bar(facts, now, self._terminal.columns()), last)
        elif last or now >= self._line_due:
            self._line_due = now + LINE_EVERY
            self._line(facts)

    def _facts(self, now: float, tally: Tally) -> dict[str, Any]:
        elapsed = now - self._began
        speed = self._recent.speed()
        mean = tally.samples / elapsed if elapsed > 0 else 0.0
        eta = eta_seconds(self.total, tally.samples, elapsed, speed.samples, mean)
        return {
            "samples": tally.samples,
            "total": self.total,
            "already": self.done_before,
            "tokens": tally.tokens,
            "tokens_per_second": round(speed.tokens, 1),
            "tokens_per_second_mean": round(tally.tokens / elapsed, 1) if elapsed > 0 else 0.0,
            "cut_rate": round(tally.cut / tally.samples, 4) if tally.samples else None,
            "loop_rate": round(tally.loops / tally.samples, 4) if tally.samples else None,
            "eta_seconds": None if eta is None else round(eta),
            "gpu_memory_gib": self._gpu_memory,
            "memory_gib": memory_gib(),
        }

    def _log(self, facts: dict[str, Any]) -> None:
        """Not onto a terminal: there the bar is for the eye."""
        if sys.stderr is None or os.isatty(STDERR):
            return
        about = {"event": "progress", "label": self.label, "time": datetime.now(UTC).isoformat(timespec="seconds")}
        write(STDERR, json.dumps(about | facts) + "\n")

    def _bar(self, facts: dict[str, Any], now: float, columns: int) -> str:
        label = self.label if len(self.label) <= columns // 3 else "…" + self.label[-(columns // 3) :]
        return tqdm.format_meter(
            self.done_before + facts["samples"], self.done_before + self.total, now - self._began, ncols=columns - 1,
            prefix=label, postfix=", ".join(spoken(facts)), bar_format=BAR, ascii=not speaks_unicode(),
        )  # fmt: skip

    def _line(self, facts: dict[str, Any]) -> None:
        done = f"{self.done_before + facts['samples']} of {self.done_before + self.total} samples"
        line = ", ".join([f"{self.label}: {done}", *spoken(facts)])
        if self._terminal:
            self._terminal.put_in(line)
        elif sys.stdout is not None:
            write(STDOUT, line + "\n")


class Speed(NamedTuple):
    samples: float  # a second
    tokens: float


class RecentSpeed:
    """Over the last third of the time, half a minute at least and ten at most: long completions come in spurts."""

    def __init__(self, began: float) -> None:
        self._began = began
        self._seen: deque[tuple[float, int, int]] = deque([(began, 0, 0)])

    def add(self, now: float, tally: Tally) -> None:
        self._seen.append((now, tally.samples, tally.tokens))
        since = now - min(600.0, max(30.0, (now - self._began) / 3))
        while self._seen[1][0] <= since:
            self._seen.popleft()

    def speed(self) -> Speed:
        (start, samples_before, tokens_before), (end, samples, tokens) = self._seen[0], self._seen[-1]
        if end <= start:
            return Speed(0.0, 0.0)
        return Speed((samples - samples_before) / (end - start), (tokens - tokens_before) / (end - start))


def eta_seconds(total: int, samples: int, elapsed: float, recent: float, mean: float) -> float | None:
    """From samples a second, now and on the whole: the mean forgets no slow start, what is recent has its part of the long
    completions. None too early, and when nothing has been finished lately."""
    if samples >= total:
        return 0.0
    if elapsed < ETA_AFTER or samples < ETA_SHARE * total or recent <= 0:
        return None
    return (total - samples) / ((recent + mean) / 2)


def spoken(facts: dict[str, Any]) -> list[str]:
    said = [f"{facts['tokens_per_second']:,.0f} tokens/s"]
    if facts["eta_seconds"]:
        said.append(f"ETA {tqdm.format_interval(facts['eta_seconds'])}")
    if facts["cut_rate"] is not None:
        said.append(f"cut {facts['cut_rate']:.1%}")
    if facts["gpu_memory_gib"] is not None:
        said.append(f"GPU {facts['gpu_memory_gib']:.0f} GiB")
    return said
