"""What decides a training run, as its command line gives it, and what of it may change between a crash and a resumption."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from typing import Any, Literal

from pydantic import ValidationError, field_validator

from selfdistill.foundation.errors import UserError
from selfdistill.study.section import Section
from selfdistill.study.training import Recipe, Training

PACKAGES = ("torch", "transformers", "trl", "accelerate")
WITHOUT_EFFECT = {"threads", "save_every", "trackers"}  # they leave the weights alone: changing them keeps the work


class RunSettings(Section):
    """All that a run depends on besides its model and its dataset."""

    training: Recipe
    study_seed: int
    training_seed: int
    arm: str
    context: int
    device: Literal["cpu", "cuda"] = "cpu"
    threads: int = 1
    processes: int = 1  # on each node
    nodes: int = 1

    @field_validator("training", mode="before")
    @classmethod
    def recipe_only(cls, training: Any) -> Any:
        """The study's whole training section is welcome: what makes the dataset or the job is no part of the run."""
        if isinstance(training, Training):
            training = training.model_dump()
        if isinstance(training, dict):
            elsewhere = Training.model_fields.keys() - Recipe.model_fields.keys()
            training = {key: value for key, value in training.items() if key not in elsewhere}
        return training

    @property
    def ranks(self) -> int:
        return self.processes * self.nodes

    def seed(self, purpose: str) -> int:
        """A seed of its own for each purpose: neighbouring training seeds share nothing."""
        key = hashlib.sha256(f"{purpose} {self.study_seed} {self.training_seed}".encode()).digest()
        return int.from_bytes(key[:4], "big") % 2**31


def training_settings(text: str, **apart: Any) -> RunSettings:
    """Settings as a command line gives them; `apart` is what decides no weight, and is given by itself."""
    try:
        settings = RunSettings.model_validate_json(text)
        given = {key: value for key, value in apart.items() if value is not None}
        return settings.model_copy(update={"training": settings.training.model_copy(update=given)})
    except ValidationError as error:
        raise unfit(error) from None


def unfit(error: ValidationError) -> UserError:
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"]) or "the JSON"
    return UserError(f"--settings: {key}: {first['msg'][0].lower()}{first['msg'][1:]}.")


def run_identity(settings: RunSettings, origin: dict[str, str]) -> dict[str, Any]:
    """Everything that decides the weights. A work folder may be continued only if all of it is the same."""
    chosen = settings.model_dump()
    chosen = {key: value for key, value in chosen.items() if key not in WITHOUT_EFFECT}
    chosen["training"] = {key: value for key, value in chosen["training"].items() if key not in WITHOUT_EFFECT}
    return {"settings": chosen, "origin": origin, "versions": {name: version(name) for name in PACKAGES}}


def identity_hash(identity: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()


def differences(old: Any, new: Any, path: str = "") -> Iterator[str]:
    """Where two identities differ, as `settings.training.lr: 0.001, now 0.002`."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted(old.keys() | new.keys()):
            yield from differences(old.get(key), new.get(key), f"{path}.{key}" if path else key)
    elif old != new:
        yield f"{path}: {_short(old)}, now {_short(new)}"


def _short(value: Any) -> str:
    text = json.dumps(value)
    return f"{text[:13]}…" if len(text) > 40 else text
