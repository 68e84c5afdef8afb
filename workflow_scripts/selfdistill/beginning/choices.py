"""What a person is asked for a first study, and the sentences where an answer will not do."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from selfdistill.foundation.errors import UserError
from selfdistill.foundation.suggestions import suggested
from selfdistill.problems.sources import lines_of, read_source
from selfdistill.rehearsal.rehearsal import LAB
from selfdistill.study.results import usual_folder
from selfdistill.study.section import HUB_ID, STUDY_NAME, TEXTS

Where = Literal["cpu", "gpu", "slurm"]
PLACES: tuple[Where, ...] = get_args(Where)
LAB_MODEL = "resources/lab/model"


@dataclass(frozen=True)
class Choices:
    name: str
    problems: tuple[str, ...]  # one file, to be divided; or one to learn from and one to be asked
    model: str  # its folder
    hub: str | None  # the repository that fills it, where it is not there
    where: Where
    thinks: bool | None = None  # where a person said it

    @property
    def thinks_is_a_guess(self) -> bool:
        return self.hub is not None and self.thinks is None

    @property
    def file(self) -> Path:
        return Path(f"config/{self.name}.yaml")

    def divided(self) -> tuple[Path, Path]:
        """Where the two parts of one file of problems go."""
        return self.file.with_name(f"{self.name}-to-learn.jsonl"), self.file.with_name(f"{self.name}-to-ask.jsonl")


def name_of(given: str) -> str:
    if not re.fullmatch(STUDY_NAME, given):
        raise UserError(f"name: {given!r} is no study's name; write {TEXTS[STUDY_NAME].written}.")
    file, results = Path(f"config/{given}.yaml"), Path(usual_folder({"study": given}))
    if file.exists():
        raise UserError(f"name: {file} is there already, and is left as it is; give another name.")
    if results.exists():
        raise UserError(f"name: {results} holds the results of a study of that name; give another name.")
    return given


def problems_of(given: Sequence[str]) -> tuple[str, ...]:
    """Every line of each file is read, so that a mistake is told here with its line."""
    if not given or len(given) > 2:
        raise UserError(
            "problems: give one file, which is divided, or two: the first to learn from, the second to be asked."
        )
    files = tuple(below_here(file) for file in given)
    if len(set(files)) < len(files):
        raise UserError(f"problems: {files[0]} is given twice; give it once, and it is divided.")
    for file in files:
        if not Path(file).is_file():
            raise UserError(
                f"problems: there is no file {file!r}; give JSON Lines with problem, answer and level on each."
            )
        if not any(lines_of(file, Path("."), "problems")):
            raise UserError(f"problems: {file} is empty; give JSON Lines with problem, answer and level on each.")
        read_source("problems", file)
    return files


def model_of(given: str) -> tuple[str, str | None]:
    """The model's folder, and its repository where the folder is still to be filled; nothing given is the lab's model."""
    folder = below_here(given or LAB_MODEL)
    if Path(folder).is_dir():
        return folder, None
    if re.fullmatch(HUB_ID, given) and not given.startswith(("hub/", "results/", "resources/")):
        return f"hub/{given.split('/')[1]}", given
    raise UserError(
        f"model: there is no folder {given!r}; give the model's folder, or its name on the hub as {TEXTS[HUB_ID].written.split(' as ')[-1]}, "
        f"or nothing for the lab's ({LAB_MODEL})."
    )


# Families that think unless told otherwise; Qwen3's later models say it of themselves.
THINKING_FAMILIES = re.compile(
    r"think|reason|-r1|qwq|magistral|smollm3|qwen3(?!.*(?:instruct|base|coder))", re.IGNORECASE
)
OTHER_FAMILIES = re.compile(r"instruct|-it\b|chat|coder", re.IGNORECASE)


def thinks_by_name(hub: str) -> bool | None:
    """Whether a model thinks before it answers, as far as its name says it."""
    name = hub.rpartition("/")[2]
    return True if THINKING_FAMILIES.search(name) else False if OTHER_FAMILIES.search(name) else None


def yes_or_no(given: str) -> bool:
    said = given.strip().lower()
    if said not in ("y", "yes", "n", "no"):
        raise UserError(f"thinks: {given!r} is neither yes nor no.")
    return said.startswith("y")


def place_of(given: str) -> Where:
    if found := next((place for place in PLACES if place == given), None):
        return found
    raise UserError(f"where: {given!r} is no place to run; {suggested(given, PLACES)}")


def below_here(path: str) -> str:
    """As a study file is to say it: from the project's folder where it lies below that."""
    whole = Path(os.path.normpath(Path(path).expanduser().absolute()))
    return str(whole.relative_to(Path.cwd())) if whole.is_relative_to(Path.cwd()) else str(whole)


def is_the_labs(model: str) -> bool:
    return LAB in (Path(model).resolve(), *Path(model).resolve().parents)
