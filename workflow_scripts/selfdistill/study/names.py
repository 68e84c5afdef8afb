"""What a model is called: `base`, a resample arm such as `aa`, `samples-{decode}` for the base as the source of
training samples, `{that}/in-{context}` for the same asked under a context, or `{arm}/seed-{seed}/at-{percent}` for a
checkpoint."""

import re
from typing import NamedTuple

from selfdistill.foundation.errors import UserError

CHECKPOINT = re.compile(r"(?P<arm>[a-z][a-z0-9-]*)/seed-(?P<seed>\d+)/at-(?P<percent>\d{3})")
EXPORT = re.compile(r"at-\d{3}")  # the folder of a checkpoint, in that of its run
SAMPLES = "samples-"
UNTRAINED = re.compile(r"[a-z][a-z0-9-]*")
IN_CONTEXT = re.compile(r"(?P<source>[a-z][a-z0-9-]*)/in-(?P<context>[a-z][a-z0-9-]*)")


class ModelName(NamedTuple):
    arm: str
    training_seed: int | None  # None: nothing was trained
    percent: int  # of training done


def model_id(arm: str, training_seed: int | None = None, percent: int = 0) -> str:
    return arm if training_seed is None else f"{arm}/seed-{training_seed}/at-{percent:03d}"


def in_context(source: str, context: str | None) -> str:
    """An untrained model under a context; without one, itself."""
    return source if context is None else f"{source}/in-{context}"


def context_of(name: str) -> str | None:
    """The context that a model is asked under; None for the bare prompt."""
    found = IN_CONTEXT.fullmatch(name)
    return found["context"] if found else None


def without_context(name: str) -> str:
    found = IN_CONTEXT.fullmatch(name)
    return found["source"] if found else name


def parse_model_id(name: str) -> ModelName:
    """The inverse of `model_id`."""
    if checkpoint := CHECKPOINT.fullmatch(name):
        return ModelName(checkpoint["arm"], int(checkpoint["seed"]), int(checkpoint["percent"]))
    if UNTRAINED.fullmatch(name) or IN_CONTEXT.fullmatch(name):
        return ModelName(name, None, 0)
    raise UserError(f"{name!r} names no model: write base, a resample arm, or arm/seed-0/at-100.")
