"""What is sampled for the ladder: for each model that climbs, answers that are shown to it, and answers on every rung.

ladder                   the base without a context: these answers choose the problems, and contexts show them
ladder-unguided          the first rung: the chosen problems without a context, in other draws
ladder/in-CONTEXT        a rung above it
ladder-of-ARM-SEED …     the same of an arm's finished model, which is shown its own answers
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

from selfdistill.study.ladder import Ladder
from selfdistill.study.models import finished_models, thinks
from selfdistill.study.names import in_context, parse_model_id
from selfdistill.study.study import Study

UNGUIDED = "unguided"  # the name of the first rung among those of contexts
SOURCE = "ladder"
FIRST_RUNG = "-unguided"


class Rung(NamedTuple):
    climber: str  # the model that is asked: base, or a checkpoint
    source: str  # the model whose answers are shown to it: itself, without a context
    context: str | None = None
    chooses: bool = False  # the base's own answers that say which problems are climbed
    is_shown: bool = False  # answers that are shown, and on no rung


def climbers(study: Study) -> list[str]:
    return ["base", *finished_models(study, study.ladder.arms)] if study.ladder else []


def ladder_models(study: Study) -> dict[str, Rung]:
    """By the names under which they are sampled, each behind what it needs; nothing where a study has no ladder."""
    found: dict[str, Rung] = {}
    for climber in climbers(study):
        found |= _of(study.ladder, climber) if study.ladder else {}
    return found


def _of(ladder: Ladder, climber: str) -> dict[str, Rung]:
    source = source_of_climber(climber)
    found = {
        source: Rung(climber, source, chooses=climber == "base", is_shown=True),
        f"{source}{FIRST_RUNG}": Rung(climber, source),
    }
    return found | {in_context(source, context): Rung(climber, source, context) for context in ladder.contexts}


def source_of_climber(climber: str) -> str:
    if climber == "base":
        return SOURCE
    name = parse_model_id(climber)
    return f"{SOURCE}-of-{name.arm}-{name.training_seed}"


def contexts_of_rungs(study: Study) -> list[str]:
    return [UNGUIDED, *study.ladder.contexts] if study.ladder else []


def rungs_of(study: Study, climber: str) -> list[str]:
    """The names of one climber's rungs, the first rung first."""
    return [name for name, rung in ladder_models(study).items() if rung.climber == climber and not rung.is_shown]


def rungs_asked(study: Study, climbers: Iterable[str]) -> list[dict[str, Any]]:
    """Of these models' rungs, in the order of their names: whose answers they are, under which context, and whether they think."""
    models, bare = ladder_models(study), contexts_of_rungs(study)[0]
    return [
        {"climber": climber, "context": models[name].context or bare, "thinks": thinks(study, name)}
        for climber in climbers
        for name in rungs_of(study, climber)
    ]
