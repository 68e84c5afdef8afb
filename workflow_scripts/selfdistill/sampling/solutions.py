"""What a context tells a model: of every problem that has one the text in place of {solution}, and where it is from."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import polars as pl

from selfdistill.foundation.errors import UserError
from selfdistill.grading.answers import final_part
from selfdistill.problems.normalise import problem_id
from selfdistill.problems.references import solutions_of
from selfdistill.problems.sources import fields_of, lines_of, text_of
from selfdistill.study.contexts import Context
from selfdistill.study.problems import Source
from selfdistill.tables.endings import CORRECT


class Told(NamedTuple):
    text: str  # empty where a sample has nothing behind its thought
    request_id: str | None = None  # the sample that it is


def shown(text: str, thought: bool) -> str:
    """A sample as it is told: whole, or what it says behind its thought, also where the prompt opened that; empty where
    that is nothing."""
    return text if thought else (final_part(text) or "").strip()


def from_samples(graded: pl.DataFrame, thought: bool = True) -> dict[str, Told]:
    """Of each problem the first correct sample, by draw. Without its thought: what it says behind it."""
    first = graded.filter(pl.col("verdict") == CORRECT).sort("problem_id", "draw", "request_id")
    first = first.unique("problem_id", keep="first", maintain_order=True)
    return {
        problem: Told(shown(text, thought), request)
        for problem, text, request in first.select("problem_id", "text", "request_id").iter_rows()
    }


def from_answers(problems: pl.DataFrame) -> dict[str, Told]:
    return {problem: Told(answer) for problem, answer in problems.select("problem_id", "answer").iter_rows()}


def from_column(sources: Mapping[str, str], column: str, root: Path = Path(".")) -> dict[str, Told]:
    """`sources` are names and paths. Of copies of a problem the first that has a text, by the order of the sources and then
    by their texts."""
    found: dict[str, Told] = {}
    for name, path in sources.items():
        told = []
        for line, text in lines_of(path, root, f"problems.sources.{name}"):
            place = f"{path}, line {line}"
            fields = fields_of(text, place, "problem, answer and level")
            value = fields.get(column)
            if value is None:
                continue
            if not isinstance(value, str):
                raise UserError(f"{place}: {column} must be text but is {json.dumps(value)}; write it in quotes.")
            if value.strip():
                told.append((text_of(fields, "problem", place), value.strip()))
        for problem, value in sorted(told):
            found.setdefault(problem_id(problem), Told(value))
    return found


def from_sources(context: Context, problems: pl.DataFrame, sources: Mapping[str, str]) -> dict[str, Told]:
    """What is known before anything is sampled: the answers, the dataset's own solutions, or a column beside them."""
    match context.solution:
        case "answer":
            return from_answers(problems)
        case "dataset":
            solutions = solutions_of({name: Source(path=path, use="train") for name, path in sources.items()})
            return {problem: Told(text) for problem, text in solutions.items()}
        case "column":
            return from_column(sources, str(context.column))
        case _:
            return {}
