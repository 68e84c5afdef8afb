"""Whether there is anything to learn from: what is said, once, when some generations in a row held nothing."""

from collections.abc import Callable

import polars as pl

from selfdistill.tables.endings import NO_ANSWER, UNFINISHED
from selfdistill.training.practice.settings import PracticeSettings
from selfdistill.training.practice.told import SIBLING

PATIENCE = 3  # generations in a row
WATCHED = ["reward", "advantage", "teacher_ids", "finish_class"]  # columns of ROLLOUTS


class Watch:
    """`held` gives the rows of an earlier generation, from a file: who watches may have been started a moment ago."""

    def __init__(self, settings: PracticeSettings, held: Callable[[int], pl.DataFrame | None] = lambda _: None) -> None:
        self.settings, self.held = settings, held
        self.needs_siblings = settings.teacher is not None and settings.teacher.solution == SIBLING
        self._faults: dict[int, str | None] = {}

    def sentence(self, generation: int, rows: pl.DataFrame) -> str | None:
        """What to say of the rollouts of a generation, if they are the last of too many with the same fault: said once of
        those in a row."""
        fault = self._faults[generation] = self._fault(rows)
        patience = min(PATIENCE, self.settings.practice.generations)
        first = generation - patience + 1
        if not fault or any(self._fault_of(each) != fault for each in range(first, generation)):
            return None
        if self._fault_of(first - 1) == fault:
            return None
        when = f"generations {first} to {generation}" if first < generation else f"generation {generation}"
        return f"{when}: {fault} {self._mend(rows)}"

    def _fault_of(self, generation: int) -> str | None:
        if generation not in self._faults:
            rows = self.held(generation) if generation > 0 else None
            self._faults[generation] = None if rows is None else self._fault(rows)
        return self._faults[generation]

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
