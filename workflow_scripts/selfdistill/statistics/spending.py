"""Error spending (Lan and DeMets 1983): how much of a one-sided level may have been used up by each look.

A level of 5 % two-sided is 2.5 % a side, and each side spends its own. What is spent depends on the share of the
information alone, so that looks may come at any times, as long as no result has a say in when they come.
"""

import math
from collections.abc import Callable

from selfdistill.statistics.normal import normal_above, normal_reached_above

Spending = Callable[[float, float], float]  # share of the information, level of one side → what of it is spent


def obrien_fleming(time: float, level: float) -> float:
    """Next to nothing early, nearly all at the end: 2 − 2Φ(z_{level/2}/√t)."""
    return 2 * normal_above(normal_reached_above(level / 2) / math.sqrt(time))


def pocock(time: float, level: float) -> float:
    """About evenly: level·ln(1 + (e − 1)·t). Stops sooner, and pays for it at the last look."""
    return level * math.log1p((math.e - 1) * time)
