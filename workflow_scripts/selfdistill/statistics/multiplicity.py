"""Many hypotheses: p-values adjusted for how many were asked."""

from collections.abc import Callable, Sequence

import numpy as np

from selfdistill.statistics.clusters import Array

ALPHA = 0.05  # the level of every test of the study, before adjustment


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's adjusted p-values: the chance of one false claim in the family stays below the level."""
    return _adjusted(p_values, lambda p: np.maximum.accumulate(p * np.arange(len(p), 0, -1)))


def benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values for a grid: the expected share of false claims among the claims stays below the level."""
    return _adjusted(p_values, lambda p: np.minimum.accumulate((p * len(p) / np.arange(1, len(p) + 1))[::-1])[::-1])


def _adjusted(p_values: Sequence[float], of_sorted: Callable[[Array], Array]) -> list[float]:
    """Each p at its place; one that is not known (nan) stays so and is not counted."""
    p = np.asarray(p_values, dtype=float)
    known = np.flatnonzero(~np.isnan(p))
    order = known[np.argsort(p[known], kind="stable")]
    p[order] = np.minimum(of_sorted(p[order]), 1.0)
    return [float(each) for each in p]
