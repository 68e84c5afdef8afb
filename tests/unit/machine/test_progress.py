"""What the live view says agrees with the counts, one process draws on a terminal, and nobody who goes away stops sampling."""

import json
import os
import pty
import re
import select
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import pytest

from selfdistill.machine import progress
from selfdistill.machine.memory import gpu_memory_gib
from selfdistill.machine.progress import Progress, RecentSpeed, Tally, eta_seconds

ROOT = Path(__file__).resolve().parents[3]
SAMPLER = """
import os, sys, time
from selfdistill.machine import progress
progress.LOOK_EVERY, progress.FIRST_LOG, progress.LOG_EVERY, progress.LINE_EVERY = 0.02, 0.1, 0.2, 0.3
progress.ETA_AFTER, progress.LAST_WORDS = 0.1, 0.3
for name, value in eval(os.environ.get("CHANGED", "{}")).items():
    setattr(progress, name, value)
label, samples, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
with progress.Progress(200, 1000, label) as shown:
    for number in range(samples):
        shown.count(100, "length" if number % 4 == 0 else "loop" if number % 10 == 1 else "stop")
        time.sleep(seconds / samples)
    if len(sys.argv) > 4:
        sys.stdin.read()
"""
Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start() -> Iterator[Start]:
    started: list[subprocess.Popen[str]] = []

    def start(
        label: str,
        samples: int,
        seconds: float,
        *until: str,
        stdout: int = subprocess.PIPE,
        stderr: int = subprocess.PIPE,
        **changed: float,
    ) -> subprocess.Popen[str]:
        environment = os.environ | {
            "PYTHONPATH": str(ROOT / "workflow_scripts"), "CHANGED": repr(changed), "PYTHONIOENCODING": "utf-8",
        }  # fmt: skip
        command = [sys.executable, "-c", SAMPLER, label, str(samples), str(seconds), *until]
        started.append(
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=stdout, stderr=stderr, text=True, env=environment)
        )
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                stream.close()


class Screen:
    """A terminal of 120 columns, and all that was written on it."""

    def __init__(self) -> None:
        self.master, self.slave = pty.openpty()
        termios.tcsetwinsize(self.slave, (24, 120))
        self.text = ""
        self.open = True

    def close(self) -> None:
        if self.open:
            self.open = False
            os.close(self.slave)
            os.close(self.master)

    def read(self, seconds: float, until: str = "nothing ends it") -> str:
        """What is written from now on, for so long or until a pattern is in it."""
        before, end = len(self.text), time.monotonic() + seconds
        while time.monotonic() < end and not re.search(until, self.text[before:]):
            if select.select([self.master], [], [], 0.02)[0]:
                self.text += os.read(self.master, 65536).decode()
        return self.text[before:]

    def bars(self, text: str) -> list[str]:
        return [part.split("\x1b[K")[0] for part in text.split("\r") if "%|" in part]


@pytest.fixture
def screen() -> Iterator[Screen]:
    shown = Screen()
    yield shown
    shown.close()


def events(log: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in log.splitlines()]


def test_without_a_terminal_there_are_lines_for_people_and_json_for_machines(start: Start) -> None:
    said, log = start("models/base/shard-0", 80, 0.8).communicate(timeout=20)
    lines = said.splitlines()
    assert len(lines) >= 2
    assert lines[-1].startswith("models/base/shard-0: 1080 of 1200 samples, ") and "\r" not in said
    assert "tokens/s" in lines[-1] and "cut 25.0%" in lines[-1]
    told = events(log)
    assert len(told) >= 4
    for earlier, later in pairwise(told):
        assert earlier["samples"] <= later["samples"] and earlier["time"] <= later["time"]  # type: ignore[operator]
    for event in told:
        assert event["tokens"] == 100 * event["samples"]  # type: ignore[operator]
    last = told[-1]
    assert {name: last[name] for name in ("event", "label", "samples", "total", "already", "tokens")} == {
        "event": "progress", "label": "models/base/shard-0", "samples": 80, "total": 200, "already": 1000, "tokens": 8000,
    }  # fmt: skip
    assert last["cut_rate"] == 0.25 and last["loop_rate"] == 0.1  # of 80: 0, 4, 8… and 1, 11, 21…
    assert last["gpu_memory_gib"] is None and 0.005 < last["memory_gib"] < 4  # type: ignore[operator]
    seconds = 8000 / last["tokens_per_second_mean"]  # type: ignore[operator]
    assert 0.7 < seconds < 10
    assert last["eta_seconds"] == pytest.approx(120 / 80 * seconds, abs=1)


def test_a_short_run_says_its_end_and_a_run_of_nothing_divides_by_nothing(start: Start) -> None:
    for samples in (1, 0):
        said, log = start("s", samples, 0.0001 * samples, LINE_EVERY=30.0, LOG_EVERY=5.0, FIRST_LOG=1.0).communicate()
        assert said.count("\n") == 1 and len(events(log)) == 1
        assert events(log)[0]["cut_rate"] == (1.0 if samples else None)


def test_on_a_terminal_a_bar_shows_samples_speed_and_cuts(start: Start, screen: Screen) -> None:
    sampler = start("models/base/shard-0", 100, 1.0, stdout=screen.slave)
    screen.read(10, until=r"\n")
    assert sampler.wait(5) == 0
    bars = screen.bars(screen.text)
    assert len(bars) > 10 and all(len(bar) <= 119 for bar in bars)
    assert re.search(
        r"models/base/shard-0 +92%\|.*\| 1100/1200 \[00:\d\d, [\d,]+ tokens/s, ETA 00:\d\d, cut 25.0%\]", bars[-1]
    )
    assert screen.text.count("\n") == 1 and screen.text.endswith("\n")  # one bar, drawn over and over
    assert sampler.stderr is not None and events(sampler.stderr.read())[-1]["samples"] == 100


def test_lines_for_machines_are_kept_off_a_terminal(start: Start, screen: Screen) -> None:
    sampler = start("by hand", 20, 0.5, stdout=screen.slave, stderr=screen.slave)
    screen.read(10, until=r"\n")
    assert sampler.wait(5) == 0 and "{" not in screen.text


def test_of_two_on_a_terminal_one_draws_until_it_ends(start: Start, screen: Screen) -> None:
    first = start("first", 10, 0.1, "until told", stdout=screen.slave)
    screen.read(10, until=r"first +\d+%\|")
    start("second", 10, 0.1, "until told", stdout=screen.slave)
    both = screen.read(10, until=r"second: (.|\n)*second: ")
    assert all(bar.startswith("first") for bar in screen.bars(both))
    assert re.search(r"\r\x1b\[Ksecond: 10\d\d of 1200 samples, .*\n", both.replace("\r\n", "\n"))
    first.kill()
    after = screen.read(10, until=r"second +\d+%\|")
    assert "second" in screen.bars(after)[-1]


def test_a_terminal_or_a_reader_that_went_away_stops_nothing(start: Start, screen: Screen) -> None:
    sampler = start("gone", 100, 0.6, stdout=screen.slave)
    screen.read(10, until=r"gone +\d+%\|")
    screen.close()
    assert sampler.wait(10) == 0
    assert sampler.stderr is not None and events(sampler.stderr.read())[-1]["samples"] == 100

    unread = start("unread", 60, 0.6, LINE_EVERY=0.05)
    assert unread.stdout is not None and unread.stderr is not None
    unread.stdout.close()
    assert unread.wait(10) == 0
    assert events(unread.stderr.read())[-1]["samples"] == 60


def test_a_terminal_or_a_pipe_that_takes_no_more_delays_nothing(start: Start, screen: Screen) -> None:
    fast = {"LOOK_EVERY": 0.0001, "LINE_EVERY": 0.0001, "LAST_WORDS": 100.0}
    on_terminal = start("unread", 200, 1.0, stdout=screen.slave, **fast)
    into_pipe = start("unread", 200, 1.0, **fast)
    for sampler in (on_terminal, into_pipe):
        assert sampler.wait(15) == 0
        assert sampler.stderr is not None and events(sampler.stderr.read())[-1]["samples"] == 200


def test_counting_costs_less_than_twenty_microseconds() -> None:
    with Progress(10**6, 0, "cost") as shown:
        began = time.process_time()
        for _ in range(20_000):
            shown.count(300, "stop")
        assert (time.process_time() - began) / 20_000 < 20e-6
    shown.close()  # again


def test_no_eta_too_early_none_when_nothing_ends_and_none_left_at_the_end() -> None:
    assert eta_seconds(1000, 500, 4.9, 100, 100) is None
    assert eta_seconds(1000, 19, 60, 1, 1) is None
    assert eta_seconds(1000, 500, 60, 0, 8) is None
    assert eta_seconds(1000, 500, 60, 10, 10) == 50
    assert eta_seconds(1000, 500, 60, 15, 5) == 50  # half the recent speed, half the mean
    assert eta_seconds(1000, 1000, 1, 0, 1000) == 0


def test_recent_speed_forgets_the_beginning_and_keeps_little() -> None:
    speed = RecentSpeed(0.0)
    assert speed.speed() == (0.0, 0.0)
    for second in range(1, 7201):  # an hour at 1 a second, an hour at 3
        done = second if second <= 3600 else 3600 + 3 * (second - 3600)
        speed.add(float(second), Tally(done, 100 * done))
    assert speed.speed() == pytest.approx((3.0, 300.0))
    assert len(speed._seen) < 700


def test_gpu_memory_is_asked_only_where_cuda_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    def torch(initialised: bool, memory: Callable[[], tuple[int, int]]) -> SimpleNamespace:
        return SimpleNamespace(cuda=SimpleNamespace(is_initialized=lambda: initialised, mem_get_info=memory))

    def broken() -> tuple[int, int]:
        raise RuntimeError("CUDA error")

    monkeypatch.setitem(sys.modules, "torch", torch(False, broken))
    assert gpu_memory_gib() is None
    monkeypatch.setitem(sys.modules, "torch", torch(True, broken))
    assert gpu_memory_gib() is None
    monkeypatch.setitem(sys.modules, "torch", torch(True, lambda: (19 * 2**30, 80 * 2**30)))
    assert gpu_memory_gib() == 61.0
    with Progress(10, 0, "gpu") as shown:
        shown.count(1, "stop")
        assert shown._facts(time.monotonic(), Tally(1, 1))["gpu_memory_gib"] == 61.0
    assert "GPU 61 GiB" in ", ".join(progress.spoken(shown._facts(time.monotonic(), Tally(1, 1))))
