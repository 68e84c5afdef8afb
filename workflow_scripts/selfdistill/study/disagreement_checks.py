"""Section `disagreement`, checked against the rest of the study."""

from collections.abc import Iterator

from selfdistill.foundation.suggestions import suggested
from selfdistill.study.disagreement import Disagreement
from selfdistill.study.models import sampled_arms, trained_arms
from selfdistill.study.study import Study


def disagreement_checks(study: Study) -> Iterator[str]:
    asked = study.disagreement
    if asked is None:
        return
    if not asked.contexts and not asked.arms:
        yield "disagreement: compares nothing; name contexts, arms or both."
    for key, names, known in (
        ("contexts", asked.contexts, study.contexts),
        ("arms", asked.arms, trained_arms(study)),
    ):
        for name in names:
            if name not in known:
                yield f"disagreement.{key}: none is named {name!r}; {suggested(name, known)}"
        if len(set(names)) < len(names):
            yield f"disagreement.{key}: names one twice; once is enough."
    yield from _decode(study, asked)
    yield from _solutions(study, asked)


def _decode(study: Study, asked: Disagreement) -> Iterator[str]:
    used = {arm.decode for arm in sampled_arms(study).values() if arm.decode and not arm.context}
    if asked.decode not in study.decodes:
        yield f"disagreement.decode: no decode is named {asked.decode!r}; {suggested(asked.decode, study.decodes)}"
    elif asked.decode not in used:
        yield (
            f"disagreement.decode: the base's own samples at {asked.decode!r} are read, and no arm without a context samples "
            "with it; name the decode of one that does."
        )


def _solutions(study: Study, asked: Disagreement) -> Iterator[str]:
    """A text is never read by who was told that very text."""
    for name in asked.contexts:
        context = study.contexts.get(name)
        if context and context.solution == "sibling" and study.training.draws < 2:
            yield (
                f"disagreement.contexts: {name!r} shows a sample of the same problem, and with training.draws: 1 that is the very "
                "text that is read; raise training.draws to 2 or more."
            )
