"""From a study file, or the mapping that Snakemake made of it, to a checked Study; or sentences that name keys and mends."""

from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from selfdistill.foundation.errors import UserError
from selfdistill.study.cross_checks import cross_checks
from selfdistill.study.sentences import _sentence
from selfdistill.study.study import Study


def load_study(raw: dict[str, Any], root: Path = Path(".")) -> Study:
    """The typed and cross-checked study. `root` is where relative paths of the study file start."""
    try:
        study = Study.model_validate(raw)
    except ValidationError as error:
        raise UserError(_sentence(error)) from None
    for complaint in cross_checks(study, root):
        raise UserError(f"study file: {complaint}")
    return study


def read_study(file: Path) -> dict[str, Any]:
    """A study file as Snakemake would read it, for the programs that are not started by it."""
    try:
        raw = yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError:
        raise UserError(f"{file}: there is no such study file; give its path, as config/smoke.yaml.") from None
    except yaml.YAMLError as error:
        raise UserError(f"{file}: is not YAML: {str(error).splitlines()[0]}; mend it there.") from None
    if not isinstance(raw, dict):
        raise UserError(f"{file}: holds no keys; config.yaml shows what a study file looks like.")
    return {key: value for key, value in raw.items() if key != "pathvars"}
