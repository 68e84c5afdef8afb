"""The design that spends least: problems, draws of base and arms, trainings and coupling that settle every hypothesis.

Every number of draws and trainings that is tried has its fewest problems (`statistics/designs.py`), and its tokens from the
same reckoning as the plan of the study itself. A hypothesis that no design within what there is can settle is named and left
out, so that the rest is not planned for a question that stays open.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import product

from selfdistill.planning.cost import stages, total
from selfdistill.planning.counts import number, problems_to_ask
from selfdistill.planning.figures import Figures
from selfdistill.planning.power import Basis, is_trained, level_of, reported_problems
from selfdistill.statistics.designs import Question, fewest_problems, margin_reached
from selfdistill.study.evaluation import Draws, Hypothesis
from selfdistill.study.study import Study
from selfdistill.tables import words

DRAWS_OF_BASE = (1, 2, 3, 4, 6)
DRAWS_OF_ARMS = (1, 2, 4)
TRAININGS = (2, 3, 4, 5, 6, 8, 10)


@dataclass(frozen=True)
class Proposed:
    """One design with what it spends, and how far it settles: the margin that the hardest hypothesis would need, beside its
    own."""

    problems: int
    draws: Draws
    trainings: int | None  # of the arms that a claim about the method speaks of; None: no hypothesis makes one
    coupling: str
    tokens: float
    hardest: str
    margin_reached: float
    margin: float


@dataclass(frozen=True)
class Proposal:
    today: Proposed
    cheapest: Proposed | None  # None: nothing settles any hypothesis
    as_far: Proposed | None  # settles each hypothesis where today's design does, for less; None: nothing that was tried
    beyond: list[str]  # hypotheses that no design settles
    most_problems: int


def proposed(study: Study, figures: Figures, basis: Basis) -> Proposal | None:
    """None where no hypothesis is about the accuracy of something trained: a twin of the base is a check, not a question."""
    asked = {
        name: each
        for name, each in study.hypotheses.items()
        if each.outcome == words.ACCURACY and is_trained(study, each.arm)
    }
    if not asked:
        return None
    there = max(problems_to_ask(study, figures), number(study.evaluation.budgets["full"]))
    today = _reckoned(study, figures, basis, asked)
    questions = {name: _question(study, each) for name, each in asked.items()}
    reached = {
        name: replace(each, margin=_reached(study, basis, asked[name], each)) for name, each in questions.items()
    }
    variants = list(_variants(study, figures, asked))
    cheapest, beyond = _cheapest(variants, figures, basis, questions, there)
    known = {name: each for name, each in reached.items() if math.isfinite(each.margin)}
    as_far, _ = _cheapest(variants, figures, basis, known, there)
    if as_far is not None and as_far.tokens >= today.tokens:
        as_far = None
    return Proposal(today, cheapest, as_far, beyond, there)


def _cheapest(
    variants: list[Study], figures: Figures, basis: Basis, questions: Mapping[str, Question], most: int
) -> tuple[Proposed | None, list[str]]:
    """And the hypotheses that no variant settles, which are left out of it."""
    needs = [_problems_needed(variant, basis, questions, most) for variant in variants]
    within = [name for name in questions if any(need[name] is not None for need in needs)]
    best: Proposed | None = None
    for variant, need in zip(variants, needs, strict=True):
        problems = [need[name] for name in within]
        if within and None not in problems:
            whole = with_problems(variant, max(each for each in problems if each is not None))
            asked = {name: variant.hypotheses[name] for name in within}
            found = _reckoned(whole, figures, basis, asked)
            best = found if best is None or found.tokens < best.tokens else best
    return best, [name for name in questions if name not in within]


def _variants(study: Study, figures: Figures, asked: Mapping[str, Hypothesis]) -> Iterator[Study]:
    here = study.evaluation.coupling  # first, as the first of equals is proposed
    couplings = [here, "own" if here == "shared" else "shared"] if figures.has("draw_correlation") else [here]
    of_method = any(speaks_of_method(study, each) for each in asked.values())
    for base, arms, coupling in product(DRAWS_OF_BASE, DRAWS_OF_ARMS, couplings):
        draws = Draws(base=base, arms=arms)
        evaluation = study.evaluation.model_copy(update={"draws": draws, "coupling": coupling})
        variant = study.model_copy(update={"evaluation": evaluation})
        for trainings in TRAININGS if of_method else (None,):
            yield variant if trainings is None else with_trainings(variant, trainings, asked)


def speaks_of_method(study: Study, hypothesis: Hypothesis) -> bool:
    """As the study asks, or as it would: with two trainings of each side that is trained."""
    trained = [arm for arm in (hypothesis.arm, hypothesis.against) if is_trained(study, arm)]
    if hypothesis.claim == "strongest":
        return bool(trained) and all(len(study.arms[arm].seeds) > 1 for arm in trained)
    return hypothesis.claim == "method"


def with_trainings(study: Study, trainings: int, asked: Mapping[str, Hypothesis]) -> Study:
    """Of the arms that a claim about the method speaks of."""
    sides = {
        arm for each in asked.values() if speaks_of_method(study, each) for arm in (each.arm, each.against)
        if is_trained(study, arm)
    }  # fmt: skip
    arms = dict(study.arms)
    for arm in sides:
        seeds = study.arms[arm].seeds
        more = [max(seeds) + place + 1 for place in range(trainings - len(seeds))]
        arms[arm] = study.arms[arm].model_copy(update={"seeds": [*seeds, *more][:trainings]})
    return study.model_copy(update={"arms": arms})


def with_problems(study: Study, problems: int) -> Study:
    quick = min(number(study.evaluation.budgets["quick"]), problems)
    evaluation = study.evaluation.model_copy(update={"budgets": {"quick": quick, "full": problems}})
    return study.model_copy(update={"evaluation": evaluation})


def _question(study: Study, hypothesis: Hypothesis) -> Question:
    return Question(
        hypothesis.margin,
        level_of(study, hypothesis),
        speaks_of_method(study, hypothesis),
        shows_equivalence=hypothesis.question == "different",
    )


def _problems_needed(study: Study, basis: Basis, questions: Mapping[str, Question], most: int) -> dict[str, int | None]:
    """Of the full budget, for each hypothesis; None: more than there are."""
    needed: dict[str, int | None] = {}
    for name, question in questions.items():
        hypothesis = study.hypotheses[name]
        whole = basis.design(study, hypothesis, most * (1 - study.problems.dev_share))
        found = fewest_problems(basis.components(study, hypothesis), whole, question, whole.problems)
        needed[name] = None if found is None else min(most, math.ceil(found * most / whole.problems))
    return needed


def _reached(study: Study, basis: Basis, hypothesis: Hypothesis, question: Question) -> float:
    design = basis.design(study, hypothesis, reported_problems(study))
    return margin_reached(basis.components(study, hypothesis), design, question)


def _reckoned(study: Study, figures: Figures, basis: Basis, asked: Mapping[str, Hypothesis]) -> Proposed:
    reached = {name: _reached(study, basis, each, _question(study, each)) for name, each in asked.items()}
    hardest = max(asked, key=lambda name: reached[name] / asked[name].margin)
    of_method = [each for each in asked.values() if speaks_of_method(study, each)]
    trained = [arm for each in of_method for arm in (each.arm, each.against) if is_trained(study, arm)]
    return Proposed(
        problems=number(study.evaluation.budgets["full"]),
        draws=study.evaluation.draws_by_side,
        trainings=min((len(study.arms[arm].seeds) for arm in trained), default=None),
        coupling=study.evaluation.coupling,
        tokens=total(stages(study, figures)).expected.tokens,
        hardest=hardest,
        margin_reached=reached[hardest],
        margin=asked[hardest].margin,
    )
