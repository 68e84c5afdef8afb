"""What is not held side by side although one of the studies has it or should have it, a sentence each: nothing vanishes unsaid."""

from collections.abc import Iterator, Sequence

from selfdistill.analysis.across_studies import BASE, OneOfThem, shared_decodes
from selfdistill.foundation.suggestions import listed
from selfdistill.study.models import resample_arms, trained_arms
from selfdistill.study.names import model_id


def left_out(studies: Sequence[OneOfThem]) -> list[str]:
    found = [sentence for study in studies for sentence in missing_answers(study)]
    for other in studies[1:]:
        for one, than in ((studies[0], other), (other, studies[0])):
            found += unshared(one, than)
    return list(dict.fromkeys(found))


def missing_answers(study: OneOfThem) -> Iterator[str]:
    """Of models that the study evaluates at the end of training: those, or decodes of those, without graded answers."""
    asked = study.study.evaluation.decodes
    for arm in study.arms:
        models = models_of(study, arm)
        for decode in dict.fromkeys(asked.base if arm == BASE else asked.final):
            lacking = [model for model in models if (model, decode) not in study.evaluations.cells]
            if lacking:
                held = len(models) - len(lacking)
                but = f"only {held} of its {len(models)} trainings are held" if held else "nothing of it is held"
                yield (
                    f"{study.name}: {listed(f'models/{model}' for model in lacking)} {has(lacking)} no graded answers at {decode}, which "
                    f"the study asks for; of {arm} at {decode} {but}. Run that study to its end, and compare again."
                )


def models_of(study: OneOfThem, arm: str) -> list[str]:
    if arm not in trained_arms(study.study):
        return [arm]
    return [model_id(arm, seed, 100) for seed in study.study.arms[arm].seeds]


def unshared(one: OneOfThem, than: OneOfThem) -> Iterator[str]:
    """Arms and decodes that the other does not have."""
    if arms := [arm for arm in one.arms if arm not in than.arms]:
        yield f"Only {one.name} has {listed(arms)}, and {than.name} does not: arms are the same where their names are."
    trains, copies = set(trained_arms(one.study)), set(resample_arms(than.study))
    for arm in sorted(trains & copies):
        yield f"{arm}: was trained in {one.name} and not in {than.name}, so that no effect of training is held."
    asked = dict.fromkeys((*one.study.evaluation.decodes.base, *one.study.evaluation.decodes.final))
    shared = shared_decodes(one.study, than.study)
    theirs = {*than.study.evaluation.decodes.base, *than.study.evaluation.decodes.final}
    if decodes := [name for name in asked if shared.get(name) not in theirs]:
        yield f"Only {one.name} asks at {listed(decodes)}: {than.name} asks at no decode of these settings."


def has(models: Sequence[str]) -> str:
    return "has" if len(models) == 1 else "have"
