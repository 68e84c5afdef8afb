"""The normal law, from `scipy.special`: `scipy.stats` checks arguments for longer than it reckons, and every program of the analysis
would wait half a second for it to load. t's law stands in `clusters.py`."""

import math

import numpy as np
from scipy import special

from selfdistill.statistics.clusters import Array


def normal_reached(share: float) -> float:
    """What a normal number stays below with this chance."""
    return float(special.ndtri(share))


def normal_above(value: float) -> float:
    """The chance that a normal number lies above the value."""
    return float(special.ndtr(-value))


def normal_reached_above(share: float) -> float:
    """What a normal number lies above with this chance, which may be far too small to be taken from 1."""
    return -normal_reached(share)


def normal_density(points: Array) -> Array:
    return np.exp(-(points**2) / 2) / math.sqrt(2 * math.pi)
