"""What one key of a study file cannot know alone: names that must exist, numbers that must fit each other."""

import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from selfdistill.foundation.suggestions import suggested
from selfdistill.study.annotation_checks import annotation_checks
from selfdistill.study.arms import Arm
from selfdistill.study.context_checks import context_checks
from selfdistill.study.disagreement_checks import disagreement_checks
from selfdistill.study.doubt_checks import doubt_checks
from selfdistill.study.evaluation import Evaluation, size_of
from selfdistill.study.file_checks import file_checks
from selfdistill.study.ladder_checks import ladder_checks
from selfdistill.study.mechanism_checks import mechanism_checks
from selfdistill.study.models import arms_with_dataset, practising_arms, steps_of
from selfdistill.study.names import SAMPLES
from selfdistill.study.plugin_checks import plugin_checks
from selfdistill.study.practice_checks import practice_checks
from selfdistill.study.results import room_in
from selfdistill.study.sampling import Decode
from selfdistill.study.sentences import complaints
from selfdistill.study.study import Study
from selfdistill.study.training import NOT_BY_ARM, Recipe


def cross_checks(study: Study, root: Path) -> Iterator[str]:
    """Each as `key: what is wrong and what to do`. What follows from another complaint is left out."""
    if room := room_in(study.results):
        key = "results" if "results" in study.model_fields_set else "study"
        yield f"{key}: {room!r} is the name of something inside every folder of results; give another name."
    if all(arm.resample for arm in study.arms.values()):
        yield "arms: at least one arm must train something (decode and keep, samples: reference, or method)."
    else:
        yield from _hypotheses(study)
        yield from _reported(study)
    for name in study.arms:
        if name == "base" or name.startswith(SAMPLES):
            yield f"arms.{name}: 'base' and names that begin with '{SAMPLES}' belong to the untrained model; rename the arm."
    yield from _decode_names(study)
    yield from _token_limits(study)
    yield from _arms(study)
    yield from _training(study)
    yield from _evaluation(study)
    yield from practice_checks(study, root)
    yield from context_checks(study, root)
    yield from ladder_checks(study)
    yield from mechanism_checks(study, root)
    yield from doubt_checks(study.doubt)
    yield from annotation_checks(study, root)
    yield from disagreement_checks(study)
    yield from file_checks(study, root)
    yield from plugin_checks(study, root)


def _decode_names(study: Study) -> Iterator[str]:
    uses = [(f"arms.{name}.decode", arm.decode) for name, arm in study.arms.items() if arm.decode and not arm.practises]
    for key, decodes in study.evaluation.decodes:
        uses += [(f"evaluation.decodes.{key}", decode) for decode in decodes]
    uses += [(f"hypotheses.{name}.decode", h.decode) for name, h in study.hypotheses.items() if h.decode]
    for key, decode in uses:
        if decode not in study.decodes:
            yield f"{key}: no decode is named {decode!r}; {suggested(decode, study.decodes)}"


def _token_limits(study: Study) -> Iterator[str]:
    for name, decode in study.decodes.items():
        if decode.max_tokens >= study.model.context:
            yield (
                f"decodes.{name}.max_tokens: {decode.max_tokens} tokens and a prompt do not fit the model's context "
                f"of {study.model.context}; lower it or raise model.context."
            )
    seen: dict[Decode, str] = {}
    for name, decode in study.decodes.items():
        twin = seen.setdefault(decode, name)
        if twin != name:
            yield f"decodes.{name}: is the same as decodes.{twin}; use one name for one decode."


def _arms(study: Study) -> Iterator[str]:
    seen: dict[str, str] = {}
    for name, arm in study.arms.items():
        trains = (
            arm.decode
            or arm.keep
            or arm.training
            or arm.unequal_budget
            or arm.targets != "sampled"
            or arm.context
            or arm.length_like
            or arm.practises
            or arm.practice
            or arm.replays
        )
        if arm.resample and (trains or arm.on_references):
            yield f"arms.{name}: an arm with resample trains nothing; leave it only resample and seeds."
        elif arm.practises:
            pass  # of which practice_checks tells
        elif arm.on_references:
            yield from _without_samples(name, arm)
        elif not arm.resample and not (arm.decode and arm.keep):
            yield f"arms.{name}: a trained arm needs both decode and keep, or a method."
        if not arm.seeds or len(set(arm.seeds)) < len(arm.seeds) or min(arm.seeds) < 0:
            yield f"arms.{name}.seeds: give at least one seed, none twice, none negative."
        decode = study.decodes.get(arm.decode or "")
        if arm.targets == "soft" and not arm.practises and decode and (complaint := against_soft_targets(decode)):
            yield f"arms.{name}.targets: {complaint}"
        twin = seen.setdefault(json.dumps(_differences(study, name), sort_keys=True), name)
        if twin != name:
            yield f"arms.{name}: is the same as arms.{twin}; change one of them or give one more seeds."


def _differences(study: Study, name: str) -> dict[str, Any]:
    """Of an arm that practises, what its keys amount to: one that spells a default out differs in nothing."""
    arm = study.arms[name]
    if not arm.practises:
        return arm.differences
    try:
        practice = study.practice_of(name).model_dump()
    except ValidationError:
        return arm.differences  # of which practice_checks tells
    return arm.differences | {"decode": None, "practice": practice}


def _without_samples(name: str, arm: Arm) -> Iterator[str]:
    """Keys that speak of samples, in an arm that has none."""
    needless = [key for key in ("decode", "context", "keep", "length_like") if getattr(arm, key)]
    needless += ["targets"] if arm.targets != "sampled" else []
    for key in needless:
        yield f"arms.{name}.{key}: an arm with samples: reference learns the dataset's own solutions, and nothing is sampled for it; remove the key."


def against_soft_targets(decode: Decode) -> str:
    """Why a decode has no soft targets; empty where it has."""
    if decode.presence_penalty:
        return "soft targets are the law of the model alone, to which a presence_penalty adds; use a decode without."
    if not decode.top_k:
        return "soft targets need a decode with top_k, which bounds how many tokens are written down for each."
    return ""


def _training(study: Study) -> Iterator[str]:
    training = study.training
    if training.examples > training.samples:
        yield f"training.examples: {training.examples} are more than training.samples ({training.samples})."
    if training.gpus and training.processes not in (None, training.gpus):
        yield f"training.processes: {training.processes} for {training.gpus} GPUs; leave it out, a GPU has one process."
    with_dataset = arms_with_dataset(study)
    # What is missing of a dataset is told by itself.
    known = bool(training.samples and training.examples) or not with_dataset
    shared = list(_recipe("training", training, study)) if with_dataset and known else []
    yield from shared
    if known and not shared:
        yield from _steps(study, with_dataset, "training")
    yield from _steps(study, practising_arms(study), "practice")
    points = training.checkpoints
    if points != sorted(set(points)) or not points or points[0] < 1 or points[-1] != 100:
        yield "training.checkpoints: give rising percentages from 1 to 100, the last being 100."
    for name, arm in study.arms.items():
        if arm.training and known and name in with_dataset:
            own = _of_an_arm(name, arm, study)
            yield from (complaint for complaint in own if complaint.removeprefix(f"arms.{name}.") not in shared)


def _steps(study: Study, arms: Iterable[str], section: str) -> Iterator[str]:
    """Arms are compared after equally many steps, unless one is said to have a budget of its own: those that learn from a
    dataset with each other, and those that practise with each other, whose steps are of another kind."""
    taken = {name: _steps_of(name, study) for name in arms}
    alike = [steps for name, steps in taken.items() if not study.arms[name].unequal_budget]
    shared = _shared_steps(study, section)
    usual = shared if shared in alike else next(iter(alike), None)
    for name, steps in taken.items():
        if steps is None or usual is None:
            continue
        if steps != usual and not study.arms[name].unequal_budget:
            yield (
                f"arms.{name}.{section}: takes {steps} steps where other arms take {usual}, so that their differences would be "
                f"those of the budget too; bring it to {usual} steps, or say so by unequal_budget: true."
            )
        if steps == usual and study.arms[name].unequal_budget:
            yield f"arms.{name}.unequal_budget: takes {steps} steps as the other arms do; remove the key."


def _shared_steps(study: Study, section: str) -> int | None:
    if section == "practice":
        return study.practice.steps if study.practice else None
    return study.training.steps(study.training.examples)


def _steps_of(arm: str, study: Study) -> int | None:
    """Nothing where its keys of training or practice are wrong, which is told."""
    try:
        return steps_of(study, arm)
    except ValidationError:
        return None


def _of_an_arm(name: str, arm: Arm, study: Study) -> Iterator[str]:
    where = f"arms.{name}.training"
    for key in sorted(NOT_BY_ARM & set(arm.training)):
        yield f"{where}.{key}: is the same for all arms; set training.{key}."
    if not NOT_BY_ARM & set(arm.training):
        try:
            yield from _recipe(where, study.recipe(name), study)
        except ValidationError as error:
            yield from complaints(error, arm.training, Recipe, where.split("."))


def _recipe(where: str, recipe: Recipe, study: Study) -> Iterator[str]:
    ranks = study.training.processes_per_node * study.training.nodes
    if recipe.batch % recipe.micro_batch:
        yield f"{where}.micro_batch: {recipe.micro_batch} does not divide the batch ({recipe.batch})."
    elif recipe.batch // recipe.micro_batch < 2:
        yield f"{where}.micro_batch: gradient noise needs at least two micro-batches a step; make it smaller."
    elif recipe.batch % (recipe.micro_batch * ranks):
        yield (
            f"{where}.batch: {recipe.batch} sequences are no multiple of {ranks} processes times micro_batch "
            f"({recipe.micro_batch})."
        )
    if recipe.lr_floor > recipe.lr:
        yield f"{where}.lr_floor: {recipe.lr_floor} lies above the peak, lr ({recipe.lr})."
    steps = recipe.steps(study.training.examples)
    if recipe.batch > study.training.examples:
        yield f"{where}.batch: {recipe.batch} is larger than the dataset (training.examples: {study.training.examples})."
    elif recipe.warm_up(steps) >= steps:
        key = "warmup_steps" if recipe.warmup_share is None else "warmup_share"
        yield f"{where}.{key}: {recipe.warm_up(steps)} are all of the {steps} steps there are; lower it."


def _evaluation(study: Study) -> Iterator[str]:
    evaluation = study.evaluation
    if set(evaluation.budgets) != {"quick", "full"}:
        yield "evaluation.budgets: both quick and full are needed."
    elif size_of(evaluation.budgets["quick"], sys.maxsize) > size_of(evaluation.budgets["full"], sys.maxsize):
        yield "evaluation.budgets.quick: is larger than full; a smaller budget is a part of the larger one."
    else:
        yield from _looks(evaluation)
    if not evaluation.decodes.base or not evaluation.decodes.final:
        yield "evaluation.decodes: base and final need at least one decode each."
    for decode in dict.fromkeys(evaluation.decodes.final + evaluation.decodes.earlier):
        if decode in study.decodes and decode not in evaluation.decodes.base:
            yield f"evaluation.decodes.base: lacks {decode!r}, at which trained models are compared with the base; add it."
    lists = {f"decodes.{key}": decodes for key, decodes in evaluation.decodes} | {"pass_at": evaluation.pass_at}
    for key, values in lists.items():
        if len(set(values)) < len(values):
            yield f"evaluation.{key}: names something twice; once is enough."
    for name, mixture in evaluation.mixtures.items():
        key = f"evaluation.mixtures.{name}"
        if name in evaluation.budgets:
            yield f"{key}: is the name of a budget already; give it another."
        if not mixture:
            yield f"{key}: names no source; say how many problems of each it takes."
        for source in mixture:
            if source not in study.problems.sources or study.problems.sources[source].use != "eval":
                evaluated = [n for n, s in study.problems.sources.items() if s.use == "eval"]
                yield f"{key}.{source}: no evaluation source is named {source!r}; {suggested(source, evaluated)}"
    counts = evaluation.draws_by_side.model_dump().values()
    for name, draws in evaluation.mixture_draws.items():
        key = f"evaluation.mixture_draws.{name}"
        if name not in evaluation.mixtures:
            yield f"{key}: no mixture has that name; {suggested(name, evaluation.mixtures)}"
        elif draws <= min(counts):
            yield f"{key}: {draws} are no more than evaluation.draws ({min(counts)}), which every problem gets; remove it."
        elif draws < max(counts):
            yield f"{key}: {draws} are fewer than the {max(counts)} that every problem gets of one side (evaluation.draws); raise it."
    if evaluation.pass_at and max(evaluation.pass_at) > max(counts):
        yield f"evaluation.pass_at: pass@{max(evaluation.pass_at)} needs that many draws; evaluation.draws is {max(counts)}."


def _looks(evaluation: Evaluation) -> Iterator[str]:
    looks, full, quick = evaluation.looks, evaluation.budgets["full"], evaluation.budgets["quick"]
    if not looks:
        return
    sizes = [size_of(size, sys.maxsize) for size in looks]
    if sizes != sorted(set(sizes)) or len(looks) < 2:
        yield "evaluation.looks: give at least two rising numbers of problems; one look needs no key."
    if looks[-1] != full:
        yield f"evaluation.looks: ends with {looks[-1]}, but the last look is the full budget (evaluation.budgets.full: {full})."
    if size_of(quick, sys.maxsize) > sizes[0]:
        yield (
            f"evaluation.looks: begins with {looks[0]} problems, but earlier checkpoints are compared with the base on the quick "
            f"budget (evaluation.budgets.quick: {quick}); begin with at least as many."
        )


def _hypotheses(study: Study) -> Iterator[str]:
    if study.evaluation.looks and not study.hypotheses:
        yield "evaluation.looks: judges hypotheses, and this study states none; state some or remove the key."
    for name, hypothesis in study.hypotheses.items():
        for side in (hypothesis.arm, hypothesis.against):
            if side != "base" and side not in study.arms:
                yield f"hypotheses.{name}: no arm is named {side!r}; {suggested(side, study.arms)}"
        if hypothesis.arm in ("base", hypothesis.against):
            yield f"hypotheses.{name}: compares {hypothesis.arm!r} with {hypothesis.against!r}; name an arm and what to compare it with."
        if (hypothesis.comparison == "matched") != (hypothesis.decode is not None):
            yield f"hypotheses.{name}.decode: a matched comparison needs one, a fair one chooses its own."
        elif hypothesis.decode in study.decodes and hypothesis.decode not in study.evaluation.decodes.final:
            yield f"hypotheses.{name}.decode: {hypothesis.decode!r} is not evaluated at the end (evaluation.decodes.final)."
        if hypothesis.outcome != "tokens" and hypothesis.margin >= 1:
            yield f"hypotheses.{name}.margin: a difference of shares lies between 0 and 1 (0.03 is three points); lower it."
        once = [side for side in (hypothesis.arm, hypothesis.against) if _trained_once(study, side)]
        if hypothesis.claim == "method" and once:
            yield f"hypotheses.{name}.claim: {once[0]} has one training seed, which tells nothing of the method; give it two or more (arms.{once[0]}.seeds) or claim checkpoints."


def _reported(study: Study) -> Iterator[str]:
    wholes = ["full", *study.evaluation.mixtures]
    for name, each in study.reported.items():
        if each.hypothesis not in study.hypotheses:
            yield f"reported.{name}.hypothesis: no hypothesis is named {each.hypothesis!r}; {suggested(each.hypothesis, study.hypotheses)}"
        elif study.hypotheses[each.hypothesis].outcome != "accuracy":
            yield f"reported.{name}.hypothesis: {each.hypothesis!r} is not about accuracy, of which alone it is known what a study can find; name another."
        if each.of not in wholes:
            yield f"reported.{name}.of: no mixture is named {each.of!r}; {suggested(each.of, wholes)}"


def _trained_once(study: Study, side: str) -> bool:
    arm = study.arms.get(side)
    return arm is not None and not arm.resample and len(arm.seeds) == 1
