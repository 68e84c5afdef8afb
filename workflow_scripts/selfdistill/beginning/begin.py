"""Writes a first study: its problems, read and where need be divided; its file, checked as `forklock check` does it.

Whole or not at all: the study file comes last, and where it does not come, the divided problems go again.
"""

import contextlib
import io
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from selfdistill.beginning.choices import Choices
from selfdistill.beginning.commented import commented
from selfdistill.beginning.division import divided
from selfdistill.beginning.first_study import SEED, first_study, notes_of
from selfdistill.foundation.errors import UserError
from selfdistill.foundation.files import write_text
from selfdistill.foundation.suggestions import listed
from selfdistill.foundation.wording import plural
from selfdistill.planning.examined import looked_at, unreadable_golds
from selfdistill.problems.assemble import assemble
from selfdistill.problems.sources import read_source
from selfdistill.study.lines import lines_in
from selfdistill.study.problems import Problems
from selfdistill.study.study import Study

FEWEST = 8  # problems to learn from: of those that pass the filter three steps of two micro-batches each
UNPLACED = re.compile(r"^[^ ]*\.yaml(:\d+)?: ")  # the place in a file that was never written
SCHEMA = Path("config/schema.json")
Sources = dict[str, dict[str, str]]


class Begun(NamedTuple):
    study: Study
    learnt_from: int  # problems
    asked: int
    too_alike: int  # problems to learn from that are left out, for they are too like one that is asked
    notes: list[str]


def begin(choices: Choices) -> Begun:
    try:
        return _begin(choices)
    except OSError as error:
        raise UserError(
            f"{error.filename}: cannot be written ({error.strerror}); make the project's folder writable. Nothing was written."
        ) from error


def _begin(choices: Choices) -> Begun:
    refuse_unreadable(choices)
    with sources_of(choices) as sources:
        with contextlib.redirect_stderr(io.StringIO()):  # of copies the notes tell
            tables = assemble(Problems.model_validate({"prompt": "{problem}", "sources": sources}), SEED)
        refuse_few(choices, tables.train.height)
        text = beginning_of(choices) + commented(first_study(choices, sources, tables), notes_of(choices))
        lines = lines_in(text, choices.file)
        found = looked_at(lines)[1]
        wrong = [each for each in found if each.kind == "mistake" and not each.of_machine]
        if wrong:
            raise UserError("\n".join(UNPLACED.sub("", each.sentence) for each in wrong))
        write_text(choices.file, text)
    notes = [each.sentence for each in found]
    return Begun(
        Study.model_validate(lines.content),
        tables.train.height,
        tables.evaluation.height,
        tables.contamination.height,
        notes,
    )


def refuse_few(choices: Choices, learnt_from: int) -> None:
    if learnt_from < FEWEST:
        raise UserError(
            f"{listed(choices.problems)}: {plural(learnt_from, 'problem is', 'problems are')} left to learn from, once half are kept "
            f"to be asked or what is too like those is left out, and a study takes {FEWEST} at least; add problems."
        )


def refuse_unreadable(choices: Choices) -> None:
    """All answers that no grader reads, at once, with the lines of the files that were given."""
    problems = [problem for file in choices.problems for problem in read_source("problems", file)]
    if bad := [finding.sentence for finding in unreadable_golds(problems)]:
        raise UserError("\n".join(bad))


@contextmanager
def sources_of(choices: Choices) -> Iterator[Sources]:
    learn, ask = map(Path, choices.problems) if len(choices.problems) == 2 else choices.divided()
    made: list[Path] = []
    try:
        if len(choices.problems) == 1:
            for file, text in zip((learn, ask), divided(choices.problems[0], SEED), strict=True):
                if file.exists():
                    raise UserError(f"{file}: is there already, and is left as it is; remove it, or give another name.")
                write_text(file, text)
                made.append(file)
        yield {"learn": {"path": str(learn), "use": "train"}, "ask": {"path": str(ask), "use": "eval"}}
    except BaseException:
        for file in made:
            file.unlink()
        raise


def beginning_of(choices: Choices) -> str:
    schema = os.path.relpath(SCHEMA, choices.file.parent)
    return (
        f"# The study {choices.name}: does training on its own samples make this model better at these problems?\n"
        "# Every key can be changed; docs/study-file.md has all there are.\n"
        f"# yaml-language-server: $schema={schema}\n"
    )
