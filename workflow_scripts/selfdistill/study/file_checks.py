"""What a study file says of files, held against what is on this machine: the model and the problems."""

import contextlib
import json
import re
from collections.abc import Iterator
from pathlib import Path

import yaml

from selfdistill.study.evaluation import ALL, size_of
from selfdistill.study.loaders import LOADERS
from selfdistill.study.models import practising_arms, uses_of_context
from selfdistill.study.plugin_checks import plugged_in
from selfdistill.study.results import ROOMS, usual_folder
from selfdistill.study.study import Study
from selfdistill.study.templates import chat_template_of

CHECKPOINT_PATH = re.compile(r"(?P<results>.+)/(?P<run>runs/[^/]+/seed-\d+)/at-\d{3}/?")


def file_checks(study: Study, root: Path) -> Iterator[str]:
    yield from _model_files(study, root)
    sources = study.problems.sources
    known = {*LOADERS, *plugged_in(study, root).names("loader")} if study.plugins else {*LOADERS}
    for use in ("train", "eval"):
        if use not in {source.use for source in sources.values()}:
            yield f"problems.sources: at least one source with use: {use} is needed."
    for name, source in sources.items():
        key = f"problems.sources.{name}"
        if not source.loader:
            for other in ("hub", "revision", "options"):
                if getattr(source, other):
                    yield f"{key}.{other}: is for public datasets; name the loader that reads this one, or remove it."
            if not (root / source.path).is_file():
                yield f"{key}.path: there is no file {source.path!r}; correct its path, or put the problems there."
        elif source.loader in known and (root / source.path).is_file():
            yield f"{key}.path: {source.path!r} is a file; a loader reads a folder of files as the hub has them."
    for use, key, wanted in (
        ("train", "training.samples", study.training.samples),
        *(("train", key, wanted) for key, wanted in _coverages(study)),
        ("eval", "evaluation.budgets.full", size_of(study.evaluation.budgets.get("full", ALL), 0)),
    ):
        used = [source for source in sources.values() if source.use == use]
        files = [root / source.path for source in used]
        if any(source.loader for source in used) or not all(file.is_file() for file in files):
            continue  # how many a public dataset holds is known once it is read
        lines = sum(written_lines(file) for file in files)
        if files and wanted > lines:
            yield f"{key}: asks for {wanted} problems, but the {use} sources hold {lines} at most; lower it or add problems."
    if "{problem}" not in study.problems.prompt:
        yield "problems.prompt: must contain {problem}, where the problem's text goes."
    if study.problems.examples is not None and not (root / study.problems.examples).is_file():
        yield f"problems.examples: there is no file {study.problems.examples!r}; correct its path, or remove the key."
    yield from _format_asked_for(study)
    yield from _told_of_sources(study, root)

    filled = study.evaluation.audit.filled
    if filled and not (root / filled).is_file():
        yield f"evaluation.audit.filled: there is no file {filled!r}; name the filled copy of audit/sheet.csv, or remove the key."


def _coverages(study: Study) -> Iterator[tuple[str, int]]:
    """Where it is said how many problems are practised on, and how many."""
    if study.practice and study.practice.coverage:
        yield "practice.coverage", study.practice.coverage
    for name, arm in practising_arms(study).items():
        if isinstance(coverage := arm.practice.get("coverage"), int):
            yield f"arms.{name}.practice.coverage", coverage


def _format_asked_for(study: Study) -> Iterator[str]:
    """A prompt that asks for one format while another is graded makes every answer wrong. One that asks for none is left
    alone: the model may know it."""
    if study.grading.answer == "line" and "\\boxed" in study.problems.prompt and "Answer:" not in study.problems.prompt:
        yield (
            "problems.prompt: asks for \\boxed{}, but grading.answer: line counts what follows Answer: on the last line; "
            "ask for that line, or remove grading.answer."
        )


def _told_of_sources(study: Study, root: Path) -> Iterator[str]:
    """What contexts tell of each problem has to stand in some source that is asked under them. What a loader makes is known
    once it is read."""
    for name, context in study.contexts.items():
        column = {"dataset": "solution", "column": context.column}.get(context.solution or "")
        uses = uses_of_context(study, name)
        for use in sorted(uses) or [""]:
            sources = [source for source in study.problems.sources.values() if use in ("", source.use)]
            files = [root / source.path for source in sources]
            if not column or any(source.loader for source in sources) or not all(file.is_file() for file in files):
                continue
            if files and not any(_holds(file, column) for file in files):
                key = f"contexts.{name}.{'column' if context.column else 'solution'}"
                which = f"{use} sources" if use else "sources"
                yield f"{key}: no line of the {which} has {column!r}; add it there, or tell the model something else."


def _holds(file: Path, column: str) -> bool:
    """Lines that are no JSON are told when they are read."""
    with open(file, encoding="utf-8-sig", errors="replace") as handle:
        for line in handle:
            with contextlib.suppress(ValueError, AttributeError):
                if f'"{column}"' in line and json.loads(line).get(column):
                    return True
    return False


def written_lines(file: Path) -> int:
    with open(file, "rb") as handle:
        return sum(bool(line.strip()) for line in handle)


def _model_files(study: Study, root: Path) -> Iterator[str]:
    model = root / study.model.path
    if study.model.revision and not study.model.hub:
        yield "model.revision: is a commit of a repository; name that as model.hub, or remove the revision."
    if study.model.hub and not (model / "config.json").is_file():
        return  # it will be downloaded
    if lies_in_own_results(study, root):
        yield (
            f"model.path: {study.model.path!r} lies in the results of this very study ({study.results}), which cannot begin with "
            "what it makes; give the model that it began with, or begin a second study from the checkpoint (study, results)."
        )
        return
    if not model.is_dir():
        of_study = checkpoint_to_make(study.model.path, root)
        yield f"model.path: there is no folder {study.model.path!r}; {of_study or 'put the model there or correct the path.'}"
        return
    if not (model / "config.json").is_file() or not list(model.glob("*.safetensors")):
        yield f"model.path: {study.model.path!r} holds no config.json with safetensors weights; put the model there."
        return
    try:
        limit = json.loads((model / "config.json").read_text()).get("max_position_embeddings")
    except (ValueError, AttributeError):
        yield f"model.path: {study.model.path}/config.json is not a JSON object; copy the model anew."
        return
    if limit is not None and study.model.context > limit:
        yield f"model.context: {study.model.context} is over what the model was made for ({limit} in its config.json)."
    template = chat_template_of(model)
    for switch in study.model.chat:
        if template and switch not in template:
            yield f"model.chat.{switch}: the chat template of {study.model.path} reads no {switch}; remove it."


def lies_in_own_results(study: Study, root: Path) -> bool:
    """Also by another way to the same place. What lies in a folder of results and in none of its rooms is another study's."""
    model, results = ((root / path).resolve() for path in (study.model.path, study.results))
    return model.is_relative_to(results) and model.relative_to(results).parts[:1] in {(room,) for room in ROOMS}


def checkpoint_to_make(path: str, root: Path) -> str:
    """How to make the checkpoint of another study that a path names; nothing where it names none."""
    found = CHECKPOINT_PATH.fullmatch(path)
    if not found:
        return ""
    results, run = found["results"], found["run"]
    file = study_file_of(results, root) or "THE-FILE-OF-THAT-STUDY"
    return (
        f"it is a checkpoint of the study whose results go to {results}; run that study first, as far as this training: "
        f"snakemake --cores 2 {results}/{run}/manifest.json --configfile {file}"
    )


def study_file_of(results: str, root: Path) -> str | None:
    """The study file, of those that lie where study files do, whose results go to a folder."""
    for file in (root / "config.yaml", *sorted((root / "config").glob("*.yaml"))):
        with contextlib.suppress(OSError, yaml.YAMLError, AttributeError):
            study = yaml.safe_load(file.read_text(encoding="utf-8"))
            if "study" in study and study.get("results", usual_folder(study)) == results:
                return str(file.relative_to(root))
    return None
