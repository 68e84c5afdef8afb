"""Which answers a side of a comparison is asked for at each problem, and with which noise each is drawn."""

from selfdistill.statistics.components import Answers
from selfdistill.study.evaluation import Draws


def answers_of(draws: Draws, trainings: int | None = None) -> Answers:
    """Of so many trainings of an arm; without them, of the base or a twin of it."""
    models = [None] if trainings is None else range(trainings)
    each = draws.of(trained=trainings is not None)
    return Answers(tuple(draws.noise(draw, model) for model in models for draw in range(each)), trainings or 1)
