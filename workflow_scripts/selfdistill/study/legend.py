"""Arms and decodes in plain words, made from the study: the legend of the report's first screen and of `forklock plan`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from selfdistill.foundation.wording import count, decode_in_words
from selfdistill.study.arms import Arm
from selfdistill.study.factorial import is_plain
from selfdistill.study.recipe_words import (
    lesson_in_words,
    practice_changes,
    shared_recipe,
    training_changes,
)
from selfdistill.study.sampling import Decode

BASE = "base"
SSD = (
    "SSD is simple self-distillation: a model draws its own answers at some temperature and truncation, and is trained on "
    "them as they are, right and wrong."
)
# Of words that stand in names alone.
IN_NAMES = {
    "sdpo": "SDPO is self-distillation policy optimisation: the model answers, and its teacher is the model itself, shown another "
    "right answer to the same question.",
    "opsd": "OPSD is on-policy self-distillation: the model answers, and its teacher is the model itself, shown the "
    "dataset’s own solution.",
}
WHAT_THEY_ARE = "An arm is one way of making a model; a decode is one way of drawing its answers."


@dataclass(frozen=True)
class Legend:
    """Names and what they mean."""

    sentences: tuple[str, ...]  # what the words mean that the names are made of
    shared: str  # the recipe that all arms share
    arms: dict[str, str]
    decodes: dict[str, str]
    cap: str  # of every decode, where it is the same


def legend_of(study: Mapping[str, Any]) -> Legend:
    """All that a page of this study names, from the plain study: its file with every default in its place, or less."""
    arms = {name: Arm.model_construct(**fields) for name, fields in (study.get("arms") or {}).items()}
    decodes = {name: Decode.model_validate(fields) for name, fields in (study.get("decodes") or {}).items()}
    caps = {decode.max_tokens for decode in decodes.values()}
    cap = f"at most {count(caps.pop())} tokens each" if len(caps) == 1 else ""
    return Legend(
        (*([SSD] if _speaks_of_ssd(study, arms) else []), *_spelled_out(study, arms), WHAT_THEY_ARE),
        shared_recipe(study),
        {BASE: "the model as it is; nothing is trained"} | {name: arm_in_words(study, arm) for name, arm in arms.items()},
        {name: _decode(study, name, decode, arms, with_cap=not cap) for name, decode in decodes.items()},
        cap,
    )  # fmt: skip


def arm_in_words(study: Mapping[str, Any], arm: Arm) -> str:
    """What an arm learns, and where its recipe is not the study's."""
    changes = [*training_changes(study, arm), *practice_changes(study, arm)]
    times = f"trained {len(arm.seeds)} times" if len(arm.seeds) > 1 and not arm.resample else ""
    return "; ".join(filter(None, [lesson_in_words(study.get("contexts") or {}, arm), *changes, times]))


def _speaks_of_ssd(study: Mapping[str, Any], arms: Mapping[str, Arm]) -> bool:
    """Whether a reader meets the word, as a name's part or as what an arm is."""
    unchecked = any(arm.drawn_by and arm.keep in ("finished", "everything") for arm in arms.values())
    return unchecked or "ssd" in _words_of_names(study, arms)


def _spelled_out(study: Mapping[str, Any], arms: Mapping[str, Arm]) -> list[str]:
    there = _words_of_names(study, arms)
    return [sentence for word, sentence in IN_NAMES.items() if word in there]


def _words_of_names(study: Mapping[str, Any], arms: Mapping[str, Arm]) -> set[str]:
    names = [*arms, *(study.get("decodes") or {}), *(study.get("hypotheses") or {}), str(study.get("study", ""))]
    return {word for name in names for word in name.split("-")}


def _decode(study: Mapping[str, Any], name: str, decode: Decode, arms: Mapping[str, Arm], with_cap: bool) -> str:
    law = [decode_in_words(decode.model_dump(), temperature="temperature", cap="at most" if with_cap else None)]
    law += ["the model’s own distribution"] if is_plain(decode) else []
    law += ["always the likeliest token"] if decode.temperature == 0 else []
    uses = _uses(study, name, arms)
    return ", ".join(law) + (f" ({uses})" if uses else "")


def _uses(study: Mapping[str, Any], name: str, arms: Mapping[str, Arm]) -> str:
    """What is drawn at a decode."""
    asked = (study.get("evaluation") or {}).get("decodes") or {}
    base, final = (name in (asked.get(who) or []) for who in ("base", "final"))
    practised = (study.get("practice") or {}).get("decode")
    trains = any(
        (arm.decode or (arm.practice.get("decode", practised) if arm.practises else None)) == name
        for arm in arms.values()
        if not arm.resample
    )
    evaluated = "for evaluation" if final else "for evaluation of the base" if base else ""
    return ", ".join(filter(None, ["for training samples" if trains else "", evaluated]))
