"""The requests of a generation: every question so many times, of the student as it is now.

A request's name holds the policy, the prompt, the decode, the draw and the training's seed, and nothing of the arm: two arms
with one seed that come to the same policy and question draw the same answer there, and two seeds share none.
"""

from collections.abc import Sequence
from typing import Any

import polars as pl

from selfdistill.sampling.requests import request_id, seed_of
from selfdistill.tables.sampling import PLAN, PRACTICE
from selfdistill.training.practice.rollouts import Question
from selfdistill.training.practice.settings import PracticeSettings


def plan_of(questions: Sequence[Question], policy: str, settings: PracticeSettings, shards: int) -> pl.DataFrame:
    """A plan as samplers read it: question by question and draw by draw, dealt to the shards like cards."""
    recipe, sampling, decode = settings.practice, settings.sampling, settings.decode.model_dump()
    loops = sampling.abort_loops.model_dump() if sampling.abort_loops else None
    stream = f"{PRACTICE} {settings.training_seed}"
    rows: list[dict[str, Any]] = []
    for question in questions:
        for draw in range(question.first_draw, question.first_draw + recipe.rollouts):
            key = request_id(
                policy, sampling.precision, question.prompt_ids, decode, draw, stream, settings.study_seed, loops
            )
            rows.append(
                {
                    "request_id": key,
                    "model_id": f"{settings.arm}/seed-{settings.training_seed}",
                    "problem_id": question.problem_id,
                    "purpose": PRACTICE,
                    "decode_id": recipe.decode or "",
                    "draw": draw,
                    "seed": seed_of(key),
                    "shard": len(rows) % shards,
                    "prompt_ids": question.prompt_ids,
                    **decode,
                }
            )
    return pl.DataFrame(rows, schema=PLAN)
