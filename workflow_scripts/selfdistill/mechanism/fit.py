"""Is it self-distillation? How far training moved a model to the target that theory gives it, and how much of its movement
goes elsewhere.

The target at a position is q = Temper_T[p₀ | S]: the base's law under the arm's decode. KL(q‖base) is what training has to
close, and it is finite: the support lies within the base's. (The other way round, KL(p‖q), it is infinite wherever a model
leaves the support any mass, which it always does.) It is −log of the mass in the support plus the divergence within it, so
each part has a fit ratio, too. At temperature 1 without truncation the target is the base, and nothing is to be closed.

The movement is one vector over all positions and tokens of a class. What of its squared length does not lie along the way to
the target is the remainder: training that is not self-distillation. Noise has no side, and is all remainder; a movement of
which a part is on the way, evenly at all positions, is remainder for the rest.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import polars as pl

from selfdistill.mechanism.compared import Chosen, Positions, Side, classes_of, slices
from selfdistill.mechanism.estimates import Row, Sums, ends, interval_row, known, too_few
from selfdistill.mechanism.features import (
    ASKED_SQUARED,
    COMPRESSION_OF_TARGET,
    DIVERGENCE,
    MOVE_ASKED_SQUARED,
    MOVED_BY_ASKED,
    MOVED_SQUARED,
    SEEN_BY_ASKED,
    SEEN_SQUARED,
    WITHIN,
    Features,
)
from selfdistill.mechanism.theory import Array
from selfdistill.statistics.clusters import ClusterMean
from selfdistill.statistics.intervals import Interval, t_interval
from selfdistill.tables import words
from selfdistill.tables.mechanism import SSD_FIT

CLOSED = {
    words.FIT_RATIO: DIVERGENCE,
    words.FIT_OF_SUPPORT: COMPRESSION_OF_TARGET,
    words.FIT_WITHIN: WITHIN,
}


def ssd_fit(
    positions: Positions,
    base: Features,
    sides: Sequence[Side],
    targets: Sequence[str],
    own_decodes: Mapping[str, str | None],
    null: str | None,
    least: int,
) -> pl.DataFrame:
    """Every arm against every target of the study, its own among them; `decode_id` says whose."""
    nulls = {side.arm: side for side in sides}
    rows: list[Row] = []
    for side in sides:
        other = nulls.get(null) if null and null != side.arm else None
        for target in targets:
            for chosen in filter(_is_honest, classes_of(positions, side)):
                for carriers, kind in slices():
                    if kind != words.EVERY_KIND and chosen.token_class not in _BY_KIND:
                        continue
                    mask = chosen.mask & positions.written(carriers) & positions.probed_for(kind)
                    within = positions.written(carriers) & positions.probed_for(kind)
                    told = {"arm": side.arm, "training_seeds": len(side.features), "carriers": carriers,
                            "token_class": chosen.token_class, "position_kind": kind, "decode_id": target}  # fmt: skip
                    for row in _rows(_Asked(positions, base, side, other, target, least, chosen.how), mask, within):
                        rows.append({**told, **row})
        own = own_decodes.get(side.arm)
        if own is not None and own not in targets:
            rows.append(_nothing_to_close(side, own))
    return pl.DataFrame(rows, schema=SSD_FIT, orient="row") if rows else pl.DataFrame(schema=SSD_FIT)


_BY_KIND = (words.EVERY_CLASS, words.LOCK, words.FORK)


def _is_honest(chosen: Chosen) -> bool:
    return chosen.honest


def _nothing_to_close(side: Side, own: str) -> Row:
    return {
        "arm": side.arm, "training_seeds": len(side.features), "carriers": words.BY_ALL,
        "token_class": words.EVERY_CLASS, "position_kind": words.EVERY_KIND, "measure": words.FIT_RATIO, "decode_id": own,
        "estimate": None, "low": None, "high": None, "method": words.TARGET_IS_BASE, "positions": 0, "n": 0,
    }  # fmt: skip


class _Asked:
    """Sums over families of what an arm's rows against one target need."""

    def __init__(self, positions: Positions, base: Features, side: Side, null: Side | None, target: str, least: int, how: str) -> None:  # fmt: skip
        self.positions, self.base, self.side, self.null = positions, base, side, null
        self.target, self.least, self.how = target, least, how

    def of(self, name: str, mask: Array) -> Sums:
        return self.positions.families.sums(self.side.stacked((name, self.target)), mask)

    def closed(self, name: str, mask: Array) -> Sums:
        before = self.base[name, self.target]
        return self.positions.families.sums(before - self.side.stacked((name, self.target)), mask, before)

    def closed_beyond(self, mask: Array) -> Sums | None:
        if self.null is None:
            return None
        before, nothing = self.base[DIVERGENCE, self.target], self.null.stacked((DIVERGENCE, self.target)).mean(0)
        return self.positions.families.sums(nothing - self.side.stacked((DIVERGENCE, self.target)), mask, before)

    def row(self, measure: str, sums: Sums) -> Row:
        return {"measure": measure, **interval_row(sums, self.least, chosen=self.how)}


def _rows(asked: _Asked, mask: Array, within: Array) -> Iterator[Row]:
    distance = asked.positions.families.sums(np.broadcast_to(asked.base[DIVERGENCE, asked.target], mask.shape), mask)
    yield asked.row(words.DISTANCE_OF_BASE, distance)
    for measure, name in CLOSED.items():
        yield asked.row(measure, asked.closed(name, mask))
    beyond = asked.closed_beyond(mask)
    if beyond is not None:
        yield asked.row(words.FIT_BEYOND_NULL, beyond)
    seen, by, ask = (asked.of(name, mask) for name in (SEEN_SQUARED, SEEN_BY_ASKED, ASKED_SQUARED))
    yield {"measure": words.ALIGNMENT, **smooth_row(_cosine, [seen, by, ask], asked.least, asked.how)}
    yield asked.row(words.PROJECTION, Sums(by.values, ask.values, by.positions))
    moved, along, whole = (asked.of(name, mask) for name in (MOVED_SQUARED, MOVED_BY_ASKED, MOVE_ASKED_SQUARED))
    yield asked.row(words.MOVEMENT, moved)
    yield {"measure": words.REMAINDER, **_remainder_row(moved, along, whole, asked.least, asked.how)}
    if mask.ndim == 1 and not asked.how:
        rest = within & ~mask
        others = [asked.of(name, rest) for name in (MOVED_SQUARED, MOVED_BY_ASKED, MOVE_ASKED_SQUARED)]
        yield {"measure": words.REMAINDER_HERE,
               **smooth_row(_remainder_here, [moved, along, whole, *others], asked.least, asked.how, 0.0)}  # fmt: skip


def _cosine(seen: float, by: float, ask: float) -> float:
    return by / math.sqrt(seen * ask) if seen > 0 and ask > 0 else math.nan


def _remainder(moved: float, along: float, whole: float) -> float:
    """A movement away from the target is not on its way."""
    return moved - (max(along, 0.0) ** 2 / whole if whole > 0 else 0.0)


def _remainder_row(moved: Sums, along: Sums, whole: Sums, least: int, chosen: str) -> Row:
    """1 − cos², and all of it where the movement is away from the target; the interval is the cosine's."""
    cosine = smooth_row(_cosine, [moved, along, whole], least, chosen)
    off = {
        name: None if cosine[name] is None else 1 - max(cosine[name], 0.0) ** 2 for name in ("estimate", "low", "high")
    }
    return {**cosine, "estimate": off["estimate"], "low": off["high"], "high": off["low"]}


def _remainder_here(*sums: float) -> float:
    here, elsewhere = _remainder(*sums[:3]), _remainder(*sums[3:])
    return here / (here + elsewhere) if here + elsewhere > 0 else math.nan


def smooth_row(
    of: Callable[..., float], sums: Sequence[Sums], least: int, chosen: str = "", lowest: float = -1.0
) -> Row:
    """Of a smooth function of sums over families: each family pulls on it by its derivative (the delta method). Several
    trainings are averaged; the interval is of these checkpoints, and ends where the function does."""
    trainings = range(len(sums[0].values))
    at = [[float(each.values[k].sum()) for each in sums] for k in trainings]
    values = [of(*each) for each in at]
    estimate = float(np.mean(values))
    pull = np.mean([_pull(of, at[k], [each.values[k] for each in sums]) for k in trainings], axis=0)
    first = sums[0]
    families = first.families
    counted: Row = {"estimate": known(estimate), "positions": first.positions, "n": families}
    reason = too_few(first, least)
    if reason:
        return {**counted, "low": None, "high": None, "method": reason}
    variance = float((pull**2).sum()) * families / (families - 1)
    whole = t_interval(ClusterMean.of(estimate, math.sqrt(variance), families))
    interval = Interval(max(whole.low, lowest), min(whole.high, 1.0))
    method = f"{words.T}, {words.CHECKPOINTS}"
    return {**counted, **ends(interval), "method": f"{method}; {chosen}" if chosen else method}


def _pull(of: Callable[..., float], at: list[float], by_family: list[Array]) -> Array:
    pull = np.zeros_like(by_family[0])
    for place, (value, family) in enumerate(zip(at, by_family, strict=True)):
        step = 1e-6 * max(abs(value), 1e-12)
        above, below = [*at], [*at]
        above[place], below[place] = value + step, value - step
        pull += (of(*above) - of(*below)) / (2 * step) * family
    return pull
