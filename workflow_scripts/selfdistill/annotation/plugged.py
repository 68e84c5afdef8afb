"""A judge of the user's: whether it is one, and what it says, looked at before it is kept."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from selfdistill.annotation.contract import Judge, JudgeSettings, Question, Reply
from selfdistill.foundation.errors import UserError
from selfdistill.foundation.plugins import Reference, in_a_line, offered
from selfdistill.tables import words

PARTS = ("name", "version", "deterministic", "judge")


def judge_class(reference: Reference) -> Callable[[JudgeSettings], Judge]:
    """A plugin's judge, if it has what the contract names."""
    found: Any = offered(reference).JUDGE
    where = f"plugins: {reference.file}: JUDGE"
    if not isinstance(found, type):
        raise UserError(f"{where} must be a class, but is {found!r:.80}.")
    if missing := [each for each in PARTS if not hasattr(found, each)]:
        raise UserError(f"{where} has no {', '.join(missing)}; a judge has {', '.join(PARTS)} (docs/extend.md).")
    for part, kind in (("version", str), ("deterministic", bool)):
        if not isinstance(value := getattr(found, part), kind):
            raise UserError(f"{where}.{part} must be a {kind.__name__}, but is {value!r:.80}.")
    opener: Callable[[JudgeSettings], Judge] = found
    return opener


class PluggedJudge:
    engine = words.PLUGIN

    def __init__(self, reference: Reference, settings: JudgeSettings) -> None:
        self.where = f"plugins: {reference.file}: JUDGE"
        with self._own_errors_told():
            self._judge = judge_class(reference)(settings)
            self.deterministic = self._judge.deterministic

    def ask_all(self, questions: Iterator[Question]) -> Iterator[Reply]:
        unanswered: set[str] = set()

        def handed() -> Iterator[Question]:
            for question in questions:
                unanswered.add(question.request_id)
                yield question

        with self._own_errors_told():
            for reply in self._judge.judge(handed()):
                self._refuse_broken(reply, unanswered)
                unanswered.remove(reply.request_id)
                yield replace(reply, model=self._judge.version)

    def left(self, lacking: int, wanted: int) -> str:
        return f"{self.where} gives {lacking} of {wanted} questions no reply; what was answered is kept: mend it, and run again."

    @contextmanager
    def _own_errors_told(self) -> Iterator[None]:
        try:
            yield
        except UserError:
            raise
        except (Exception, SystemExit) as error:
            raise UserError(f"{self.where} fails ({in_a_line(error)}); what was answered is kept: mend it.") from error

    def _refuse_broken(self, reply: Any, unanswered: set[str]) -> None:
        if not isinstance(reply, Reply):
            raise UserError(f"{self.where} must give replies (annotation/contract.py: Reply), but gives {reply!r:.80}.")
        if reply.request_id not in unanswered:
            raise UserError(f"{self.where} answers {reply.request_id!r:.80}, which is no open question.")
        for part, kind in (("text", str), ("finish_reason", str), ("tokens", int), ("seconds", int | float)):
            if not isinstance(value := getattr(reply, part), kind):
                raise UserError(f"{self.where}: the {part} of a reply is {value!r:.80}, which is of another type.")
        try:
            reply.text.encode()
        except UnicodeEncodeError as error:
            raise UserError(f"{self.where}: a reply holds what is no text ({error.reason}).") from error
