"""Which models a study samples and trains: the names that the rules make their graph of, and the plan of cost its counts."""

from collections.abc import Iterable

from selfdistill.study.arms import Arm
from selfdistill.study.contexts import Context
from selfdistill.study.names import SAMPLES, context_of, in_context, model_id, without_context
from selfdistill.study.study import Study


def trained_arms(study: Study) -> dict[str, Arm]:
    return {name: arm for name, arm in study.arms.items() if not arm.resample}


def practising_arms(study: Study) -> dict[str, Arm]:
    """Trained arms that learn from answers that they give while they train: these have no dataset."""
    return {name: arm for name, arm in trained_arms(study).items() if arm.practises}


def arms_with_dataset(study: Study) -> dict[str, Arm]:
    """Trained arms that learn what is chosen for them before they train."""
    return {name: arm for name, arm in trained_arms(study).items() if not arm.practises}


def sampled_arms(study: Study) -> dict[str, Arm]:
    """Trained arms that learn from the base's own samples."""
    return {name: arm for name, arm in arms_with_dataset(study).items() if not arm.on_references}


def reference_arms(study: Study) -> dict[str, Arm]:
    """Trained arms that learn from the dataset's own solutions."""
    return {name: arm for name, arm in arms_with_dataset(study).items() if arm.on_references}


def teacher_of(study: Study, name: str) -> Context | None:
    """What the teacher of an arm that practises is told; None where it has no teacher, or one that is told nothing."""
    arm = study.arms[name]
    return study.contexts[arm.context] if arm.practises and arm.context else None


def learns_of(study: Study, run: str) -> str | None:
    """The run whose rollouts a run learns from; None where it gives its own."""
    arm, seed = run.split("/")
    replayed = study.arms[arm].replays
    return f"{replayed}/{seed}" if replayed else None


def steps_of(study: Study, arm: str) -> int:
    """Optimiser steps of an arm's training."""
    if study.arms[arm].practises:
        return study.practice_of(arm).steps
    return study.recipe(arm).steps(study.training.examples)


def answers_learnt(study: Study) -> int:
    """How many examples or answers a training learns from at most, all epochs and generations together."""
    given = [study.practice_of(name).answers for name in practising_arms(study)]
    return max(study.training.examples * study.training.epochs, *given, 0)


def runs(study: Study) -> list[str]:
    return [f"{name}/seed-{seed}" for name, arm in trained_arms(study).items() for seed in arm.seeds]


def correct_arms(study: Study) -> dict[str, Arm]:
    """Trained arms that learn right answers alone, of the same problems where their decode is the same."""
    return {name: arm for name, arm in sampled_arms(study).items() if arm.keep == "correct"}


def partners(study: Study, name: str) -> list[str]:
    """The arms whose right answers are of the same problems: itself among them."""
    decode = study.arms[name].decode
    return [other for other, arm in correct_arms(study).items() if arm.decode == decode]


def source_of(study: Study, arm: str) -> str:
    """Whose samples an arm learns."""
    return sampled_under(study, f"{SAMPLES}{study.arms[arm].decode}", study.arms[arm].context)


def sampled_under(study: Study, source: str, context: str | None) -> str:
    """An untrained model under a context. One that tells nothing is the model itself, whose requests are the same."""
    return source if context is None or study.contexts[context].tells_nothing else in_context(source, context)


def shown_to(study: Study, model: str) -> str | None:
    """The model whose correct samples a context shows; None where its solutions are none of a model's."""
    source, context = without_context(model), study.contexts[context_of(model) or ""]
    if context.solution == "sibling":
        return source
    return sampled_under(study, source, context.context) if context.solution == "context" else None


def uses_of_context(study: Study, name: str) -> set[str]:
    """Of which problems a context tells: train, eval, both, or neither where nothing is asked under it."""
    arms = [arm.context for arm in (*sampled_arms(study).values(), *practising_arms(study).values())]
    asked = [("train", context) for context in arms if context]
    asked += [("train", context) for context in (study.disagreement.contexts if study.disagreement else [])]
    if study.ladder:
        asked += [(study.ladder.use, context) for context in study.ladder.contexts]
    return {use for use, context in asked if name in _shown_along(study, context)}


def _shown_along(study: Study, context: str) -> set[str]:
    """A context and those whose samples it shows; one that does not exist is told of elsewhere."""
    found: set[str] = set()
    following: str | None = context
    while following in study.contexts and following not in found:
        found.add(following)
        following = study.contexts[following].context
    return found


def with_what_they_are_shown(study: Study, models: Iterable[str]) -> list[str]:
    """Models and those whose samples their contexts show, each behind what it needs."""
    found: dict[str, None] = {}
    for model in models:
        needed = [model]
        while context_of(needed[-1]) and (shown := shown_to(study, needed[-1])):
            needed.append(shown)
        found |= dict.fromkeys(reversed(needed))
    return list(found)


def sources_of_samples(study: Study) -> list[str]:
    """The base as the source of training samples: one model a decode, and one more for each context."""
    plain = sorted({f"{SAMPLES}{arm.decode}" for arm in sampled_arms(study).values() if not arm.context})
    told = sorted({source_of(study, name) for name, arm in sampled_arms(study).items() if arm.context})
    read = [
        model
        for model in with_what_they_are_shown(study, reading_contexts(study))
        if model not in reading_contexts(study)
    ]
    return with_what_they_are_shown(study, [*plain, *told, *read])


def asked_in_context(study: Study) -> list[str]:
    """Those that are told something, to sample or to read."""
    return list(
        dict.fromkeys(model for model in (*sources_of_samples(study), *reading_contexts(study)) if context_of(model))
    )


def reading_contexts(study: Study) -> list[str]:
    """The base as it was asked under each context of `disagreement` that tells something, so that its prompts are there."""
    if study.disagreement is None:
        return []
    source = f"{SAMPLES}{study.disagreement.decode}"
    under = (sampled_under(study, source, context) for context in study.disagreement.contexts)
    return [model for model in under if model != source]


def readers(study: Study) -> list[str]:
    """Who reads the base's samples: itself, itself under each context, and finished models."""
    if study.disagreement is None:
        return []
    told = [in_context("base", context) for context in study.disagreement.contexts]
    return ["base", *told, *finished_models(study, study.disagreement.arms)]


def thinks(study: Study, model: str) -> bool:
    """Whether a model's completions hold a thought, which a context may switch."""
    context = context_of(model)
    switched = study.contexts[context].thinking if context else None
    return study.model.thinks if switched is None else switched


def context_asked(study: Study, model: str) -> Context:
    return study.contexts[context_of(model) or ""]


def evaluated(study: Study) -> list[str]:
    """Every model that is evaluated: the base, its A/A twins, and each run's checkpoints."""
    twins = [name for name, arm in study.arms.items() if arm.resample]
    checkpoints = [
        percent for percent in study.training.checkpoints if study.evaluation.decodes.earlier or percent == 100
    ]
    trained = [
        model_id(name, seed, percent)
        for name, arm in trained_arms(study).items()
        for seed in arm.seeds
        for percent in checkpoints
    ]
    return ["base", *twins, *trained]


def resample_arms(study: Study) -> list[str]:
    return [name for name, arm in study.arms.items() if arm.resample]


def probed_arms(study: Study) -> list[str]:
    """Arms whose finished models are probed; none without the section `mechanism`."""
    return [] if study.mechanism is None else study.mechanism.arms or list(trained_arms(study))


def finished_models(study: Study, arms: list[str]) -> list[str]:
    return [model_id(name, seed, 100) for name in arms for seed in study.arms[name].seeds]


def writers(study: Study) -> list[str]:
    """Whose texts are probed: the base's, those of resample arms, and those of every probed arm's finished models."""
    return (
        [] if study.mechanism is None else ["base", *resample_arms(study), *finished_models(study, probed_arms(study))]
    )


def probed(study: Study) -> list[str]:
    """Which models are asked. A resample arm is the base."""
    return [] if study.mechanism is None else ["base", *finished_models(study, probed_arms(study))]


def noise_probed(study: Study) -> list[tuple[str, int | None, int]]:
    """Arm, training seed and percent of the checkpoints whose gradients are probed: the base, and an arm's first training.
    They are taken of an arm's dataset."""
    if study.mechanism is None or study.mechanism.noise is None:
        return []
    noise = study.mechanism.noise
    return [
        (name, study.arms[name].seeds[0] if percent else None, percent)
        for name in noise.arms or list(arms_with_dataset(study))
        for percent in noise.checkpoints
    ]


def judged(study: Study) -> list[str]:
    """Whose answers a language model judges: the base's, and those of finished models; none without `annotation`."""
    if study.annotation is None:
        return []
    return ["base", *finished_models(study, study.annotation.arms or list(trained_arms(study)))]
