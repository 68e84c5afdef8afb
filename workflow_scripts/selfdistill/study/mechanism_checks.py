"""Section `mechanism`, checked against the rest of the study."""

import sys
from collections.abc import Iterator
from pathlib import Path

from selfdistill.foundation.suggestions import suggested
from selfdistill.study.evaluation import ALL, size_of
from selfdistill.study.mechanism import Mechanism
from selfdistill.study.models import arms_with_dataset, practising_arms, trained_arms
from selfdistill.study.plugin_checks import plugged_in
from selfdistill.study.study import Study


def mechanism_checks(study: Study, root: Path) -> Iterator[str]:
    if study.mechanism is None:
        return
    yield from _decode(study, study.mechanism)
    yield from _arms(study, study.mechanism)
    yield from _carriers(study, study.mechanism)
    yield from _classes(study.mechanism)
    yield from _lists(study.mechanism)
    yield from _noise(study, study.mechanism)
    if study.mechanism.depth and study.sampling.engine in ("vllm", *plugged_in(study, root).names("engine")):
        yield (
            "mechanism.depth: is read from a model's layers, which only the torch engine gives; set sampling.engine to auto "
            "or torch, or remove the key."
        )


def _decode(study: Study, mechanism: Mechanism) -> Iterator[str]:
    if mechanism.decode not in study.decodes:
        yield f"mechanism.decode: no decode is named {mechanism.decode!r}; {suggested(mechanism.decode, study.decodes)}"
        return
    for side in ("base", "final"):
        if mechanism.decode not in getattr(study.evaluation.decodes, side):
            yield (
                f"mechanism.decode: carriers are answers at {mechanism.decode!r}, which evaluation.decodes.{side} lacks; add it "
                "there or name another."
            )


def _arms(study: Study, mechanism: Mechanism) -> Iterator[str]:
    for key, arms in {"arms": mechanism.arms, "noise.arms": mechanism.noise.arms if mechanism.noise else []}.items():
        yield from _named_arms(study, f"mechanism.{key}", arms)
        if len(set(arms)) < len(arms):
            yield f"mechanism.{key}: names an arm twice; once is enough."
    if mechanism.branches:
        yield from _named_arms(study, "mechanism.branches.arm", [mechanism.branches.arm])
    yield from _without_dataset(study, mechanism)


def _without_dataset(study: Study, mechanism: Mechanism) -> Iterator[str]:
    """Gradients are taken of the examples of an arm's dataset."""
    for key, arms in {
        "noise.arms": mechanism.noise.arms if mechanism.noise else [],
        "branches.arm": [mechanism.branches.arm] if mechanism.branches else [],
    }.items():
        for arm in arms:
            if arm in practising_arms(study):
                yield f"mechanism.{key}: {arm!r} practises, and has no dataset whose gradients could be taken; name another arm."
    if mechanism.noise and not mechanism.noise.arms and not arms_with_dataset(study) and trained_arms(study):
        yield "mechanism.noise: no arm has a dataset whose gradients could be taken; remove the section."


def _named_arms(study: Study, key: str, arms: list[str]) -> Iterator[str]:
    trained = trained_arms(study)
    for arm in arms if trained else []:  # that nothing is trained is told elsewhere
        if arm not in study.arms:
            yield f"{key}: no arm is named {arm!r}; {suggested(arm, trained)}"
        elif arm not in trained:
            yield f"{key}: {arm!r} trains nothing, it is the base sampled anew; name trained arms."


def _carriers(study: Study, mechanism: Mechanism) -> Iterator[str]:
    if mechanism.carriers % 2:
        yield f"mechanism.carriers: {mechanism.carriers} are not as many of the base as of trained models; give an even number."
    problems = size_of(study.evaluation.budgets.get("full", ALL), sys.maxsize)
    if mechanism.carriers // 2 > problems:
        yield (
            f"mechanism.carriers: {mechanism.carriers // 2} texts of the base, each of another problem, are more than the "
            f"{problems} problems of evaluation.budgets.full; lower it."
        )
    if mechanism.strips > mechanism.carriers // 2:
        yield (
            f"mechanism.strips: {mechanism.strips} of each side are more than its carriers ({mechanism.carriers // 2}); lower it."
        )
    positions = mechanism.positions
    if not (positions.regular or positions.random or positions.heuristic):
        yield "mechanism.positions: names no position; give at least one of regular, random and heuristic."


def _classes(mechanism: Mechanism) -> Iterator[str]:
    classes = mechanism.classes
    for low, high in (("fork_top", "lock_top"), ("fork_second", "fork_top"), ("fork_tail", "diffuse_tail")):
        below, above = getattr(classes, low), getattr(classes, high)
        if below > above:
            yield f"mechanism.classes.{low}: {below} lies above {high} ({above}), so that classes overlap; lower it."
    if classes.fork_second > 0.5:
        yield f"mechanism.classes.fork_second: no second token has {classes.fork_second}, half of all is its most; lower it."


def _lists(mechanism: Mechanism) -> Iterator[str]:
    if min(mechanism.temperatures) <= 0:
        yield "mechanism.temperatures: a temperature is above 0; remove what is not."
    if len(set(mechanism.temperatures)) < len(mechanism.temperatures):
        yield "mechanism.temperatures: names one twice; once is enough."
    if not all(word.strip() for word in mechanism.doubt):
        yield "mechanism.doubt: holds an empty word; remove it."
    if mechanism.branches and len(set(mechanism.branches.batches)) < len(mechanism.branches.batches):
        yield "mechanism.branches.batches: names one twice; once is enough."


def _noise(study: Study, mechanism: Mechanism) -> Iterator[str]:
    noise, branches = mechanism.noise, mechanism.branches
    made = [0, *study.training.checkpoints]
    for percent in noise.checkpoints if noise else []:
        if percent not in [*made, 100]:  # where training's last is not 100, that is told elsewhere
            yield (
                f"mechanism.noise.checkpoints: no checkpoint is made at {percent} %; name 0 for the base, or one of "
                f"training.checkpoints ({', '.join(map(str, study.training.checkpoints))})."
            )
    if noise and len(set(noise.checkpoints)) < len(noise.checkpoints):
        yield "mechanism.noise.checkpoints: names one twice; once is enough."
    if branches is None or branches.arm not in arms_with_dataset(study):
        return
    if min(branches.batches) < 1 or max(branches.batches) > branches.examples:
        yield (
            f"mechanism.branches.batches: a batch has 1 to {branches.examples} examples (mechanism.branches.examples); remove "
            "what lies beyond."
        )
    if branches.examples + branches.held_out > study.training.examples:
        yield (
            f"mechanism.branches: {branches.examples} shown and {branches.held_out} held-out examples are more than an arm has "
            f"(training.examples: {study.training.examples}); lower mechanism.branches.examples."
        )
    if len(set(branches.seeds)) < len(branches.seeds):
        yield "mechanism.branches.seeds: names one twice; once is enough."
