"""pass@k: the chance that one of k draws is right."""

import numpy as np
from numpy.typing import ArrayLike

from selfdistill.statistics.clusters import Array


def pass_at_k(draws: ArrayLike, correct: ArrayLike, k: int) -> Array:
    """Chance that at least one of k draws is right, unbiased: 1 − C(n−c, k)/C(n, k) (Chen et al. 2021), per problem."""
    n, c = np.broadcast_arrays(np.asarray(draws, dtype=int), np.asarray(correct, dtype=int))
    if k < 1 or (n < k).any():
        raise ValueError(f"pass@{k} needs at least {max(k, 1)} draws of every problem")
    misses = np.ones(n.shape)
    for i in range(k):  # the ratio of binomials, factor by factor: nothing overflows
        misses *= np.clip(n - c - i, 0, None) / (n - i)
    return 1 - misses
