"""Section `practice`, and the arms that train on their own answers, checked against the rest of the study."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from selfdistill.foundation.suggestions import listed, suggested
from selfdistill.study.arms import Arm
from selfdistill.study.contexts import Context
from selfdistill.study.models import arms_with_dataset, practising_arms
from selfdistill.study.practice import Method, MovingTeacher, PracticeRecipe
from selfdistill.study.sentences import complaints
from selfdistill.study.study import Study
from selfdistill.study.training import NOT_BY_ARM, Recipe

# Keys of an arm, and of its training, that choose among samples which such an arm does not have.
OF_SAMPLES = ("keep", "length_like")
OF_A_DATASET = ("batch", "epochs", "max_steps", "collation", "over_length")
# Keys of practice that only one method reads.
OF_ONE_METHOD: dict[Method, tuple[str, ...]] = {
    "grpo": ("clip", "dual_clip", "scale_rewards"),
    "distil": ("teacher", "divergence", "support", "tail", "token_clip", "ratio_clip"),
}
# What arms must have in common for one to learn from the other's rollouts.
OF_ROLLOUTS = ("decode", "generations", "questions", "rollouts", "coverage")


def practice_checks(study: Study, root: Path) -> Iterator[str]:
    yield from _needs_of_datasets(study)
    yield from _section(study)
    for name, arm in study.arms.items():
        if not arm.practises:
            yield from _without_method(name, arm)
        elif not arm.resample:  # of which it is told that it trains nothing
            yield from _arm(study, name, arm, root)


def _needs_of_datasets(study: Study) -> Iterator[str]:
    """Without arms that learn from a dataset nothing is sampled before training."""
    wanting = list(arms_with_dataset(study))
    for key in ("samples", "examples"):
        if wanting and not getattr(study.training, key):
            yield (
                f"training.{key}: is missing, and {wanting[0]} learns from a dataset; say how many, or give every arm a method."
            )


def _section(study: Study) -> Iterator[str]:
    if study.practice is None:
        return
    methods = {arm.method for arm in practising_arms(study).values()}
    if not methods:
        yield "practice: no arm practises; give one a method (grpo or distil), or remove the section."
        return
    for key in sorted(study.practice.model_fields_set):
        of = _method_of(key)
        if of and of not in methods:
            yield f"practice.{key}: is for method: {of}, which no arm has; remove the key."


def _method_of(key: str) -> Method | None:
    return next((method for method, keys in OF_ONE_METHOD.items() if key in keys), None)


def _without_method(name: str, arm: Arm) -> Iterator[str]:
    for key in ("practice", "replays"):
        if getattr(arm, key) and not arm.resample:
            yield f"arms.{name}.{key}: is for arms that practise; set arms.{name}.method to grpo or distil, or remove the key."


def _arm(study: Study, name: str, arm: Arm, root: Path) -> Iterator[str]:
    yield from _needless(name, arm)
    wrong = list(_own_keys(study, name, arm))
    yield from wrong
    if wrong:
        return
    practice, recipe = study.practice_of(name), study.recipe(name)
    where = f"arms.{name}.practice" if arm.practice else "practice"
    yield from _decode(study, name, practice)
    yield from _rounds(study, where, arm, practice, recipe)
    yield from _rates(f"arms.{name}.training" if arm.training else "training", practice, recipe)
    yield from _teacher(study, name, arm, practice, recipe)
    if arm.method == "distil":
        yield from _support(where, practice, root / study.model.path)
    yield from _replays(study, name, arm)


def _needless(name: str, arm: Arm) -> Iterator[str]:
    """Keys that speak of samples, in an arm that gives its answers while it trains."""
    needless = [f"{key}" for key in OF_SAMPLES if getattr(arm, key)]
    needless += ["samples"] if arm.on_references else []
    needless += ["targets"] if arm.targets != "sampled" else []
    for key in needless:
        yield (
            f"arms.{name}.{key}: an arm with method: {arm.method} learns from answers that it gives while it trains, and none "
            "are chosen for it before; remove the key."
        )
    for key in sorted(set(OF_A_DATASET) & set(arm.training)):
        yield (
            f"arms.{name}.training.{key}: is for arms that learn from a dataset; with method: {arm.method} practice says how "
            "many answers a step learns (questions, rollouts, updates) and how many generations there are; remove the key."
        )


def _own_keys(study: Study, name: str, arm: Arm) -> Iterator[str]:
    """What is wrong with the arm's changes by themselves."""
    for key in sorted(NOT_BY_ARM & set(arm.training)):
        yield f"arms.{name}.training.{key}: is the same for all arms; set training.{key}."
    if not NOT_BY_ARM & set(arm.training):
        try:
            study.recipe(name)
        except ValidationError as error:
            yield from complaints(error, arm.training, Recipe, ["arms", name, "training"])
    try:
        study.practice_of(name)
    except ValidationError as error:
        yield from complaints(error, arm.practice, PracticeRecipe, ["arms", name, "practice"])
    for key in sorted(arm.practice):
        of = _method_of(key)
        if of and of != arm.method:
            yield f"arms.{name}.practice.{key}: is for method: {of}, and this arm has method: {arm.method}; remove the key."


def _decode(study: Study, name: str, practice: PracticeRecipe) -> Iterator[str]:
    if practice.decode is None:
        yield f"arms.{name}.decode: is missing; name the decode of the rollouts here, or for all arms as practice.decode."
        return
    key = f"arms.{name}.decode" if study.arms[name].decode else "practice.decode"
    decode = study.decodes.get(practice.decode)
    if decode is None:
        yield f"{key}: no decode is named {practice.decode!r}; {suggested(practice.decode, study.decodes)}"
    elif decode.temperature == 0:
        yield f"{key}: at temperature 0 every answer to a question is the same, and there is no law to learn; name a decode that draws."
    elif practice.prefix and practice.prefix > decode.max_tokens:
        where = f"arms.{name}.practice" if "prefix" in study.arms[name].practice else "practice"
        yield (
            f"{where}.prefix: {practice.prefix} tokens are more than an answer has (decodes.{practice.decode}.max_tokens: "
            f"{decode.max_tokens}); lower it, or null for all of them."
        )


def _rounds(study: Study, where: str, arm: Arm, practice: PracticeRecipe, recipe: Recipe) -> Iterator[str]:
    ranks = study.training.processes_per_node * study.training.nodes
    answers, updates, micro = practice.questions * practice.rollouts, practice.updates, recipe.micro_batch
    if arm.method == "grpo" and practice.rollouts < 2:
        yield f"{where}.rollouts: method: grpo compares answers to the same question, and {practice.rollouts} has none beside it; give two or more."
    if practice.clip[0] >= 1:
        yield f"{where}.clip: a ratio of probabilities is never below 0, and {practice.clip[0]} below 1 would be; lower the first."
    if arm.method == "grpo" and practice.dual_clip is not None and practice.dual_clip < 1 + practice.clip[1]:
        yield (
            f"{where}.dual_clip: {practice.dual_clip} lies below 1 + clip[1] ({1 + practice.clip[1]:g}), where ratios are clipped that "
            "still count for a right answer; raise it, or null for none."
        )
    if practice.questions % updates:
        yield (
            f"{where}.questions: {practice.questions} are not shared evenly by {updates} updates, and an update learns whole "
            "groups; make it a multiple, or change updates."
        )
    elif answers % (updates * micro * ranks):
        yield (
            f"{where}.questions: {practice.questions} × {practice.rollouts} answers are no multiple of {updates} updates times "
            f"training.micro_batch ({micro}) times {ranks} {'process' if ranks == 1 else 'processes'}; change one of them."
        )
    elif practice.batch // micro < 2:
        yield (
            f"{where}.questions: an update learns {practice.batch} answers, which is one micro-batch of {micro}, and gradient "
            "noise needs at least two; give more answers, or lower training.micro_batch."
        )


def _rates(where: str, practice: PracticeRecipe, recipe: Recipe) -> Iterator[str]:
    if recipe.lr_floor > recipe.lr:
        yield f"{where}.lr_floor: {recipe.lr_floor} lies above the peak, lr ({recipe.lr})."
    if recipe.warm_up(practice.steps) >= practice.steps:
        key = "warmup_steps" if recipe.warmup_share is None else "warmup_share"
        yield (
            f"{where}.{key}: {recipe.warm_up(practice.steps)} are all of the {practice.steps} steps there are (generations × "
            "updates); lower it."
        )


def _teacher(study: Study, name: str, arm: Arm, practice: PracticeRecipe, recipe: Recipe) -> Iterator[str]:
    if isinstance(practice.teacher, MovingTeacher) and arm.method == "distil" and recipe.lora:
        yield (
            f"arms.{name}.practice.teacher: with training.lora the teacher is the base, which the adapters leave as it was, and "
            "cannot follow; set teacher: fixed, or train without lora."
        )
    if arm.context is None:
        return
    key = f"arms.{name}.context"
    context = study.contexts.get(arm.context)
    if arm.method == "grpo":
        yield f"{key}: method: grpo has no teacher who could be told something; remove the key."
    elif context is None:
        yield f"{key}: no context is named {arm.context!r}; {suggested(arm.context, study.contexts)}"
    else:
        yield from _told(study, key, arm.context, context, practice)


def _told(study: Study, key: str, name: str, context: Context, practice: PracticeRecipe) -> Iterator[str]:
    if context.solution == "context":
        yield (
            f"{key}: {name!r} shows samples under another context, and a teacher has none of those; name a context with "
            "solution: sibling, which shows another right answer to the question, or dataset, answer or column."
        )
    if context.solution == "sibling" and practice.rollouts < 2:
        yield (
            f"{key}: {name!r} shows another right answer to the same question, and with practice.rollouts: 1 there is none; "
            "raise it, or name a context with solution: dataset, answer or column."
        )
    if study.problems.examples and not context.tells_nothing:
        yield f"{key}: a teacher is not shown problems.examples, which its student is; remove one of the two."
    decode = study.decodes.get(practice.decode or "")
    if decode and context.solution == "sibling" and context.over_length == "refuse":
        longest = 2 * decode.max_tokens
        if longest >= study.model.context:
            yield (
                f"{key}: an answer of {decode.max_tokens} tokens (decodes.{practice.decode}.max_tokens) behind a prompt that shows "
                f"another as long does not fit model.context ({study.model.context}), which would be seen only while it trains; raise "
                f"that, lower max_tokens, or set contexts.{name}.over_length: skip, which counts and names them."
            )


def _support(where: str, practice: PracticeRecipe, model: Path) -> Iterator[str]:
    if practice.support == 1 and not practice.tail:
        yield (
            f"{where}.support: within one token without the rest (tail: false) both laws are the same, and nothing is learnt; raise "
            "it, or set tail: true."
        )
    vocabulary: Any = None
    with contextlib.suppress(OSError, ValueError, AttributeError):  # of such a folder it is told elsewhere
        vocabulary = json.loads((model / "config.json").read_text(encoding="utf-8")).get("vocab_size")
    if practice.support and isinstance(vocabulary, int) and practice.support > vocabulary:
        yield f"{where}.support: {practice.support} tokens are more than the model has ({vocabulary}); lower it, or null for all."


def _replays(study: Study, name: str, arm: Arm) -> Iterator[str]:
    if arm.replays is None:
        return
    key = f"arms.{name}.replays"
    answering = [other for other, that in practising_arms(study).items() if that.replays is None and other != name]
    if arm.replays not in study.arms:
        yield f"{key}: no arm is named {arm.replays!r}; {suggested(arm.replays, answering)}"
        return
    if arm.replays not in answering:
        yield f"{key}: {arm.replays!r} gives no answers while it trains; name an arm that does (there are: {listed(answering)})."
        return
    missing = sorted(set(arm.seeds) - set(study.arms[arm.replays].seeds))
    if missing:
        yield f"{key}: {arm.replays!r} has no training seed {missing[0]}, whose rollouts would be learnt from; give it that seed, or take it from arms.{name}.seeds."
    try:
        mine, theirs = (study.practice_of(each).model_dump() for each in (name, arm.replays))
    except ValidationError:
        return  # which is told of that arm
    for other in _differing(mine, theirs):
        yield f"{key}: {arm.replays!r} has another practice.{other} ({theirs[other]}, not {mine[other]}), so that its rollouts are others than this arm asks for; make them the same."


def _differing(mine: dict[str, Any], theirs: dict[str, Any]) -> list[str]:
    return [key for key in OF_ROLLOUTS if mine[key] != theirs[key]]
