"""What the teacher is asked: the student's question, and what the context tells of it.

That is a solution of the dataset's, or a sibling: of the other answers to the same question in the same generation, the first
right one. Nothing is ever cut. Where there is nothing to tell, where it holds special tokens, or where prompt and answer do not
fit the context and the study says skip, the answer has no teacher, and the reason is counted.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from selfdistill.foundation.errors import UserError
from selfdistill.models.folder import inspect_model
from selfdistill.sampling.contexts import Row, Telling, fitting
from selfdistill.sampling.prompts import Chat
from selfdistill.sampling.solutions import Told, shown
from selfdistill.study.contexts import Context
from selfdistill.tables import words
from selfdistill.tables.endings import CORRECT
from selfdistill.tables.schema import TOKENS, Schema
from selfdistill.training.practice.rollouts import Question
from selfdistill.training.practice.settings import PracticeSettings

SIBLING = "sibling"
TAUGHT: Schema = {"teacher_ids": TOKENS, "told_by": pl.String}


class Teaching:
    """Of every rollout the teacher's prompt. `key` is where the study file names the context."""

    def __init__(self, settings: PracticeSettings, model: Path) -> None:
        self.settings, self.context = settings, settings.teacher or Context()
        self.key = f"arms.{settings.arm}.context"
        self.is_there = settings.method == "distil"
        self.untold: Counter[str] = Counter()  # of the last generation that was taught: why a rollout has no teacher
        if self.is_there and not self.context.tells_nothing:
            self.telling = Telling(self.context, settings.prompt, self._chat(model))

    def _chat(self, model: Path) -> Chat:
        settings, template = self.settings, self.context.template
        trusted = inspect_model(model, settings.context, settings.trust_remote_code).trust_remote_code
        text = Path(template).read_text(encoding="utf-8") if template else None
        return Chat(model, settings.chat | self.context.switches, trusted, f"{self.key}: chat", text)

    def refuse(self, questions: pl.DataFrame) -> None:
        """Before the first generation: what can be known of QUESTIONS then."""
        if not self.is_there or self.context.tells_nothing or questions.is_empty():
            return
        longest = questions.sort(pl.col("prompt_ids").list.len(), descending=True).row(0, named=True)
        most = self.settings.decode.max_tokens
        learnt = self.settings.practice.learnt(most)
        if self.context.solution == SIBLING:
            if self.context.over_length == "refuse":
                row = self.telling.row(longest["problem_id"], longest["problem"], Told("0"))
                row |= {"prompt_tokens": row["prompt_tokens"] + most, "solution_tokens": most}
                self._refuse_too_long(fitting(row, self.settings.context - learnt), learnt)
        elif self.context.solution is not None and questions["told"].null_count() == questions.height:
            raise UserError(
                f"{self.key}: of {questions.height:,} questions none has a solution that the teacher could be told; change the "
                "context's solution, or practise on other problems."
            )

    def taught(self, rows: pl.DataFrame, questions: Sequence[Question]) -> pl.DataFrame:
        """The columns `teacher_ids` and `told_by` of a generation's rollouts, in their order."""
        self.untold.clear()
        if not self.is_there:
            return pl.DataFrame({name: [None] * rows.height for name in TAUGHT}, schema=TAUGHT)
        if self.context.tells_nothing:
            return rows.select(pl.col("prompt_ids").alias("teacher_ids"), pl.lit(None, pl.String).alias("told_by"))
        size = self.settings.practice.rollouts
        found: list[Row] = []
        for place, question in enumerate(questions):
            found += self._group(question, rows[place * size : (place + 1) * size])
        self.untold.update(row["outcome"] for row in found if row["outcome"] != words.GIVEN)
        taught = [(row["prompt_ids"], row["solution_request_id"] if row["prompt_ids"] else None) for row in found]
        return pl.DataFrame(taught, schema=TAUGHT, orient="row")

    def _group(self, question: Question, rows: pl.DataFrame) -> list[Row]:
        asked: dict[Told | None, Row] = {}  # two at the most are told in a group
        found = []
        for request, tokens in rows.select("request_id", "n_tokens").iter_rows():
            told = self._told(question, request, rows)
            if told not in asked:
                asked[told] = self.telling.row(question.problem_id, question.problem, told)
            learnt = self.settings.practice.learnt(tokens)
            row = fitting(asked[told], self.settings.context - learnt)
            self._refuse_too_long(row, learnt)
            found.append(row)
        return found

    def _told(self, question: Question, request: str, rows: pl.DataFrame) -> Told | None:
        if self.context.solution != SIBLING:
            return None if question.told is None else Told(question.told)
        others = rows.filter((pl.col("verdict") == CORRECT) & (pl.col("request_id") != request))
        if others.is_empty():
            return None
        sibling, text = others.select("request_id", "text").row(0)
        return Told(shown(text, self.context.thought), sibling)

    def _refuse_too_long(self, row: Row, tokens: int) -> None:
        if row["outcome"] != words.TOO_LONG or self.context.over_length == "skip":
            return
        solution = f", of which the solution {row['solution_tokens']:,}," if row["solution_tokens"] else ""
        raise UserError(
            f"{self.key}: problem {row['problem_id']}: up to {row['prompt_tokens']:,} prompt tokens of the teacher{solution} "
            f"and {tokens:,} of an answer do not fit model.context ({self.settings.context:,}); raise model.context, lower the decode's "
            "max_tokens, or set over_length: skip in the context, which leaves such answers without a teacher and counts "
            "them. Nothing is cut."
        )

    def said(self, rollouts: int) -> str | None:
        """How many rollouts of the last generation have a teacher, and why others have none; nothing where all have."""
        if not self.untold:
            return None
        reasons = ", ".join(f"{count:,} ({why})" for why, count in sorted(self.untold.items()))
        return f"{rollouts - self.untold.total():,} of {rollouts:,} answers have a teacher; without: {reasons}."
