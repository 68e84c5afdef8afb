"""The contract of a judge. Everything around a judge (which answers, rubric, journal, reading of replies) is the rules'; a judge turns
questions into replies.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

STOPPED = "stop"  # a reply that ended by itself


@dataclass(frozen=True)
class Question:
    request_id: str
    prompt: str  # the rubric around problem and answer
    seed: int
    about: str = ""  # which answer, in words
    answer: str = ""  # the text that is judged, alone


@dataclass(frozen=True)
class Reply:
    request_id: str
    text: str  # as the rubric asks for it: a JSON object of counts
    finish_reason: str = STOPPED  # any other, as length, and the reply is refused
    tokens: int = 0
    model: str = ""  # who says it: the model that a server says it is, or a plugin's version
    seconds: float = 0.0


@dataclass(frozen=True)
class JudgeSettings:
    counts: Mapping[str, str]  # the rubric's: what a reply must count, each with what it is
    temperature: float
    max_tokens: int


class Judge(Protocol):
    """What a plugin's JUDGE is, made with `JudgeSettings`."""

    name: str
    version: str
    deterministic: bool  # whether a question and its seed always have the same reply

    def judge(self, questions: Iterator[Question]) -> Iterator[Reply]:
        """Yields every reply as soon as it is there, in any order; each is on disk at once. Takes questions as it has room
        for them. One that it does not answer is asked in the next run."""
        ...


class Asked(Protocol):
    """Who is asked, a server or a plugin's judge."""

    engine: str  # column `engine` of its replies

    def ask_all(self, questions: Iterator[Question]) -> Iterator[Reply]: ...

    def left(self, lacking: int, wanted: int) -> str:
        """Why so many questions have no reply, and what to do."""
        ...
