"""Is an answer the gold answer? Exactly where that is easy, by math-verify in processes that can be killed elsewhere.

The text is a model's and not trusted: 9^{9^{9^9}} keeps a process busy for good, and an alarm cannot interrupt it.
So each question has a hard limit, after which its process is killed and another one started; no other question suffers.
"""

import json
import os
import queue
import re
import select
import subprocess
import sys
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

from selfdistill.grading.answers import plain_form
from selfdistill.grading.rationals import read_rational, same_number
from selfdistill.grading.worker import START_SECONDS

Reason = Literal["equal", "equivalent", "different", "unparsed", "timeout"]
CORRECT = ("equal", "equivalent")
LONGEST = 2000  # characters of an answer that are worth reading
LIBRARY = Path(__file__).resolve().parents[2]


def verify_answers(pairs: Sequence[tuple[str, str]], seconds: float, workers: int = 1) -> list[Reason]:
    """The reason for each (gold, answer); each distinct pair is judged once."""
    reasons: dict[tuple[str, str], Reason] = {}
    hard: dict[tuple[str, str], tuple[str, str]] = {}
    for pair in dict.fromkeys(pairs):
        reason = quick_reason(*pair)
        if reason is None:
            hard[pair] = plain_form(pair[0]), plain_form(pair[1])
        else:
            reasons[pair] = reason
    questions = list(dict.fromkeys(hard.values()))
    replies = _ask([("judge", *question) for question in questions], seconds, workers)
    judged = dict(zip(questions, replies, strict=True))
    reasons.update({pair: judged[question] for pair, question in hard.items()})  # type: ignore[misc]
    return [reasons[pair] for pair in pairs]


# Runs of letters that are mathematics and not prose.
FUNCTIONS = {
    "sin",
    "cos",
    "tan",
    "cot",
    "sec",
    "csc",
    "log",
    "exp",
    "sqrt",
    "max",
    "min",
    "gcd",
    "lcm",
    "arcsin",
    "arccos",
}
FUNCTIONS |= {"arctan", "sinh", "cosh", "tanh", "inf", "infty", "mod", "det", "deg"}


def quick_reason(gold: str, answer: str) -> Reason | None:
    """The reason where it needs no algebra: same text, two plain numbers, or too long to read."""
    if len(answer) > LONGEST:
        return "unparsed"
    plain_gold, plain_answer = plain_form(gold), plain_form(answer)
    if plain_gold == plain_answer:
        return "equal"
    gold_number, answer_number = read_rational(plain_gold), read_rational(plain_answer)
    if gold_number is None or answer_number is None:
        return None
    return "equivalent" if same_number(gold_number, answer_number) else "different"


def unreadable(golds: Iterable[str], seconds: float = 20.0, workers: int = 1) -> set[str]:
    """The gold answers that nothing could ever be equivalent to, because math-verify cannot read them."""
    hard = [gold for gold in dict.fromkeys(golds) if read_rational(plain_form(gold)) is None]
    replies = _ask([("parse", plain_form(gold)) for gold in hard], seconds, workers)
    return {gold for gold, reply in zip(hard, replies, strict=True) if reply != "parsed" or _is_prose(gold)}


def _is_prose(gold: str) -> bool:
    """Bare words, which math-verify would read as products of letters, and divisions by nothing. Marked text is text."""
    bare = re.sub(r"\\(?:text|mathrm|operatorname|mathbb|begin|end)\{[^{}]*\}|\\[A-Za-z]+", " ", gold)
    words = [word for word in re.findall(r"[A-Za-z]{3,}", bare) if word.lower() not in FUNCTIONS]
    return bool(words) or re.search(r"/\s*0(?![\d.])", gold) is not None


def _ask(questions: Sequence[tuple[str, ...]], seconds: float, workers: int) -> list[str]:
    """The replies to the questions, in their order; "timeout" where a worker had to be killed or died."""
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
                reply = worker.ask(questions[index])
                replies[index] = reply or "timeout"
                if reply is None:
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
            [sys.executable, "-m", "selfdistill.grading.worker", str(seconds)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        )
        if self._reply(START_SECONDS) != "ready":
            self.kill()
            raise RuntimeError("a grading process did not start; its complaint stands above")

    def ask(self, question: tuple[str, ...]) -> str | None:
        """The reply, or None from a worker that is late or has died."""
        assert self.process.stdin is not None
        try:
            self.process.stdin.write((json.dumps(question) + "\n").encode())
            self.process.stdin.flush()
        except BrokenPipeError:
            return None
        return self._reply(self.seconds)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe:
                pipe.close()

    def _reply(self, seconds: float) -> str | None:
        assert self.process.stdout is not None
        ready, _, _ = select.select([self.process.stdout], [], [], seconds)
        line = self.process.stdout.readline() if ready else b""
        return json.loads(line) if line else None
