"""Reads raw problems: JSON Lines with problem, answer, level and, where known, id, family and solution.

Other fields are ignored.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from selfdistill.foundation.errors import UserError
from selfdistill.problems.normalise import problem_id


@dataclass(frozen=True)
class RawProblem:
    source: str
    path: str
    line: int
    id: str | None
    family: str | None
    level: int
    problem: str
    answer: str
    problem_id: str
    solution: str | None = None  # a reference solution

    @property
    def place(self) -> str:
        return f"{self.path}, line {self.line}"


def read_source(name: str, path: str, root: Path = Path(".")) -> list[RawProblem]:
    """`path` is as the study file gives it, relative to `root`; it is what the messages name."""
    problems = [raw_problem(name, path, line, text) for line, text in lines_of(path, root, "problems.sources")]
    if not problems:
        raise UserError(f"{path}: holds no problems; fill it or remove problems.sources.{name} from the study file.")
    first_line: dict[str, int] = {}
    for problem in problems:
        if problem.id is not None and first_line.setdefault(problem.id, problem.line) != problem.line:
            raise UserError(
                f"{problem.place}: the id {problem.id!r} stands in line {first_line[problem.id]} already; "
                "give every problem an id of its own."
            )
    return problems


def lines_of(path: str, root: Path, key: str) -> Iterator[tuple[int, str]]:
    """The lines that hold something, with their numbers. `key` of the study file names the path."""
    try:
        with open(root / path, encoding="utf-8-sig") as handle:
            for line, text in enumerate(handle, start=1):
                if text.strip():
                    yield line, text
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); correct its path in {key}.") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: is not UTF-8 text ({error.reason}); save it as UTF-8.") from error


def raw_problem(name: str, path: str, line: int, text: str) -> RawProblem:
    place = f"{path}, line {line}"
    fields = fields_of(text, place, "problem, answer and level")
    level = fields.get("level")
    if not isinstance(level, int) or isinstance(level, bool):
        raise UserError(f"{place}: level must be an integer but is {json.dumps(level)}; give the problem's difficulty.")
    problem = text_of(fields, "problem", place)
    return RawProblem(
        source=name,
        path=path,
        line=line,
        id=_label(fields, "id", place),
        family=_label(fields, "family", place),
        level=level,
        problem=problem,
        answer=text_of(fields, "answer", place),
        problem_id=problem_id(problem),
        solution=_solution(fields, place),
    )


def fields_of(text: str, place: str, wanted: str) -> dict[str, Any]:
    try:
        fields = json.loads(text)
    except json.JSONDecodeError as error:
        raise UserError(
            f"{place}: is not JSON ({error.msg}, column {error.colno}); write one object per line."
        ) from None
    if not isinstance(fields, dict):
        raise UserError(f"{place}: is not a JSON object; write one object with {wanted} per line.")
    return fields


def text_of(fields: dict[str, Any], key: str, place: str, what: str = "problem") -> str:
    value = fields.get(key)
    if key == "answer" and isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if value is None or value == "":
        raise UserError(f"{place}: {key} is missing; every {what} needs one.")
    if not isinstance(value, str):
        raise UserError(f"{place}: {key} must be text but is {json.dumps(value)}; write it in quotes.")
    if not value.strip():
        raise UserError(f"{place}: {key} is empty; every {what} needs one.")
    return value.strip()


def _solution(fields: dict[str, Any], place: str) -> str | None:
    value = fields.get("solution")
    if value is None:
        return None
    if not isinstance(value, str):
        raise UserError(f"{place}: solution must be text but is {json.dumps(value)}; write it in quotes.")
    if not value.strip():
        raise UserError(f"{place}: solution is empty; write the reference solution or leave the key out.")
    return value.strip()


def _label(fields: dict[str, Any], key: str, place: str) -> str | None:
    value = fields.get(key)
    if value is None or value == "":
        return None
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise UserError(f"{place}: {key} must be text or an integer but is {json.dumps(value)}; correct or remove it.")
    return str(value)
