"""What a paired difference is and how sure it is: by problem, then over families of problems, for either of two claims."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from selfdistill.analysis.problem_means import known
from selfdistill.foundation.errors import UserError
from selfdistill.statistics.clusters import Array, ClusterMean, cluster_mean, cluster_totals
from selfdistill.statistics.multiplicity import ALPHA
from selfdistill.statistics.paired import Paired, PairedMeans, PairedShares
from selfdistill.tables import words

SHARES = (words.ACCURACY, words.CUT_RATE, words.LOOP_RATE)

Row = dict[str, Any]


@dataclass(frozen=True)
class Difference:
    """One estimand of a comparison, by problem: a numerator and a weight (1, or the chance that both finished)."""

    estimand: str
    values: Array
    weights: Array
    is_share: bool
    unit: str | None = None
    span: float = 1.0  # the largest difference that there can be

    def mean(self, families: Array) -> ClusterMean:
        return cluster_mean(*cluster_totals(self.values, families, self.weights))

    def judged(self, mean: ClusterMean) -> Paired:
        """By the one statistic that its interval, p, equivalence and power come from."""
        if self.is_share and mean.clusters:
            return PairedShares.of(self.values, self.weights, mean, self.span)
        return PairedMeans(mean)


def differences_between(mine: pl.DataFrame, other: pl.DataFrame, against: str, bounds: bool) -> list[Difference]:
    """The differences of two sides that answered the same problems, in the same order."""
    a = {name: mine[name].to_numpy() for name in mine.columns if mine[name].dtype == pl.Float64}
    b = {name: other[name].to_numpy() for name in other.columns if other[name].dtype == pl.Float64}
    ones = np.ones(mine.height)
    found = [Difference(share, a[share] - b[share], ones, True) for share in SHARES]
    found.append(Difference(words.MEAN_TOKENS, a[words.MEAN_TOKENS] - b[words.MEAN_TOKENS], ones, False))
    # Over all pairs of a draw of one side and a draw of the other, those in which both finished.
    right_a, right_b = a["correct_and_finished"], b["correct_and_finished"]
    finished_a, finished_b = a["finished_rate"], b["finished_rate"]
    both, gain = finished_a * finished_b, right_a * finished_b - finished_a * right_b
    found.append(Difference(words.WHEN_BOTH_FINISHED, gain, both, True, words.FINISHED_BY_BOTH))
    if bounds:
        worst = a[words.ACCURACY] - b[words.ACCURACY] - b[words.CUT_RATE]
        best = a[words.ACCURACY] + a[words.CUT_RATE] - b[words.ACCURACY]
        for whom, values in ((against, worst), (words.THE_ARM, best)):
            found.append(Difference(words.cut_counted_for(whom), values, ones, is_share=True))
    return found


def weighted(parts: Sequence[tuple[float, Difference]]) -> Difference:
    """One estimand over several pairs of decodes, each as often as it would be chosen."""
    first = parts[0][1]
    if len(parts) == 1:
        return first
    values = sum(weight * part.values for weight, part in parts)
    weights = sum(weight * part.weights for weight, part in parts)
    return Difference(first.estimand, np.asarray(values), np.asarray(weights), first.is_share, first.unit, first.span)


def estimated(difference: Difference, families: Array, unit: str) -> Row:
    """The row of a claim about these checkpoints."""
    return judged_row(difference, difference.mean(families), unit)


def judged_row(difference: Difference, mean: ClusterMean, unit: str, alpha: float = ALPHA) -> Row:
    """Estimate, interval, p and, at the level, power of a difference whose error is `mean`'s."""
    judged = difference.judged(mean)
    interval = judged.interval()
    return {
        "estimate": known(mean.estimate),
        "low": known(interval.low),
        "high": known(interval.high),
        "method": words.SCORE if isinstance(judged, PairedShares) else words.T,
        "p_value": known(judged.p()),
        "unit": f"{unit} {difference.unit}" if difference.unit else unit,
        "n": mean.clusters,
        "standard_error": known(mean.standard_error),
        "degrees_of_freedom": known(mean.degrees_of_freedom),
        "mde80": known(judged.detectable(alpha)),
        **(
            {"pairs": judged.pairs, "gained": judged.gained, "lost": judged.lost}
            if isinstance(judged, PairedShares)
            else {}
        ),
    }


def judged_of(row: Row) -> Paired:
    """What a row was judged by, from the row: the same interval, p, equivalence and power at any level."""
    freedom = np.nan if row["degrees_of_freedom"] is None else row["degrees_of_freedom"]
    if row["pairs"] is not None:
        return PairedShares(row["gained"], row["lost"], row["pairs"], freedom)
    if row["estimate"] is None:
        raise UserError(f"{row['estimand']} of {row['arm']}: nothing was measured; evaluate it on more problems.")
    error = np.nan if row["standard_error"] is None else row["standard_error"]
    return PairedMeans(ClusterMean(row["estimate"], error, row["n"], freedom))
