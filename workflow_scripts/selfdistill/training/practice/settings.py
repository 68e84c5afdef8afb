"""What decides a practice, as its command line gives it: a training's settings and how rollouts are made and learnt from."""

from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from selfdistill.foundation.plugins import without_place
from selfdistill.sampling.engines.choice import choose_engine
from selfdistill.study.contexts import Context
from selfdistill.study.doubt import Doubt
from selfdistill.study.grading import Grading
from selfdistill.study.practice import Method, PracticeRecipe, deciding
from selfdistill.study.sampling import Decode, Sampling
from selfdistill.training.settings import RunSettings, run_identity, unfit


class PracticeSettings(RunSettings):
    """All that a practice depends on besides its model and its questions."""

    method: Method
    practice: PracticeRecipe
    decode: Decode
    sampling: Sampling  # engine, precision, batch
    grading: Grading
    doubt: Doubt = Doubt()
    prompt: str  # the study's: {problem} is replaced
    teacher: Context | None = None  # what the teacher is told; None where it is told nothing
    chat: dict[str, Any] = Field(default={})
    thinks: bool = True
    trust_remote_code: str | None = None
    replays: str | None = None  # digest of the rollouts that are learnt from instead


def practice_settings(text: str, **apart: Any) -> PracticeSettings:
    """Settings as a command line gives them; `apart` is what decides no weight, and is given by itself."""
    try:
        settings = PracticeSettings.model_validate_json(text)
    except ValidationError as error:
        raise unfit(error) from None
    return settings.model_copy(update={"training": settings.training.model_copy(update=apart)})


def with_engine(settings: PracticeSettings, model: Path) -> PracticeSettings:
    """The engine by its name, for it decides what is answered. `model` is the base's folder: engines are chosen by its size."""
    engine = choose_engine(settings.sampling.engine, settings.device, model)
    return settings.model_copy(update={"sampling": settings.sampling.model_copy(update={"engine": engine})})


def practice_identity(settings: PracticeSettings, origin: dict[str, str]) -> dict[str, Any]:
    """Everything that decides the weights, as `run_identity` has it for a training on a dataset."""
    identity = run_identity(settings, origin)
    identity["settings"] = deciding(identity["settings"])
    sampling = identity["settings"]["sampling"]
    sampling["engine"] = without_place(sampling["engine"])
    if settings.replays:
        del sampling["engine"]
    return identity


def as_told(settings: PracticeSettings) -> dict[str, Any]:
    """As a manifest tells them, which is published: where a plugin lies is this machine's, and what it is, everyone's."""
    told = settings.model_dump()
    told["sampling"]["engine"] = without_place(settings.sampling.engine)
    return told
