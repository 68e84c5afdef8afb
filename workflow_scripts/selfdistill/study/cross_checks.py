"""What one key of a study file cannot know alone: names that must exist, numbers that must fit each other, files that must be there."""

import json
from collections.abc import Iterator
from pathlib import Path

from pydantic import ValidationError

from selfdistill.study.loaders import LOADERS
from selfdistill.study.names import SAMPLES
from selfdistill.study.results import room_in
from selfdistill.study.sampling import Decode
from selfdistill.study.sentences import _complaint, _known
from selfdistill.study.study import Study
from selfdistill.study.training import NOT_BY_ARM, Recipe


def cross_checks(study: Study, root: Path) -> Iterator[str]:
    """What one key cannot know alone. The first complaint is the one the user sees."""
    if room := room_in(study.results):
        key = "results" if "results" in study.model_fields_set else "study"
        yield f"{key}: {room!r} is the name of something inside every folder of results; give another name."
    if all(arm.resample for arm in study.arms.values()):
        yield "arms: at least one arm must train something (decode and keep)."
    for name in study.arms:
        if name == "base" or name.startswith(SAMPLES):
            yield f"arms.{name}: 'base' and names that begin with '{SAMPLES}' belong to the untrained model; rename the arm."
    yield from _decode_names(study)
    yield from _token_limits(study)
    yield from _arms(study)
    yield from _training(study)
    yield from _evaluation(study)
    yield from _hypotheses(study)
    yield from _files(study, root)


def _decode_names(study: Study) -> Iterator[str]:
    uses = [(f"arms.{name}.decode", arm.decode) for name, arm in study.arms.items() if arm.decode]
    for key, decodes in study.evaluation.decodes:
        uses += [(f"evaluation.decodes.{key}", decode) for decode in decodes]
    uses += [(f"hypotheses.{name}.decode", h.decode) for name, h in study.hypotheses.items() if h.decode]
    for key, decode in uses:
        if decode not in study.decodes:
            yield f"{key}: no decode is named {decode!r}; {_known(decode, study.decodes)}"


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
        if arm.resample and (arm.decode or arm.keep or arm.training or arm.targets != "sampled"):
            yield f"arms.{name}: an arm with resample trains nothing; remove its decode, keep, targets and training."
        if not arm.resample and not (arm.decode and arm.keep):
            yield f"arms.{name}: a trained arm needs both decode and keep."
        if not arm.seeds or len(set(arm.seeds)) < len(arm.seeds) or min(arm.seeds) < 0:
            yield f"arms.{name}.seeds: give at least one seed, none twice, none negative."
        decode = study.decodes.get(arm.decode or "")
        if arm.targets == "soft" and decode and (complaint := against_soft_targets(decode)):
            yield f"arms.{name}.targets: {complaint}"
        twin = seen.setdefault(json.dumps(arm.method, sort_keys=True), name)
        if twin != name:
            yield f"arms.{name}: is the same as arms.{twin}; change one of them or give one more seeds."


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
    yield from _recipe("training", training, study)
    points = training.checkpoints
    if points != sorted(set(points)) or not points or points[0] < 1 or points[-1] != 100:
        yield "training.checkpoints: give rising percentages from 1 to 100, the last being 100."
    for name, arm in study.arms.items():
        for key in arm.training:
            if key in NOT_BY_ARM:
                yield f"arms.{name}.training.{key}: is the same for all arms; set training.{key}."
            if key not in Recipe.model_fields:
                yield f"arms.{name}.training.{key}: there is no such key; {_known(key, dict(Recipe.model_fields))}"
        if arm.training:
            try:
                yield from _recipe(f"arms.{name}.training", study.recipe(name), study)
            except ValidationError as error:
                yield f"arms.{name}.training.{_complaint(error)}"


def _recipe(where: str, recipe: Recipe, study: Study) -> Iterator[str]:
    if recipe.batch > study.training.examples:
        yield f"{where}.batch: {recipe.batch} is larger than the dataset (training.examples: {study.training.examples})."
    if recipe.batch % recipe.micro_batch:
        yield f"{where}.micro_batch: {recipe.micro_batch} does not divide {where}.batch ({recipe.batch})."
    if recipe.batch // recipe.micro_batch < 2:
        yield f"{where}.micro_batch: gradient noise needs at least two micro-batches a step; make it smaller."
    ranks = study.training.processes_per_node * study.training.nodes
    if recipe.batch % (recipe.micro_batch * ranks):
        yield (
            f"{where}.batch: {recipe.batch} sequences are no multiple of {ranks} processes times {where}.micro_batch "
            f"({recipe.micro_batch})."
        )
    if recipe.lr_floor > recipe.lr:
        yield f"{where}.lr_floor: {recipe.lr_floor} lies above the peak {where}.lr ({recipe.lr})."
    steps = -(-study.training.examples * recipe.epochs // recipe.batch)
    steps = min(steps, recipe.max_steps or steps)
    if recipe.warm_up(steps) >= steps:
        key = "warmup_steps" if recipe.warmup_share is None else "warmup_share"
        yield f"{where}.{key}: {recipe.warm_up(steps)} are all of the {steps} steps there are; lower it."


def _evaluation(study: Study) -> Iterator[str]:
    evaluation = study.evaluation
    if set(evaluation.budgets) != {"quick", "full"}:
        yield "evaluation.budgets: both quick and full are needed."
    elif evaluation.budgets["quick"] > evaluation.budgets["full"]:
        yield "evaluation.budgets.quick: is larger than full; a smaller budget is a part of the larger one."
    if not evaluation.decodes.base or not evaluation.decodes.final:
        yield "evaluation.decodes: base and final need at least one decode each."
    for decode in evaluation.decodes.final + evaluation.decodes.earlier:
        if decode not in evaluation.decodes.base:
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
                evaluated = {n: s for n, s in study.problems.sources.items() if s.use == "eval"}
                yield f"{key}.{source}: no evaluation source is named {source!r}; {_known(source, evaluated)}"
    if evaluation.pass_at and max(evaluation.pass_at) > evaluation.draws:
        yield f"evaluation.pass_at: pass@{max(evaluation.pass_at)} needs that many draws; evaluation.draws is {evaluation.draws}."


def _hypotheses(study: Study) -> Iterator[str]:
    for name, hypothesis in study.hypotheses.items():
        for side in (hypothesis.arm, hypothesis.against):
            if side != "base" and side not in study.arms:
                yield f"hypotheses.{name}: no arm is named {side!r}; {_known(side, study.arms)}"
        if hypothesis.arm == "base" or hypothesis.arm == hypothesis.against:
            yield f"hypotheses.{name}: compares {hypothesis.arm!r} with {hypothesis.against!r}; name an arm and what to compare it with."
        if (hypothesis.comparison == "matched") != (hypothesis.decode is not None):
            yield f"hypotheses.{name}.decode: a matched comparison needs one, a fair one chooses its own."
        if hypothesis.decode is not None and hypothesis.decode not in study.evaluation.decodes.final:
            yield f"hypotheses.{name}.decode: {hypothesis.decode!r} is not evaluated at the end (evaluation.decodes.final)."


def _files(study: Study, root: Path) -> Iterator[str]:
    yield from _model_files(study, root)
    sources = study.problems.sources
    uses = [source.use for source in sources.values()]
    for use in ("train", "eval"):
        if use not in uses:
            yield f"problems.sources: at least one source with use: {use} is needed."
    for name, source in sources.items():
        key = f"problems.sources.{name}"
        if source.loader and source.loader not in LOADERS:
            yield f"{key}.loader: there is no loader {source.loader!r}; {_known(source.loader, dict.fromkeys(LOADERS))}"
        if not source.loader:
            for other in ("hub", "revision", "options"):
                if getattr(source, other):
                    yield f"{key}.{other}: is for public datasets; name the loader that reads this one, or remove it."
            if not (root / source.path).is_file():
                yield f"{key}.path: there is no file {source.path!r}."
        elif (root / source.path).is_file():
            yield f"{key}.path: {source.path!r} is a file; a loader reads a folder of files as the hub has them."
    for use, key, wanted in (
        ("train", "training.samples", study.training.samples),
        ("eval", "evaluation.budgets.full", study.evaluation.budgets["full"]),
    ):
        used = [source for source in sources.values() if source.use == use]
        if any(source.loader for source in used):
            continue  # how many they hold is known once they are read
        lines = sum((root / source.path).read_bytes().count(b"\n") + 1 for source in used)
        if wanted > lines:
            yield f"{key}: asks for {wanted} problems, but the {use} sources hold {lines} at most; lower it or add problems."
    if "{problem}" not in study.problems.prompt:
        yield "problems.prompt: must contain {problem}, where the problem's text goes."


def _model_files(study: Study, root: Path) -> Iterator[str]:
    model = root / study.model.path
    if study.model.revision and not study.model.hub:
        yield "model.revision: is a commit of a repository; name that as model.hub, or remove the revision."
    if study.model.hub and not (model / "config.json").is_file():
        return  # it will be downloaded
    if not model.is_dir():
        yield f"model.path: there is no folder {study.model.path!r}; put the model there or correct the path."
        return
    if not (model / "config.json").is_file() or not list(model.glob("*.safetensors")):
        yield f"model.path: {study.model.path!r} holds no config.json with safetensors weights."
        return
    try:
        limit = json.loads((model / "config.json").read_text()).get("max_position_embeddings")
    except (ValueError, AttributeError):
        yield f"model.path: {study.model.path}/config.json is not a JSON object; copy the model anew."
        return
    if limit is not None and study.model.context > limit:
        yield f"model.context: {study.model.context} is over what the model was made for ({limit} in its config.json)."
