"""Section `annotation`, checked against the rest of the study and what is on this machine."""

import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from selfdistill.foundation.suggestions import suggested
from selfdistill.study.annotation import LOCAL, Annotation, Judge
from selfdistill.study.evaluation import ALL, size_of
from selfdistill.study.models import trained_arms
from selfdistill.study.plugin_checks import plugged_in
from selfdistill.study.study import Study


def annotation_checks(study: Study, root: Path) -> Iterator[str]:
    annotation = study.annotation
    if annotation is None:
        return
    yield from _answers(study, annotation)
    yield from _arms(study, annotation)
    if annotation.passes > 1 and not annotation.temperature:
        yield (
            "annotation.temperature: at 0 every pass gives the same reply, so that their agreement tells nothing; raise it, or set "
            "annotation.passes: 1."
        )
    if not (root / annotation.rubric).is_file():
        yield f"annotation.rubric: there is no file {annotation.rubric!r}; correct its path, or remove the key."
    if annotation.judge.server is not None:
        yield from _server(annotation.judge)
    elif annotation.judge.model in plugged_in(study, root).names("judge"):
        yield from _plugged(annotation.judge, root)
    else:
        yield from _own_model(study, annotation, root)


def _answers(study: Study, annotation: Annotation) -> Iterator[str]:
    if annotation.decode not in study.decodes:
        yield f"annotation.decode: no decode is named {annotation.decode!r}; {suggested(annotation.decode, study.decodes)}"
        return
    for side in ("base", "final"):
        if annotation.decode not in getattr(study.evaluation.decodes, side):
            yield (
                f"annotation.decode: answers at {annotation.decode!r} are judged, which evaluation.decodes.{side} lacks; add it "
                "there or name another."
            )
    problems = size_of(study.evaluation.budgets.get("full", ALL), sys.maxsize)
    if annotation.answers > problems:
        yield (
            f"annotation.answers: {annotation.answers} answers, each to another problem, are more than the {problems} problems of "
            "evaluation.budgets.full; lower it."
        )


def _arms(study: Study, annotation: Annotation) -> Iterator[str]:
    trained = trained_arms(study)
    for arm in annotation.arms:
        if arm not in trained:
            yield f"annotation.arms: no trained arm is named {arm!r}; {suggested(arm, trained)}"
    if len(set(annotation.arms)) < len(annotation.arms):
        yield "annotation.arms: names an arm twice; once is enough."


def _server(judge: Judge) -> Iterator[str]:
    try:
        address = urlsplit(judge.server or "")
        host, _ = address.hostname, address.port
    except ValueError:
        address = urlsplit("")
        host = None
    if address.scheme not in ("http", "https") or not host or address.query or address.fragment:
        yield f"annotation.judge.server: {judge.server!r} is no address of a server; write it as https://host/v1."
        return
    if address.username or address.password:
        yield "annotation.judge.server: holds a name or a password, which would stand in the results; give a key by annotation.judge.key_from."
    if address.scheme == "http" and judge.key_from and host not in LOCAL:
        yield (
            f"annotation.judge.server: a key would go to {host} unencrypted; write https://, or key_from: null where the server "
            "asks for none."
        )
    yield from _of_our_models(judge, "a server")


def _plugged(judge: Judge, root: Path) -> Iterator[str]:
    if (root / judge.model).is_dir():
        yield f"annotation.judge.model: {judge.model!r} is a folder and the name of a plugin's judge; rename one."
    yield from _of_our_models(judge, "a plugin's judge")


def _of_our_models(judge: Judge, other: str) -> Iterator[str]:
    for key in ("context", "chat"):
        if getattr(judge, key):
            yield f"annotation.judge.{key}: is for a model of ours, and {other} has its own; remove it."


def _own_model(study: Study, annotation: Annotation, root: Path) -> Iterator[str]:
    judge = annotation.judge
    if not (root / judge.model / "config.json").is_file():
        yield (
            f"annotation.judge.model: there is no model in {judge.model!r} (no config.json); correct its path, or name the server "
            "that has it (annotation.judge.server), or a judge of a plugin."
        )
    context = judge.context or study.model.context
    if annotation.max_tokens >= context:
        yield (
            f"annotation.max_tokens: a reply of {annotation.max_tokens} and a question do not fit the judge's context of {context}; "
            "lower it, or raise annotation.judge.context."
        )
