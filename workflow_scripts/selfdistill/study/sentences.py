"""Complaints about a study file as sentences: pydantic's in the study file's own words, and what was probably meant."""

import contextlib
import difflib
from typing import Any

from pydantic import BaseModel, ValidationError

from selfdistill.study.study import Study

# Keys of older study files and what they are called now.
RENAMED = {
    "model.dtype": "sampling.precision",
    "evaluation.base": "evaluation.decodes.base",
    "evaluation.final": "evaluation.decodes.final",
    "evaluation.earlier": "evaluation.decodes.earlier",
}


def _known(wrong: str, known: dict[str, Any]) -> str:
    close = difflib.get_close_matches(wrong, known, n=1)
    return f"did you mean {close[0]!r}?" if close else f"there are: {', '.join(known) or 'none'}."


def _sentence(error: ValidationError) -> str:
    return f"study file: {_complaint(error)}"


def _complaint(error: ValidationError) -> str:
    """The first complaint of pydantic as one sentence in the words of the study file."""
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"] if part != "[key]")
    value = first.get("input")
    if key in RENAMED:
        return f"{key}: is now called {RENAMED[key]}; rename it."
    if first["type"] == "extra_forbidden":
        *path, wrong = [str(part) for part in first["loc"]]
        return f"{key}: there is no such key; {_known(wrong, dict.fromkeys(_keys_at(path)))}"
    if first["type"] == "missing":
        return f"{key}: is missing; every study file is complete by itself."
    if isinstance(value, str) and first["type"] in ("float_type", "int_type"):
        hint = ""
        with contextlib.suppress(ValueError):
            hint = f" (YAML reads {value} as text; write {float(value):.1e})"
        return f"{key}: {value!r} is text where a number is needed{hint}."
    return f"{key}: {first['msg'][0].lower()}{first['msg'][1:]}, but it is {value!r}."


def _keys_at(path: list[str]) -> list[str]:
    """The keys that the section at this path knows."""
    section: Any = Study
    for part in path:
        if isinstance(section, type) and issubclass(section, BaseModel):
            field = section.model_fields.get(part)
            section = field.annotation if field else None
        else:  # a mapping from names to sections
            section = getattr(section, "__args__", (None, None))[-1]
    return list(section.model_fields) if isinstance(section, type) and issubclass(section, BaseModel) else []
