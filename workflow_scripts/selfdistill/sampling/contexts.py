"""What is asked under a context: of every problem the prompt with what the model is told, or why the problem is skipped.

In: the problems, the context, and what it tells of each problem. Out: a row a problem. Nothing is ever cut: a prompt that
leaves no room for its completion is an error that names it, or skipped and named, as the context says.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import polars as pl

from selfdistill.foundation.errors import UserError
from selfdistill.grading.answers import CLOSE_THINK, OPEN_THINK
from selfdistill.sampling.prompts import Chat, Message, asked, user_turn
from selfdistill.sampling.solutions import Told
from selfdistill.study.contexts import OF_SAMPLES, Context
from selfdistill.study.wordings import filled
from selfdistill.tables import words
from selfdistill.tables.contexts import CONTEXT_PROMPTS

Row = dict[str, Any]


@dataclass(frozen=True)
class Room:
    """What a prompt must leave room for."""

    context: int  # model.context
    max_tokens: int  # of the decode
    decode: str


@dataclass(frozen=True)
class Telling:
    """A context put into words: a problem, and what is told of it, become a prompt."""

    context: Context
    prompt: str  # the study's
    chat: Chat  # with the context's switches
    earlier: Sequence[Message] = ()  # the examples that stand before every problem

    @cached_property
    def special(self) -> frozenset[int]:
        return _special_ids(self.chat.tokenizer)

    def row(self, problem_id: str, problem: str, told: Told | None) -> Row:
        """With its prompt, however long, or why there is none."""
        row: Row = dict.fromkeys(CONTEXT_PROMPTS) | {"problem_id": problem_id}
        row |= _solution(self.context, told, self.chat.tokenizer, self.special)
        if row["outcome"] == words.GIVEN:
            texts = {"prompt": asked(problem, self.prompt), "problem": problem, "solution": row["solution"] or ""}
            ids = self.chat.ids([*self.earlier, user_turn(filled(self.context.text, texts))])
            row |= {"prompt_tokens": len(ids), "prompt_ids": ids}
        return row


def context_prompts(
    name: str,
    context: Context,
    problems: pl.DataFrame,
    told: Mapping[str, Told],
    prompt: str,
    chat: Chat,
    room: Room,
    earlier: Sequence[Message] = (),
    may_be_empty: bool = False,
) -> pl.DataFrame:
    """`prompt` is the study's, `told` what the context tells of a problem, `chat` with the context's switches and `earlier`
    the examples that stand before every problem. In the order of the problems."""
    telling = Telling(context, prompt, chat, earlier)
    rows = [
        fitting(telling.row(problem_id, problem, told.get(problem_id)), room.context - room.max_tokens)
        for problem_id, problem in problems.select("problem_id", "problem").iter_rows()
    ]
    found = pl.DataFrame(rows, schema=CONTEXT_PROMPTS)
    _refuse_too_long(name, context, found, room)
    if not may_be_empty:
        _refuse_nothing(name, context, found)
    print(f"contexts.{name}: {counted(found)}", file=sys.stderr)
    return found


def fitting(row: Row, room: int) -> Row:
    """The row without its prompt where that takes more tokens than there is room for."""
    too_long = row["outcome"] == words.GIVEN and row["prompt_tokens"] > room
    return row | ({"outcome": words.TOO_LONG, "prompt_ids": None} if too_long else {})


def given(prompts: pl.DataFrame) -> pl.DataFrame:
    """Those that are asked."""
    return prompts.filter(pl.col("outcome") == words.GIVEN)


def counted(prompts: pl.DataFrame) -> str:
    """How many problems are asked, and why the others are not, as a sentence."""
    counts = dict(prompts["outcome"].value_counts().iter_rows())
    long = prompts.filter(pl.col("outcome") == words.TOO_LONG)["problem_id"].to_list()
    reasons = {outcome: outcome for outcome in words.SKIPPED} | {words.TOO_LONG: f"{words.TOO_LONG}: {', '.join(long)}"}
    skipped = [f"{counts[outcome]:,} ({reason})" for outcome, reason in reasons.items() if outcome in counts]
    ending = f"; skipped: {', '.join(skipped)}" if skipped else ""
    return f"{counts.get(words.GIVEN, 0):,} of {prompts.height:,} problems asked{ending}."


def _solution(context: Context, told: Told | None, tokenizer: Any, special: frozenset[int]) -> Row:
    if context.solution is None:
        return {"outcome": words.GIVEN}
    if told is None:
        return {"outcome": words.NO_CORRECT_SAMPLE if context.solution in OF_SAMPLES else words.NO_SOLUTION}
    ids = tokenizer(told.text, add_special_tokens=False)["input_ids"]
    row = {"solution": told.text, "solution_request_id": told.request_id, "solution_tokens": len(ids)}
    if not told.text:
        return row | {"outcome": words.NO_ANSWER_PART}
    # As text within a turn they would be read as the tokens that end it.
    if not special.isdisjoint(ids):
        return row | {"outcome": words.HOLDS_SPECIAL_TOKENS}
    return row | {"outcome": words.GIVEN}


def _special_ids(tokenizer: Any) -> frozenset[int]:
    """Tokens that a tokenizer has beside its vocabulary, as those that begin and end turns; a thought's and runs of spaces,
    which some have among them, mean no harm."""
    added = {**tokenizer.get_added_vocab()}
    harmless = {text for text in added if text in (OPEN_THINK, CLOSE_THINK) or not text.strip()}
    ids = {number for text, number in added.items() if text not in harmless}
    return frozenset(ids | {number for number in tokenizer.all_special_ids if number not in added.values()})


def _refuse_too_long(name: str, context: Context, prompts: pl.DataFrame, room: Room) -> None:
    long = prompts.filter(pl.col("outcome") == words.TOO_LONG)
    if long.is_empty() or context.over_length == "skip":
        return
    first = long.row(0, named=True)
    solution = f", of which the solution {first['solution_tokens']:,}," if first["solution_tokens"] else ""
    raise UserError(
        f"contexts.{name}: problem {first['problem_id']}: {first['prompt_tokens']:,} prompt tokens{solution} and "
        f"{room.max_tokens:,} of decodes.{room.decode}.max_tokens do not fit model.context ({room.context:,}), "
        f"{long.height:,} such in all; raise model.context, lower max_tokens, or set contexts.{name}.over_length: "
        "skip, which counts and names them. Nothing is cut."
    )


def _refuse_nothing(name: str, context: Context, prompts: pl.DataFrame) -> None:
    if given(prompts).height:
        return
    mend = "raise training.draws" if context.solution in OF_SAMPLES else f"change contexts.{name}.solution"
    raise UserError(f"contexts.{name}: {counted(prompts)} Nothing is left to ask: {mend}, or ask other problems.")
