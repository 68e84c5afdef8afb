"""Graded answers with a known number of words of doubt, for the tests of judges."""

from typing import Any

import polars as pl

from selfdistill.annotation.agreement import agreement
from selfdistill.study.annotation import Annotation
from selfdistill.tables import words
from selfdistill.tables.annotation import JUDGEMENTS
from selfdistill.tables.problems import PROBLEMS
from selfdistill.tables.sampling import GRADED
from selfdistill.tables.schema import empty_table

MODELS = ("base", "ssd/seed-0/at-100")
DOUBTS = {"base": (3, 1, 4, 1, 5, 9, 2, 6), "ssd/seed-0/at-100": (1, 1, 2, 0, 3, 5, 0, 4)}


def annotation(**keys: Any) -> Annotation:
    judge = {"model": "resources/lab/model", **keys.pop("judge", {})}
    given = {"judge": judge, "decode": "t07", "answers": 8, "rubric": "resources/rubrics/brief.yaml", **keys}
    return Annotation.model_validate(given)


def text_of(doubts: int, problem: int, model: str) -> str:
    return f"Perhaps 4. {'Wait, no. ' * (doubts - 1)}" if doubts else f"It is {problem + 4} of {model[:3]}."


def graded(model: str) -> pl.DataFrame:
    """Two answers at two decodes to each of eight problems, of eight families; only one of them is judged."""
    rows = [
        {
            "request_id": f"{model}-{problem}-{decode}-{draw}", "model_id": model, "problem_id": f"p{problem}",
            "family": f"f{problem}", "purpose": "eval", "decode_id": decode, "draw": draw, "n_tokens": 20 + problem,
            "text": text_of(doubts, problem, model), "token_ids": [1],
        }
        for problem, doubts in enumerate(DOUBTS[model])
        for decode in ("t07", "t15")
        for draw in (0, 1)
    ]  # fmt: skip
    return (
        pl.concat([empty_table(GRADED), pl.DataFrame(rows)], how="diagonal_relaxed")
        .cast(pl.Schema(GRADED))
        .select(*GRADED)
    )


def problems() -> pl.DataFrame:
    rows = [{"problem_id": f"p{problem}", "problem": f"What is {problem} + 4?"} for problem in range(8)]
    return pl.concat([empty_table(PROBLEMS), pl.DataFrame(rows)], how="diagonal_relaxed").select(*PROBLEMS)


def judged_tables(said: str) -> dict[str, pl.DataFrame]:
    """Tables for the page, of a judge that sees one doubt more in every second answer, and says this in each reply."""
    rows = [
        {
            "answer_id": f"{model}-{place}", "model_id": model, "problem_id": f"p{place}", "family": f"f{place}", "pass": number,
            "markers": doubts, "judged": doubts + place % 2, "parse": words.AS_ASKED, "judge": f"judge {said}",
            "engine": words.SERVER, "engine_version": "judge-1", "reply": said,
        }
        for model in MODELS
        for place, doubts in enumerate(DOUBTS[model])
        for number in (1, 2)
    ]  # fmt: skip
    table = pl.concat([empty_table(JUDGEMENTS), pl.DataFrame(rows)], how="diagonal_relaxed").cast(pl.Schema(JUDGEMENTS))
    return {"judgements": table, "annotation": agreement(table, MODELS)}
