"""What an arm practises on: the first problems of the ranking, as the student is asked them, with what its teacher is told.

In: the training problems, their prompts, and of a teacher that is told something known beforehand what that is. Out: QUESTIONS.
What would not fit the context is told here, before the first answer.
"""

from collections.abc import Mapping

import polars as pl

from selfdistill.foundation.errors import UserError
from selfdistill.sampling.contexts import Room, given
from selfdistill.tables.practice import QUESTIONS


def questions(
    arm: str, train: pl.DataFrame, prompts: pl.DataFrame, told: Mapping[str, str], coverage: int | None, room: Room
) -> pl.DataFrame:
    """In the order of the ranking; all of them without a coverage. `told` are the solutions of problems that have one."""
    ranked = train.sort("rank")
    if ranked.height < (coverage or 1):
        raise UserError(
            f"arms.{arm}: is to practise on {coverage or 1} problems (practice.coverage), but without duplicates and "
            f"contamination there are {ranked.height}; lower it."
        )
    asked = ranked.head(coverage or ranked.height).join(prompts, on="problem_id", how="left", maintain_order="left")
    _refuse_too_long(arm, asked, room)
    solutions = pl.col("problem_id").replace_strict(told, default=None, return_dtype=pl.String)
    return asked.with_columns(gold=pl.col("answer"), told=solutions).select(*QUESTIONS)


def solutions_told(prompts: pl.DataFrame) -> dict[str, str]:
    """Of what is asked under a context, the solutions of the problems that are."""
    return dict(given(prompts).select("problem_id", "solution").iter_rows())


def _refuse_too_long(arm: str, asked: pl.DataFrame, room: Room) -> None:
    long = asked.filter(pl.col("prompt_ids").list.len() + room.max_tokens > room.context)
    if long.is_empty():
        return
    first = long.row(0, named=True)
    raise UserError(
        f"arms.{arm}: problem {first['problem_id']}: {len(first['prompt_ids']):,} prompt tokens and {room.max_tokens:,} of "
        f"decodes.{room.decode}.max_tokens do not fit model.context ({room.context:,}), {long.height:,} such in all; raise "
        "model.context, lower max_tokens, or practise on other problems. Nothing is cut."
    )
