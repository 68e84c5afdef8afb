"""Whether there is anything to learn from: what is said, once, when some generations in a row held nothing."""

import polars as pl

from selfdistill.tables.endings import NO_ANSWER, UNFINISHED
from selfdistill.training.practice.settings import PracticeSettings
from selfdistill.training.practice.told import SIBLING

PATIENCE = 3  # generations in a row


class Watch:
    def __init__(self, settings: PracticeSettings) -> None:
        self.settings = settings
        self.needs_siblings = settings.teacher is not None and settings.teacher.solution == SIBLING
        self._in_a_row: dict[str, int] = {}
        self._said: set[str] = set()

    def sentence(self, generation: int, rows: pl.DataFrame) -> str | None:
        """What to say of the rollouts of a generation, if they are the last of too many with the same fault."""
        fault = self._fault(rows)
        self._in_a_row = {fault: self._in_a_row.get(fault, 0) + 1} if fault else {}
        patience = min(PATIENCE, self.settings.practice.generations)
        if not fault or fault in self._said or self._in_a_row[fault] < patience:
            return None
        self._said.add(fault)
        first = generation - self._in_a_row[fault] + 1
        when = f"generations {first} to {generation}" if first < generation else f"generation {generation}"
        return f"{when}: {fault} {self._mend(rows)}"

    def _fault(self, rows: pl.DataFrame) -> str | None:
        rewards, by_reward = rows["reward"], self.settings.method == "grpo"
        if (by_reward or self.needs_siblings) and (rewards == 0).all():
            return "not one answer was right, so there is nothing to learn from."
        if by_reward and (rewards == 1).all():
            return "every answer was right, so that every advantage is 0 and nothing is learnt."
        if by_reward and (rows["advantage"] == 0).all():
            return "in no group did answers get different rewards, so that every advantage is 0 and nothing is learnt."
        if self.needs_siblings and rows["teacher_ids"].null_count() == rows.height:
            return "no answer had a teacher, so there is nothing to learn from."
        return None

    def _mend(self, rows: pl.DataFrame) -> str:
        decode = self.settings.practice.decode
        if (rows["reward"] == 1).all():
            return "Practise on harder problems (problems.sources)."
        if (rows["reward"] == 0).all():
            cut = rows["finish_class"].is_in(UNFINISHED).sum() / rows.height
            unread = (rows["finish_class"] == NO_ANSWER).sum() / rows.height
            return (
                f"{cut:.0%} were cut at decodes.{decode}.max_tokens ({self.settings.decode.max_tokens}), and {unread:.0%} ended "
                "without an answer in the format that grading.answer reads: raise the first, ask for the second in "
                "problems.prompt, or practise on easier problems."
            )
        return "Raise practice.rollouts or the decode's temperature, or practise on problems that are neither too easy nor too hard."
