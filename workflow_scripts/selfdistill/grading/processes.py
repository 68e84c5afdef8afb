"""Processes that judge, which can be killed: each question has a hard limit of time and of memory.

The text is a model's and not trusted: 9^{9^{9^9}} keeps a process busy for good, and an alarm cannot interrupt it. So a
process that is late or grows too large is killed and another one started; no other question suffers. A machine that is
busy with other things may be what was slow, so what got no answer is asked once more, alone, when all others are done.
"""

import json
import os
import queue
import select
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from selfdistill.grading.worker import MEMORY, START_SECONDS
from selfdistill.tables.endings import GRADER_FAILED, TIMEOUT, UNDECIDED

LOOK_EVERY = 0.05  # seconds between two looks at the memory of a process that is not done
LIBRARY = Path(__file__).resolve().parents[2]


def ask(questions: Sequence[tuple[str, ...]], seconds: float, workers: int = 1) -> list[str]:
    """The replies to the questions, in their order; one of UNDECIDED where there was none twice."""
    replies = _ask_together(questions, seconds, workers)
    again = [index for index, reply in enumerate(replies) if reply in UNDECIDED]
    alone = _ask_together([questions[index] for index in again], seconds, 1)
    for index, reply in zip(again, alone, strict=True):
        replies[index] = reply
    return replies


def _ask_together(questions: Sequence[tuple[str, ...]], seconds: float, workers: int) -> list[str]:
    replies = [""] * len(questions)
    waiting: queue.SimpleQueue[int] = queue.SimpleQueue()
    for index in range(len(questions)):
        waiting.put(index)
    failures: list[BaseException] = []

    def serve() -> None:
        worker: Worker | None = None
        try:
            while not failures:
                index = waiting.get_nowait()
                worker = worker or Worker(seconds)
                replies[index] = worker.ask(questions[index])
                if replies[index] in UNDECIDED:
                    worker.kill()
                    worker = None
        except queue.Empty:
            pass
        except BaseException as error:
            failures.append(error)
        finally:
            if worker:
                worker.kill()

    threads = [threading.Thread(target=serve, daemon=True) for _ in range(min(max(workers, 1), len(questions)))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return replies


class Worker:
    """One judging process."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        path = os.pathsep.join(filter(None, (str(LIBRARY), os.environ.get("PYTHONPATH"))))
        self.process = subprocess.Popen(
            [sys.executable, "-m", "selfdistill.grading.worker", str(seconds), str(MEMORY)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        )
        if self._reply(START_SECONDS) != "ready":
            self.kill()
            raise RuntimeError("a grading process did not start; its complaint stands above")

    def ask(self, question: tuple[str, ...]) -> str:
        """The reply, or one of UNDECIDED; the process is of no more use after that."""
        assert self.process.stdin is not None
        try:
            self.process.stdin.write((json.dumps(question) + "\n").encode())
            self.process.stdin.flush()
        except BrokenPipeError:
            return GRADER_FAILED
        return self._reply(self.seconds)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe:
                pipe.close()

    def _reply(self, seconds: float) -> str:
        """What the process says in time. One that died or grew too large has failed."""
        assert self.process.stdout is not None
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            if select.select([self.process.stdout], [], [], min(left, LOOK_EVERY))[0]:
                line = self.process.stdout.readline()
                return json.loads(line) if line else GRADER_FAILED
            if resident_memory(self.process.pid) > MEMORY:
                return GRADER_FAILED
        return TIMEOUT


def resident_memory(process: int) -> int:
    """In bytes; 0 of a process that has just died."""
    try:
        return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError):
        return 0
