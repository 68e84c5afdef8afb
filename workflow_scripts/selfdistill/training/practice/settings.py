"""What decides a practice, as its command line gives it: a training's settings and how rollouts are made and learnt from."""

from typing import Any

from pydantic import Field, ValidationError

from selfdistill.study.contexts import Context
from selfdistill.study.doubt import Doubt
from selfdistill.study.grading import Grading
from selfdistill.study.practice import Method, PracticeRecipe
from selfdistill.study.sampling import Decode, Sampling
from selfdistill.training.settings import RunSettings, run_identity, unfit

# What of the study's sections decides nothing here: how many at once, and what a dataset is taken through by.
NOT_HERE = {
    "training": {"batch", "epochs", "max_steps", "collation", "over_length"},
    "practice": {"turns", "decode"},  # the decode itself is one of the settings
    "sampling": {"engine", "batch", "shards_base", "shards_checkpoint", "gpus", "export_limit"},
}


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


def practice_identity(settings: PracticeSettings, origin: dict[str, str]) -> dict[str, Any]:
    """Everything that decides the weights, as `run_identity` has it for a training on a dataset."""
    identity = run_identity(settings, origin)
    for section, keys in NOT_HERE.items():
        kept = {key: value for key, value in identity["settings"][section].items() if key not in keys}
        identity["settings"][section] = kept
    return identity
