"""Where a function crosses nothing: Brent's method, loaded where it is first asked, for it takes longer than all else that an
analysis loads."""

from collections.abc import Callable


def zero_of(function: Callable[[float], float], low: float, high: float, within: float) -> float:
    from scipy.optimize import brentq

    return float(brentq(function, low, high, xtol=within))
