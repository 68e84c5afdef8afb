"""Solved problems that every prompt shows first: JSON Lines with problem and completion, the assistant's literal turn."""

from dataclasses import dataclass
from pathlib import Path

from selfdistill.foundation.errors import UserError
from selfdistill.problems.sources import fields_of, lines_of, text_of

KEY = "problems.examples"


@dataclass(frozen=True)
class Example:
    path: str
    line: int
    problem: str
    completion: str

    @property
    def place(self) -> str:
        return f"{self.path}, line {self.line}"


def read_examples(path: str, root: Path = Path(".")) -> list[Example]:
    """In the order of the file, which is the order in which they are shown."""
    found = [_example(path, line, text) for line, text in lines_of(path, root, KEY)]
    if not found:
        raise UserError(f"{path}: holds no examples; fill it or remove {KEY} from the study file.")
    return found


def _example(path: str, line: int, text: str) -> Example:
    place = f"{path}, line {line}"
    fields = fields_of(text, place, "problem and completion")
    problem, completion = (text_of(fields, key, place, "example") for key in ("problem", "completion"))
    return Example(path, line, problem, completion)
