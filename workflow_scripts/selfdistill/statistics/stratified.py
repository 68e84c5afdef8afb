"""The difference estimator of survey sampling: a cheap measurement of everything, corrected by a dear one of a sample.

The grader judged every answer and a person a stratified sample of them. A side's corrected accuracy is its graded one plus
Σ over the strata (share of the stratum · mean of person − grader in its audited rows), whatever errors the grader makes:
the audit measures them (Cochran 1977, ch. 7; Särndal et al. 1992, §6.3).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from selfdistill.statistics.clusters import Array, t_reached


@dataclass(frozen=True)
class Stratum:
    share: float  # of all answers of its side
    population: int  # answers in it that could have been drawn
    errors: Array  # person − grader, of the audited rows: −1, 0 or 1
    lowest: float = -1.0  # what the mean of person − grader could be at least and at most
    highest: float = 1.0
    unclear: int = 0  # audited, and undecided
    usual_variance: float = 0.0  # of errors in strata of this kind: for one in which none was found


@dataclass(frozen=True)
class Correction:
    """What an audit adds to a graded share."""

    estimate: float
    variance: float
    parts: tuple[tuple[float, float], ...]  # of the variance: each with its degrees of freedom
    worst: float  # were every unclear row, and every row of a stratum without an audited one, as low as can be
    best: float


def correction(strata: Sequence[Stratum]) -> Correction:
    means = [float(s.errors.mean()) if len(s.errors) else 0.0 for s in strata]
    parts = tuple(
        (s.share**2 * _variance_of_mean(s), float(max(1, len(s.errors) - 1))) for s in strata if len(s.errors)
    )
    return Correction(
        estimate=sum(s.share * mean for s, mean in zip(strata, means, strict=True)),
        variance=sum(variance for variance, _ in parts),
        parts=parts,
        worst=sum(s.share * _bound(s, s.lowest) for s in strata),
        best=sum(s.share * _bound(s, s.highest) for s in strata),
    )


def _variance_of_mean(stratum: Stratum) -> float:
    """s²/n · (1 − n/N): a stratum that was audited whole adds nothing.

    Few rows without an error do not say that there is none: the variance is that of one error in n + 2 rows, at least.
    """
    n = len(stratum.errors)
    seen = 1 / (n + 2)
    found = float(stratum.errors.var(ddof=1)) if n > 1 else 0.0
    variance = max(found if np.any(stratum.errors != 0) else stratum.usual_variance, seen * (1 - seen))
    return max(0.0, 1 - n / stratum.population) * variance / n


def _bound(stratum: Stratum, extreme: float) -> float:
    decided = len(stratum.errors)
    if not decided + stratum.unclear:
        return extreme
    return float(stratum.errors.sum() + stratum.unclear * extreme) / (decided + stratum.unclear)


def combined_degrees_of_freedom(parts: Sequence[tuple[float, float]]) -> float:
    """Satterthwaite's, of a variance that is the sum of independent estimates."""
    total = sum(variance for variance, _ in parts)
    uncertainty = sum(variance**2 / freedom for variance, freedom in parts if freedom > 0)
    return total**2 / uncertainty if uncertainty > 0 else math.inf


def half_width(variance: float, degrees_of_freedom: float, level: float = 0.95) -> float:
    return t_reached((1 + level) / 2, degrees_of_freedom) * math.sqrt(variance)
