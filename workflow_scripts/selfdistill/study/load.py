"""From a study file, or the mapping that Snakemake made of it, to a checked Study; or all that is wrong, a line each."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from selfdistill.foundation.errors import UserError
from selfdistill.study.cross_checks import cross_checks
from selfdistill.study.lines import Lines, read_with_lines
from selfdistill.study.sentences import complaints
from selfdistill.study.study import Study


def load_study(raw: dict[str, Any], root: Path = Path("."), lines: Lines | None = None) -> Study:
    """The typed and cross-checked study. `root` is where relative paths of the study file start; `lines` says where in
    the file the keys of `raw` stand."""
    study = typed_study(raw, lines)
    refuse(dict.fromkeys(cross_checks(study, root)), raw, lines)
    return study


def typed_study(raw: dict[str, Any], lines: Lines | None = None) -> Study:
    """The study as its keys say it, each by itself; whether they fit each other is not looked at."""
    try:
        return Study.model_validate(raw)
    except ValidationError as error:
        refuse(complaints(error, raw), raw, lines)
        raise


def refuse(wrong: Iterable[str], raw: dict[str, Any], lines: Lines | None) -> None:
    """All complaints at once, each with its place in the file."""
    if told := [lines.placed(one, raw) if lines else f"study file: {one}" for one in wrong]:
        raise UserError("\n".join(told))


def read_study(file: Path) -> dict[str, Any]:
    """A study file as Snakemake would read it, for the programs that are not started by it."""
    return without_paths(read_with_lines(file).content)


def study_of(file: Path) -> Study:
    """The checked study of a file; what is wrong with it is told with its lines."""
    lines = read_with_lines(file)
    return load_study(without_paths(lines.content), lines=lines)


def without_paths(raw: dict[str, Any]) -> dict[str, Any]:
    """Without what is Snakemake's own."""
    return {key: value for key, value in raw.items() if key != "pathvars"}
