"""Which decode each side of a comparison is shown at, and how the choice would have fallen on other dev problems.

A fair comparison chooses each side's decode on dev. Another draw of dev problems would choose otherwise now and then, and
the difference would then hold that between two decodes. So the choice is made again on resampled families of dev problems:
the estimate is the mean over these choices, and their spread is a part of its error. A model against itself, which
chooses twice by chance, then shows no difference.
"""

from collections import Counter

import numpy as np

from selfdistill.analysis.pairing import Comparison, at
from selfdistill.analysis.problem_means import Evaluations, Side, family_codes
from selfdistill.foundation.errors import UserError
from selfdistill.statistics.clusters import Array, Totals, cluster_totals
from selfdistill.statistics.resampling import resample_counts
from selfdistill.tables import words

Choices = dict[tuple[str, str], float]  # (decode of the side, of the other) → how often


def choices(evaluations: Evaluations, comparison: Comparison, resamples: int, seed: int) -> Choices:
    """How often resampled dev problems choose each pair of decodes; of a comparison without a menu its one pair."""
    if not comparison.menu:
        return {(comparison.side.decode_id, comparison.against.decode_id): 1.0}
    menus = _menus(evaluations, comparison)
    clusters = len(menus[0][0].sizes)
    counts = resample_counts(clusters, resamples, np.random.default_rng([seed, clusters]))
    found = Counter(zip(*(_best(menu, counts) for menu in menus), strict=True))
    return {
        (comparison.menu[one], comparison.menu[other]): often / resamples for (one, other), often in found.most_common()
    }


def as_chosen(evaluations: Evaluations, comparison: Comparison) -> Comparison:
    """A fair comparison at the decodes that dev as it is chooses; any other as it stands."""
    if not comparison.menu:
        return comparison
    menus = _menus(evaluations, comparison)
    mine, other = (comparison.menu[_best(menu, np.ones((1, len(menu[0].sizes))))[0]] for menu in menus)
    return comparison.between(at(comparison.side, mine), at(comparison.against, other))


def _menus(evaluations: Evaluations, comparison: Comparison) -> list[list[Totals]]:
    return [
        [_dev(evaluations, side, decode, comparison.budget) for decode in comparison.menu]
        for side in (comparison.side, comparison.against)
    ]


def choice_in_words(found: Choices, position: int) -> str:
    """How often each decode is chosen by one side: `t07 88 %, t05 12 %`."""
    shares: dict[str, float] = {}
    for pair, share in found.items():
        shares[pair[position]] = shares.get(pair[position], 0.0) + share
    often = sorted(((decode, share) for decode, share in shares.items() if share >= 0.005), key=lambda item: -item[1])
    return ", ".join(f"{decode} {share:.0%}".replace("%", " %") for decode, share in often)


def _dev(evaluations: Evaluations, side: Side, decode: str, budget: str) -> Totals:
    cell = evaluations.pooled(at(side, decode), budget, "dev")
    if cell.is_empty():
        raise UserError(
            f"evaluation: no problem of the {budget} budget is in the dev split, so no decode can be chosen on it; "
            "raise problems.dev_share or the budget."
        )
    return cluster_totals(cell[words.ACCURACY].to_numpy(), family_codes(cell))


def _best(menu: list[Totals], counts: Array) -> list[int]:
    """In each resample the most accurate of the menu, the first among equals."""
    accuracy = np.stack([(counts @ each.totals) / (counts @ each.sizes) for each in menu])
    best: list[int] = np.argmax(np.round(accuracy, 12), axis=0).tolist()
    return best
