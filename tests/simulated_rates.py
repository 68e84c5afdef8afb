"""Simulated doubts of two sides, negative binomial, whose ratio of rates is known: for the test of intervals and their benchmark."""

import math
from typing import NamedTuple

import numpy as np

from selfdistill.statistics.paired import PairedMeans
from selfdistill.statistics.rates import RateRatio, Rates


class World(NamedTuple):
    """Problems that differ in how much is doubted, answers that doubt in bursts, lengths that vary."""

    problems: int = 60
    draws: int = 1
    other_draws: int = 2
    doubts: float = 3.0  # of a usual answer of the other side
    ratio: float = 0.6
    bursts: float = 0.5  # 1/size of the negative binomial
    length: float = 0.7  # of the usual answer, times the other side's

    def drawn(self, random: np.random.Generator) -> tuple[Rates, Rates]:
        of_problem = random.gamma(2.0, 0.5, self.problems)
        usual = random.lognormal(0.0, 0.4, self.problems)

        def side(draws: int, rate: float, length: float) -> Rates:
            tokens = length * usual[:, None] * random.lognormal(0.0, 0.3, (self.problems, draws))
            means = rate * tokens * of_problem[:, None]
            events = random.negative_binomial(1 / self.bursts, 1 / (1 + self.bursts * means))
            return Rates(events.mean(axis=1), tokens.mean(axis=1))

        one = side(self.draws, self.doubts * self.ratio, self.length)
        return one, side(self.other_draws, self.doubts, 1.0)


def covers(found: RateRatio, truth: float) -> bool:
    interval = PairedMeans(found.mean).interval()
    return interval.low <= math.log(truth) <= interval.high


WORLDS = {
    "as it is": World(),
    "few problems": World(problems=30, doubts=5.0),
    "nothing changed": World(ratio=1.0, length=1.0),
    "little doubt left": World(problems=120, ratio=0.1, draws=2),
    "great bursts": World(problems=200, bursts=2.0, length=1.5),
}
