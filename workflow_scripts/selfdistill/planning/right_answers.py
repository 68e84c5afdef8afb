"""How many training problems are expected to have a right answer: what arms with `keep: correct` can train on."""

import math

from selfdistill.planning.figures import Figures
from selfdistill.study.models import correct_arms, partners
from selfdistill.study.study import Study


def share_answered(accuracy: float, between_share: float, draws: int) -> float:
    """The share of problems with a right answer among so many samples, where what a problem's samples get right follows a
    beta law: its mean is the accuracy, and `between_share` of the variance of one answer lies between problems."""
    if not 0 < accuracy < 1 or not 0 < between_share < 1:
        return accuracy if between_share >= 1 else 1 - (1 - accuracy) ** draws
    spread = 1 / between_share - 1  # α + β
    wrong = (1 - accuracy) * spread  # β
    return 1 - math.prod((wrong + draw) / (spread + draw) for draw in range(draws))


def right_answers_line(study: Study, figures: Figures) -> str:
    """Of each decode with such arms. A context is taken to change nothing, which the trial of a study tells better."""
    if not figures.has("accuracy") or not figures.has("between_share"):
        return ""
    training = study.training
    known = figures.value("accuracy"), figures.value("between_share")
    expected = training.samples * share_answered(*known, training.draws)
    verdict = "which leaves enough" if expected >= training.examples else "which is too few: raise training.draws or training.samples, or lower training.examples"  # fmt: skip
    together = dict.fromkeys(", ".join(partners(study, arm)) for arm in correct_arms(study))
    return "\n".join(
        f"Of {training.samples:,} problems about {expected:,.0f} are expected to have a right answer among {training.draws} "
        f"(training.draws) without a context; {arms} train on {training.examples:,} that all of them answered right, {verdict}."
        for arms in together
    )
