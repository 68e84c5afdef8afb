"""Curves of the base and of every arm: mass by rank, and survivors and entropy of the decode's truncation by temperature."""

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

from selfdistill.mechanism.compared import BASE, Positions
from selfdistill.mechanism.estimates import Row, interval_row
from selfdistill.mechanism.theory import Array
from selfdistill.tables import words
from selfdistill.tables.mechanism import CURVES

RANKS = [1, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 40, 50, 60]

Curves = dict[tuple[str, float], Array]


def curve_rows(
    positions: Positions, of_models: Mapping[str, Sequence[Curves]], decode_id: str, least: int
) -> pl.DataFrame:
    """`of_models`: the base's, and by arm one a training. The base's curve stands beside every arm's."""
    rows: list[Row] = []
    asked = positions.probed_for(words.EVERY_KIND)
    sides = [(arm, model) for arm in of_models if arm != BASE for model in (BASE, arm)] or [(BASE, BASE)]
    for arm, model in sides:
        several = of_models[model]
        for token_class in (words.EVERY_CLASS, *words.TOKEN_CLASSES):
            mask = asked & positions.are(token_class)
            for curve, x in several[0]:
                sums = positions.families.sums(np.stack([each[curve, x] for each in several]), mask)
                rows.append({
                    "arm": arm, "training_seeds": len(of_models[arm]) if arm != BASE else 0, "carriers": words.BY_ALL,
                    "token_class": token_class, "position_kind": words.EVERY_KIND, "curve": curve, "model": model,
                    "decode_id": None if curve == words.MASS_BY_RANK else decode_id, "x": x, **interval_row(sums, least),
                })  # fmt: skip
    return pl.DataFrame(rows, schema=CURVES, orient="row")
