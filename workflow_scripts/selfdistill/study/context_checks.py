"""Section `contexts`, and the arms that learn of samples under one, checked against the rest of the study."""

from collections.abc import Iterator
from pathlib import Path

from selfdistill.foundation.suggestions import listed, suggested
from selfdistill.study.arms import Arm
from selfdistill.study.contexts import OF_SAMPLES, THINKING, Context
from selfdistill.study.models import correct_arms
from selfdistill.study.study import Study
from selfdistill.study.templates import chat_template_of
from selfdistill.study.wordings import WORDINGS, holes_in


def context_checks(study: Study, root: Path) -> Iterator[str]:
    for name, context in study.contexts.items():
        key = f"contexts.{name}"
        yield from _wording(key, context)
        yield from _solution(key, context)
        yield from _other_context(study, name, context)
        yield from _thought(study, key, context)
        yield from _template(study, root, key, context)
    for name, arm in study.arms.items():
        yield from _arm(study, name, arm)
        yield from _lengths(study, name, arm)


def _wording(key: str, context: Context) -> Iterator[str]:
    holes = holes_in(context.text)
    if not holes and context.wording.replace("-", "").isalnum():
        yield f"{key}.wording: no wording is named {context.wording!r}; {suggested(context.wording, WORDINGS)}"
    elif not holes & {"prompt", "problem"}:
        yield f"{key}.wording: holds neither {{prompt}} nor {{problem}}, so that the problem would not be asked; put one of them in."


def _solution(key: str, context: Context) -> Iterator[str]:
    if context.solution and not context.asks_for_a_solution:
        yield (
            f"{key}.solution: asks for one, but the wording has no {{solution}} where it would stand; put {{solution}} in, "
            "or remove the key."
        )
    if context.asks_for_a_solution and not context.solution:
        yield (
            f"{key}.wording: has {{solution}}, but nothing says which; set {key}.solution to sibling, context, dataset, "
            "answer or column."
        )
    for other in ("context", "column"):
        there = getattr(context, other) is not None
        if there and context.solution != other:
            yield f"{key}.{other}: is for solution: {other}; set that, or remove the key."
        if not there and context.solution == other:
            yield f"{key}.{other}: is missing; with solution: {other} it says which."


def _other_context(study: Study, name: str, context: Context) -> Iterator[str]:
    if context.solution != "context" or context.context is None:
        return
    key = f"contexts.{name}.context"
    if context.context not in study.contexts:
        yield f"{key}: no context is named {context.context!r}; {suggested(context.context, study.contexts)}"
    elif cycle := _cycle_from(study, name):
        yield (
            f"{key}: is cyclic, each shows samples of the next ({' → '.join(cycle)}), so that none could be the first; let one of "
            "them have solution: sibling."
        )


def _cycle_from(study: Study, name: str) -> list[str]:
    """The contexts by which one comes back to this; none where one does not."""
    way = [name]
    while (context := study.contexts.get(way[-1])) and context.solution == "context" and context.context:
        way.append(context.context)
        if way[-1] == name:
            return way
        if way[-1] in way[:-1]:
            return []  # of others, who are told
    return []


def _thought(study: Study, key: str, context: Context) -> Iterator[str]:
    if context.thinking is not None and THINKING in context.chat:
        yield f"{key}.chat.{THINKING}: {key}.thinking says it already; remove one of the two."
    if context.thought:
        return
    if context.solution not in OF_SAMPLES:
        yield f"{key}.thought: only a model's own samples have a thought to leave out (solution: sibling or context); remove the key."
        return
    shown = study.contexts.get(context.context or "") if context.solution == "context" else None
    switched = shown.thinking if shown else None
    if not (study.model.thinks if switched is None else switched):
        yield f"{key}.thought: the samples that are shown hold no thought (model.thinks, thinking); remove the key."


def _template(study: Study, root: Path, key: str, context: Context) -> Iterator[str]:
    model, template = f"the chat template of {study.model.path}", chat_template_of(root / study.model.path)
    if context.template is not None:
        if not (root / context.template).is_file():
            yield f"{key}.template: there is no file {context.template!r}; correct its path, or remove the key."
            return
        model, template = context.template, (root / context.template).read_text(encoding="utf-8", errors="replace")
        for switch in study.model.chat:
            if switch not in context.switches and switch not in template:
                yield f"{key}.template: {model} reads no {switch}, which model.chat sets; let it read that, or remove the key."
    for switch in context.switches:
        if template and switch not in template:
            where = f"{key}.thinking" if switch == THINKING and context.thinking is not None else f"{key}.chat.{switch}"
            yield f"{where}: {model} reads no {switch}, so that nothing would be switched; remove the key."


def _arm(study: Study, name: str, arm: Arm) -> Iterator[str]:
    if arm.context is None or arm.resample or arm.on_references or arm.practises:
        return  # of the latter three it is told elsewhere
    key = f"arms.{name}.context"
    context = study.contexts.get(arm.context)
    if context is None:
        yield f"{key}: no context is named {arm.context!r}; {suggested(arm.context, study.contexts)}"
        return
    if arm.targets == "soft" and not context.tells_nothing:
        yield (
            f"arms.{name}.targets: soft targets are the base's law behind the bare prompt, and these samples were drawn from "
            "another, under a context; use targets: sampled."
        )
    usual = study.model.chat.get(THINKING)
    switched = context.switches.get(THINKING, usual)
    if switched != usual:
        yield (
            f"{key}: samples under {arm.context!r} are drawn with {THINKING} {_shown(switched)}, and the arm would learn them behind a "
            f"prompt with {THINKING} {_shown(usual)} (model.chat); use a context that thinks as the study does."
        )
    elif other := _other_opening(study, arm.context, context):
        yield (
            f"{key}: samples under {arm.context!r} are drawn behind what another chat template makes ({other}), which may open or "
            "close the thought otherwise than the bare prompt that they are learnt behind; use a context without it."
        )


def _other_opening(study: Study, name: str, context: Context) -> str | None:
    """The key that makes the chat template end a prompt otherwise than the study's own, as far as a file can tell."""
    if context.template is not None:
        return f"contexts.{name}.template"
    others = [switch for switch, value in context.switches.items() if study.model.chat.get(switch) != value]
    return f"contexts.{name}.chat.{others[0]}" if others else None


def _shown(switch: object) -> str:
    return "as the template has it" if switch is None else str(switch).lower()


def _lengths(study: Study, name: str, arm: Arm) -> Iterator[str]:
    if arm.length_like is None:
        return
    key = f"arms.{name}.length_like"
    partners = [
        other
        for other, that in correct_arms(study).items()
        if that.decode == arm.decode and that.length_like is None and other != name
    ]
    if arm.keep != "correct":
        yield f"{key}: chooses among right answers; set arms.{name}.keep: correct, or remove the key."
    elif arm.length_like not in study.arms:
        yield f"{key}: no arm is named {arm.length_like!r}; {suggested(arm.length_like, partners)}"
    elif arm.length_like not in partners:
        yield (
            f"{key}: {arm.length_like!r} learns no right answers to the same problems, or is matched in length itself; name an arm "
            f"with keep: correct and decode: {arm.decode} (there are: {listed(partners)})."
        )
    elif study.training.draws < 2:
        yield f"{key}: with training.draws: 1 no problem has two answers to choose between; raise training.draws to 2 or more."
