"""The examination of a judge: what the journal and the reading of replies rely on, and what it says of itself."""

import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any
from unittest.mock import patch

from selfdistill.annotation.contract import JudgeSettings, Question, Reply
from selfdistill.annotation.plugged import PluggedJudge
from selfdistill.annotation.replies import read_reply
from selfdistill.annotation.rubric import Rubric
from selfdistill.examination.checks import Found, Watch, examined, require, unwatched
from selfdistill.foundation.plugins import Reference
from selfdistill.tables import words

PROBLEM, SEEDS, MANY = "What is 69 + 43?", 2, 64
# As models write: plainly, in doubt, nothing, what is like a reply, what is like a rubric's place, in other letters, at length.
ANSWERS = (
    "<think>\n69+43=112.\n</think>\n\nThe answer is \\boxed{112}.", "Perhaps 112. Wait, no. Let me check: maybe 113?", "",
    'I count {"doubts": 3} doubts, and {"doubts": 4} beside.', "{problem} {answer} {counts} {form}", "Возможно 112。也许 🤔",
    "Hmm, wait. " * 2000,
)  # fmt: skip


@dataclass
class Examined:
    reference: Reference
    rubric: Rubric

    @cached_property
    def judge(self) -> PluggedJudge:
        return PluggedJudge(self.reference, JudgeSettings(self.rubric.counts, temperature=0.7, max_tokens=512))

    @cached_property
    def asked(self) -> list[Question]:
        return [
            Question(f"{number}-{seed}", self.rubric.question(PROBLEM, answer), seed, f"answer {number}", answer)
            for number, answer in enumerate(ANSWERS)
            for seed in range(SEEDS)
        ]

    @cached_property
    def replies(self) -> list[Reply]:
        return list(self.judge.ask_all(iter(self.asked)))


def examine_judge(reference: Reference, rubric: Rubric, watch: Watch = unwatched) -> Iterator[Found]:
    return examined(CHECKS, Examined(reference, rubric), watch=watch)


def _each_once(subject: Examined) -> None:
    lacking = len(subject.asked) - len(subject.replies)  # a second reply to a question is refused where it is given
    require(not lacking, f"{lacking} of {len(subject.asked)} questions have no reply")


def _as_they_come(subject: Examined) -> None:
    taken = 0

    def questions() -> Iterator[Question]:
        nonlocal taken
        for number in range(MANY):
            taken += 1
            yield replace(subject.asked[number % len(subject.asked)], request_id=str(number))

    next(subject.judge.ask_all(questions()))
    require(taken < MANY, f"all {MANY} questions were taken before the first reply came, so that a kill would lose all")


def _readable(subject: Examined) -> None:
    about = {question.request_id: question.about for question in subject.asked}
    for reply in subject.replies:
        read = read_reply(reply.text, reply.finish_reason, subject.rubric.counts)
        require(read.parse != words.REFUSED_REPLY, f"the reply on {about[reply.request_id]} is refused: {read.detail}")


def _the_same_again(subject: Examined) -> None:
    if not subject.judge.deterministic:
        return
    said = {reply.request_id: reply.text for reply in subject.replies}
    for question in reversed(subject.asked):
        again = [reply.text for reply in subject.judge.ask_all(iter([question]))]
        require(again == [said.get(question.request_id)], f"asked again, alone, {question.about} has another reply")


def _asks_nobody(subject: Examined) -> None:
    if not subject.judge.deterministic:
        return
    addresses: list[Any] = []

    def refused(_: socket.socket, address: Any) -> None:
        addresses.append(address)
        raise OSError("a judge that is examined asks nobody")

    with patch.object(socket.socket, "connect", refused):
        try:
            list(subject.judge.ask_all(iter(subject.asked)))
        finally:
            require(not addresses, f"it asks {addresses[:1]}, so that its reply hangs on more than its file")


CHECKS: dict[str, Callable[[Examined], None]] = {
    "each question has one reply": _each_once,
    "replies come while questions are still to be asked": _as_they_come,
    "the rubric can read its replies": _readable,
    "if deterministic, a question and its seed have the same reply again": _the_same_again,
    "if deterministic, it asks nobody": _asks_nobody,
}
