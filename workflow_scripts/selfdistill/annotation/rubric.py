"""The rubric: what a judge is asked, and what its reply must hold. A file, so that it can be read, changed and cited."""

import json
import re
from pathlib import Path

import yaml
from pydantic import Field, ValidationError

from selfdistill.annotation.contract import JudgeSettings
from selfdistill.foundation.errors import UserError
from selfdistill.study.annotation import Annotation
from selfdistill.study.section import Name, Section
from selfdistill.study.sentences import complaints
from selfdistill.study.study import Study

NEEDED = ("{problem}", "{answer}", "{form}")
PLACES = re.compile(r"\{(problem|answer|counts|form)\}")


class Rubric(Section):
    source: str = Field(min_length=1, description="Whose wording it is.")
    counts: dict[Name, str] = Field(min_length=1, description="What the reply must count, each with what it is.")
    wording: str = Field(description="What the judge is asked.")

    def question(self, problem: str, answer: str) -> str:
        """All places are filled at once: what stands in a problem or an answer is never one."""
        told = {
            "problem": problem,
            "answer": answer,
            "counts": "\n".join(f"- {name}: {what}" for name, what in self.counts.items()),
            "form": "{" + ", ".join(f"{json.dumps(name)}: …" for name in self.counts) + "}",
        }
        return PLACES.sub(lambda place: told[place[1]], self.wording)


def read_rubric(path: Path) -> Rubric:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"annotation.rubric: there is no file {str(path)!r}; correct its path.") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"{path}: is no YAML file that can be read ({str(error).splitlines()[0]}); mend it.") from None
    if not isinstance(content, dict):
        raise UserError(f"{path}: holds no keys; a rubric has source, counts and wording.")
    try:
        rubric = Rubric.model_validate(content)
    except ValidationError as error:
        raise UserError("\n".join(f"{path}: {one}" for one in complaints(error, content, Rubric))) from None
    for place in NEEDED:
        if place not in rubric.wording:
            raise UserError(f"{path}: its wording lacks {place}, without which a judge cannot answer; add it.")
    return rubric


def settings_of(annotation: Annotation) -> JudgeSettings:
    """What a plugin's judge is told of what it is asked."""
    return JudgeSettings(read_rubric(Path(annotation.rubric)).counts, annotation.temperature, annotation.max_tokens)


def check_rubric(study: Study, root: Path = Path(".")) -> None:
    """Before anything runs."""
    if study.annotation:
        read_rubric(root / study.annotation.rubric)
