"""Section `ladder`, checked against the rest of the study."""

from collections.abc import Iterator

from selfdistill.foundation.suggestions import suggested
from selfdistill.study.ladder import Ladder
from selfdistill.study.ladder_models import SOURCE, UNGUIDED, ladder_models
from selfdistill.study.models import trained_arms
from selfdistill.study.study import Study


def ladder_checks(study: Study) -> Iterator[str]:
    if study.ladder is None:
        return
    yield from _contexts(study, study.ladder)
    yield from _arms(study, study.ladder)
    yield from _numbers(study.ladder)
    if study.ladder.decode not in study.decodes:
        yield f"ladder.decode: no decode is named {study.ladder.decode!r}; {suggested(study.ladder.decode, study.decodes)}"


def _contexts(study: Study, ladder: Ladder) -> Iterator[str]:
    if len(set(ladder.contexts)) < len(ladder.contexts):
        yield "ladder.contexts: names a context twice; once is enough."
    for name in ladder.contexts:
        if name not in study.contexts:
            yield f"ladder.contexts: no context is named {name!r}; {suggested(name, study.contexts)}"
            continue
        context = study.contexts[name]
        if name == UNGUIDED and not context.tells_nothing:
            yield f"contexts.{UNGUIDED}: is the name of the ladder's first rung, which tells nothing; rename the context."
        if context.tells_nothing:
            yield f"ladder.contexts: {name} tells nothing, and the first rung is without a context already; remove it."
        if context.solution == "context" and context.context not in ladder.contexts:
            yield (
                f"ladder.contexts: {name} shows answers under {context.context}, which is no rung of the ladder; add it, or remove "
                f"{name}."
            )


def _arms(study: Study, ladder: Ladder) -> Iterator[str]:
    trained = trained_arms(study)
    for arm in ladder.arms:
        if arm not in study.arms:
            yield f"ladder.arms: no arm is named {arm!r}; {suggested(arm, trained)}"
        elif arm not in trained:
            yield f"ladder.arms: {arm!r} trains nothing, it is the base sampled anew; name trained arms."
    if len(set(ladder.arms)) < len(ladder.arms):
        yield "ladder.arms: names an arm twice; once is enough."
    if ladder.arms and ladder.use == "train":
        yield "ladder.arms: climb training problems (ladder.use: train), which these arms have learnt; set ladder.use: eval, or remove the arms."
    known = [arm for arm in ladder.arms if arm in trained]
    if len(known) == len(ladder.arms):
        for arm in sorted(set(study.arms) & set(ladder_models(study))):
            yield f"arms.{arm}: the ladder keeps answers under this name; name the arm otherwise, without {SOURCE} before it."


def _numbers(ladder: Ladder) -> Iterator[str]:
    low, high = ladder.solved
    if low > high:
        yield f"ladder.solved: the lowest share ({low:g}) lies above the highest ({high:g}); turn them round."
    elif not any(low - 1e-9 <= right / ladder.draws <= high + 1e-9 for right in range(ladder.draws + 1)):
        yield (
            f"ladder.solved: of {ladder.draws} answers no number of right ones is a share between {low:g} and {high:g}, so that no "
            "problem could be chosen; widen it or raise ladder.draws."
        )
    if high == 0:
        yield "ladder.solved: a problem that is never solved has no right answer to be told; raise the highest share."
    if ladder.asked < ladder.problems:
        yield f"ladder.pool: {ladder.asked} problems are fewer than the {ladder.problems} of ladder.problems; raise it."
