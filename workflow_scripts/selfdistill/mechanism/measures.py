"""How laws moved, by class, arm, texts and kind of position; one row an estimand, with its interval and the null taken off.

Rows are differences of a trained model from the base at the same positions. The null is the fixed point, an arm that the
method should not move: what it shows is training's own noise, and it is taken off at the same positions. Between texts,
where the base's own law is compared on an arm's texts and on the base's, the null is the A/A arm's.
"""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import polars as pl

from selfdistill.mechanism.compared import BASE, Chosen, Positions, Side, arm_of, classes_of, slices
from selfdistill.mechanism.estimates import (
    Row,
    Sums,
    difference_of_means,
    ends,
    interval_row,
    known,
    mean_of,
    too_few,
)
from selfdistill.mechanism.features import Features, Key
from selfdistill.mechanism.theory import Array
from selfdistill.statistics.intervals import t_interval
from selfdistill.tables import words
from selfdistill.tables.mechanism import MECHANISM

NO_NULL: Row = {"null": None, "beyond_null": None, "beyond_null_low": None, "beyond_null_high": None}


def mechanism(
    positions: Positions,
    base: Features,
    sides: Sequence[Side],
    temperatures: Mapping[str, float],
    own_decodes: Mapping[str, str | None],
    null: str | None,
    least: int,
) -> pl.DataFrame:
    nulls = {side.arm: side for side in sides}
    rows: list[Row] = []
    for side in sides:
        other = nulls.get(null) if null and null != side.arm else None
        rows += _rows_of_arm(positions, base, side, other, own_decodes.get(side.arm), least)
    rows += _between_texts(positions, base, least)
    for row in rows:
        row["temperature"] = temperatures.get(row["decode_id"])
    return pl.DataFrame(rows, schema=MECHANISM, orient="row") if rows else pl.DataFrame(schema=MECHANISM)


def _rows_of_arm(
    positions: Positions, base: Features, side: Side, null: Side | None, own_decode: str | None, least: int
) -> Iterator[Row]:
    keys = list(side.features[0])
    differences = {key: side.stacked(key) - base[key] for key in keys if _is_measure(key)}
    nulls = {key: null.stacked(key) - base[key] for key in differences} if null else {}
    for chosen in classes_of(positions, side):
        for carriers, kind in slices():
            mask = chosen.mask & positions.written(carriers) & positions.probed_for(kind)
            told = {"arm": side.arm, "training_seeds": len(side.features), "carriers": carriers,
                    "token_class": chosen.token_class, "position_kind": kind}  # fmt: skip
            for key, difference in differences.items():
                if kind != words.EVERY_KIND and key[1] not in (None, own_decode):
                    continue
                if not chosen.honest and (kind, carriers, key[1]) != (words.EVERY_KIND, words.BY_ALL, None):
                    continue
                row = _row(positions, key, base[key], difference, mask, chosen, least)
                if chosen.honest:
                    row |= _beyond(positions, null, nulls.get(key), difference, mask, least)
                else:
                    row |= {**NO_NULL, "low": None, "high": None, "method": chosen.how}
                yield {**told, **row}


def _is_measure(key: Key) -> bool:
    return key[0] in _MEASURES


_MEASURES = {words.TOP_PROBABILITY, words.ENTROPY, words.SWAPS, words.KEPT_MASS, words.NUCLEUS_SIZE, words.ENTROPY_BEFORE,
             words.ENTROPY_AFTER, words.TAIL_MASS, *words.LOSS_TERMS}  # fmt: skip


def _row(
    positions: Positions, key: Key, base: Array, difference: Array, mask: Array, chosen: Chosen, least: int
) -> Row:
    sums = positions.families.sums(difference, mask)
    before = positions.families.sums(base[None] if mask.ndim == 1 else np.broadcast_to(base, mask.shape), mask)
    weight = before.weights.sum()
    mean = float(before.values.sum() / weight) if weight else None
    row = interval_row(sums, least, share=key[0] == words.SWAPS, chosen=chosen.how)
    trained = mean + row["estimate"] if mean is not None and row["estimate"] is not None else None
    return {"measure": key[0], "decode_id": key[1], "base": mean, "trained": trained, **row}


def _beyond(
    positions: Positions, null: Side | None, of_null: Array | None, difference: Array, mask: Array, least: int
) -> Row:
    """At the same positions; where a class was chosen for each training anew, at those of each."""
    if null is None or of_null is None:
        return NO_NULL
    less = difference - of_null.mean(0)
    sums = positions.families.sums(less, mask)
    mean, _ = mean_of(sums)
    interval = {} if too_few(sums, least) else ends(t_interval(mean))
    return {"null": null.arm, "beyond_null": known(mean.estimate),
            "beyond_null_low": interval.get("low"), "beyond_null_high": interval.get("high")}  # fmt: skip


def _between_texts(positions: Positions, base: Features, least: int) -> Iterator[Row]:
    """The base's law on an arm's texts against that on its own: is it led to other places?"""
    writers = positions.table["written_by"].to_numpy()
    own = (writers == BASE) & positions.probed_for(words.EVERY_KIND)
    arms = {name: arm_of(name) for name in dict.fromkeys(writers) if name != BASE}
    resampled = next((arm for name, arm in arms.items() if "/" not in name), None)
    measured: list[tuple[str, str, Array]] = [
        (words.TOP_PROBABILITY, words.EVERY_CLASS, base[words.TOP_PROBABILITY, None]),
        (words.ENTROPY, words.EVERY_CLASS, base[words.ENTROPY, None]),
        *((words.CLASS_SHARE, name, positions.are(name).astype(float)) for name in words.TOKEN_CLASSES),
    ]
    for arm in dict.fromkeys(arms.values()):
        wrote = np.isin(writers, [name for name in arms if arms[name] == arm]) & positions.probed_for(words.EVERY_KIND)
        twin = np.isin(writers, [name for name in arms if arms[name] == resampled])
        for measure, token_class, values in measured:
            sides = [positions.families.sums(values, mask) for mask in (wrote, own)]
            if min(each.positions for each in sides) == 0:
                continue
            null = None
            if resampled and arm != resampled:
                null = positions.families.sums(values, twin & positions.probed_for(words.EVERY_KIND))
            yield {
                "arm": arm,
                "training_seeds": sum(arms[name] == arm for name in arms) if arm != resampled else 0,
                "carriers": words.BETWEEN_TEXTS,
                "token_class": token_class,
                "position_kind": words.EVERY_KIND,
                "measure": measure,
                "decode_id": None,
                **_text_row(sides[0], sides[1], least),
                **_beyond_text(sides[0], null, resampled, least),
            }


def _text_row(one: Sums, own: Sums, least: int) -> Row:
    estimate, interval = difference_of_means(one, own)
    fewer = one if one.positions < own.positions else own
    reason = too_few(fewer, least)
    both = Sums(one.values + own.values, one.weights + own.weights, fewer.positions)
    return {
        "base": float(own.values.sum() / own.weights.sum()),
        "trained": float(one.values.sum() / one.weights.sum()),
        "estimate": estimate,
        **({"low": None, "high": None} if reason else ends(interval)),
        "method": reason or f"{words.T}, {words.CHECKPOINTS}",
        "positions": one.positions + own.positions,
        "n": both.families,
    }


def _beyond_text(one: Sums, null: Sums | None, resampled: str | None, least: int) -> Row:
    """Less the twin's: the base's own texts cancel."""
    if null is None or null.positions == 0:
        return NO_NULL
    estimate, interval = difference_of_means(one, null)
    reason = too_few(one, least) or too_few(null, least)
    limits = {"low": None, "high": None} if reason else ends(interval)
    return {
        "null": resampled,
        "beyond_null": estimate,
        "beyond_null_low": limits["low"],
        "beyond_null_high": limits["high"],
    }
