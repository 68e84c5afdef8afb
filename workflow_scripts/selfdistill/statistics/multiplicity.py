"""Many hypotheses: p-values adjusted for how many were asked."""

import math
from collections.abc import Sequence

from statsmodels.stats.multitest import multipletests

ALPHA = 0.05  # the level of every test of the study, before adjustment


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's adjusted p-values: the chance of one false claim in the family stays below the level."""
    return _adjust(p_values, "holm")


def benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values for a grid: the expected share of false claims among the claims stays below the level."""
    return _adjust(p_values, "fdr_bh")


def _adjust(p_values: Sequence[float], method: str) -> list[float]:
    known = [i for i, p in enumerate(p_values) if not math.isnan(p)]
    adjusted = [math.nan] * len(p_values)
    if known:
        for i, p in zip(known, multipletests([p_values[i] for i in known], method=method)[1], strict=True):
            adjusted[i] = float(p)
    return adjusted
