"""What two trainings of one arm did to the same weights: learning, or rounding?

Which weights are seen to move in bfloat16 depends on how large they are, so two trainings of pure noise move nearly the same
ones. What is seen is therefore held against sets that are independent within a row of a matrix and an exponent of the weight.
Where weights moved to is told by directions and by the cosine, of which noise has none in common. The size and the stable rank
|Δ|²/σ² of a change are held against the difference of the two, Δ_a − Δ_b, in which what they share is gone.

Sums are taken tensor by tensor; intervals take one tensor away at a time.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from selfdistill.analysis.noise_scale import CONFIDENCE
from selfdistill.mechanism.stored_weights import Array, StoredWeights, as_bf16, as_float32
from selfdistill.statistics.clusters import t_reached
from selfdistill.tables import words
from selfdistill.tables.mechanism import WEIGHT_OVERLAP
from selfdistill.tables.schema import conform
from selfdistill.training.instruments.groups import layer_group

TOP_SHARES = (0.01, 0.1)
TOGETHER = 1 << 22  # weights looked at at once
LEAST_TENSORS = 5
POWER_STEPS = 30
CELLS = 512  # of a row: 256 exponents, and apart those at a power of two, below which the grid is finer


@dataclass
class Sums:
    """Of one tensor and two trainings, or one of them."""

    group: str
    weights: int = 0
    norm: float = 0.0  # Σ w²
    own: float = 0.0  # Σ Δ_a²
    others: float = 0.0
    product: float = 0.0  # Σ Δ_a Δ_b
    along: tuple[float, float] = (0.0, 0.0)  # Σ Δ_a w, Σ Δ_b w
    changed: int = 0  # by the first
    moved: dict[str, tuple[float, float, float]] = field(default_factory=dict)  # measure → in both, expected, mean size
    agreeing: tuple[float, float, float] = (0.0, 0.0, 0.0)  # same direction, expected, both changed
    rank: tuple[float, float] | None = None  # stable rank, and that of what it is held against

    def sideways(self, one: int, other: int) -> float:
        """The product of two changes without what of them points along the weights: decay draws all trainings that way."""
        product = {(0, 0): self.own, (0, 1): self.product, (1, 1): self.others}[one, other]
        return product - (self.along[one] * self.along[other] / self.norm if self.norm else 0.0)


def overlaps(base: Path, runs: Mapping[str, Path], seed: int, threads: int = 1) -> pl.DataFrame:
    """Every two trainings of an arm, and arms with one training; of the first trainings of two arms, the cosine alone."""

    def rows_of_pair(pair: tuple[str, ...], products: bool) -> list[dict[str, Any]]:
        sums = tensor_sums(StoredWeights(base), [StoredWeights(runs[run]) for run in pair], seed, products)
        return [row for row in rows_of(sums, *pair) if not products or row["measure"] == words.COSINE]

    asked = pairs_of(list(runs))
    with ThreadPoolExecutor(threads) as pool:  # numpy lets go of the interpreter while it counts
        rows = [row for found in pool.map(rows_of_pair, *zip(*asked, strict=True)) for row in found]
    return conform(pl.DataFrame(rows, schema=WEIGHT_OVERLAP), WEIGHT_OVERLAP, "weight overlap")


def pairs_of(runs: Sequence[str]) -> list[tuple[tuple[str, ...], bool]]:
    """Which trainings are held against each other, and whether by products alone."""
    arms: dict[str, list[str]] = {}
    for run in runs:
        arms.setdefault(run.split("/")[0], []).append(run)
    pairs: list[tuple[tuple[str, ...], bool]] = []
    for trainings in arms.values():
        alike: list[tuple[str, ...]] = [*combinations(trainings, 2)] or [(trainings[0],)]
        pairs += [(pair, False) for pair in alike]
    return pairs + [(pair, True) for pair in combinations([trainings[0] for trainings in arms.values()], 2)]


def tensor_sums(base: StoredWeights, trained: Sequence[StoredWeights], seed: int, products: bool = False) -> list[Sums]:
    """Of every tensor that moved; of the changes' `products` alone, where nothing else is asked."""
    found = []
    for name in base.names():
        before, after = base.matrix(name), [model.matrix(name) for model in trained]
        sums = sums_of_tensor(layer_group(name), before, after, seed, products)
        if sums.own or sums.others:
            found.append(sums)
    return found


def sums_of_tensor(group: str, before: Array, after: Sequence[Array], seed: int, products: bool = False) -> Sums:
    sums = Sums(group, before.size)
    sets = len(after) == 2 and not products
    limits = [_limits(before, each) for each in after] if sets else []
    for rows in _row_pieces(*before.shape):
        start, bits = as_float32(before[rows]), as_bf16(before[rows])
        moves = [as_float32(each[rows]) - start for each in after]
        changed = [as_bf16(each[rows]) != bits for each in after]
        sums.norm += _dot(start, start)
        sums.own += _dot(moves[0], moves[0])
        sums.changed += int(changed[0].sum())
        if len(after) == 2:
            sums.others += _dot(moves[1], moves[1])
            sums.product += _dot(moves[0], moves[1])
            sums.along = sums.along[0] + _dot(moves[0], start), sums.along[1] + _dot(moves[1], start)
        if sets:
            _add_sets(sums, _cells(bits), moves, changed, limits, start)
    if not products and before.shape[0] > 1 and before.shape[1] > 1 and sums.own:
        sums.rank = _ranks(before, after, seed)
    return sums


def _row_pieces(rows: int, columns: int) -> list[slice]:
    step = max(1, TOGETHER // columns)
    return [slice(first, first + step) for first in range(0, rows, step)]


def _dot(one: Array, other: Array) -> float:
    return float(np.dot(one.ravel().astype(np.float64), other.ravel().astype(np.float64)))


def _cells(bits: Array) -> Array:
    """Which row, exponent, and whether at a power of two: what rounding depends on, and how loud the row's gradient is."""
    exponent = (bits >> 7) & 0xFF
    cell = np.arange(len(bits), dtype=np.int64)[:, None] * CELLS + exponent.astype(np.int64) * 2
    return np.asarray(cell + ((bits & 0x7F) == 0)).ravel()


def _limits(before: Array, after: Array) -> list[float]:
    """|Δ| from which a weight is among those of the tensor that moved most; ties at the limit are all in."""
    sizes = np.concatenate(
        [np.abs(as_float32(after[rows]) - as_float32(before[rows])).ravel() for rows in _row_pieces(*before.shape)]
    )
    ranks = [max(0, sizes.size - max(1, round(share * sizes.size))) for share in TOP_SHARES]
    return [float(limit) for limit in np.partition(sizes, ranks)[ranks]]


def _add_sets(
    sums: Sums, cells: Array, moves: Sequence[Array], changed: Sequence[Array], limits: list[list[float]], start: Array
) -> None:
    cell_count = start.shape[0] * CELLS
    sizes = np.bincount(cells, minlength=cell_count)
    sets = {words.CHANGED_OVERLAP: tuple(each.ravel() for each in changed)}
    for place, share in enumerate(TOP_SHARES):
        sets[words.top_overlap(share)] = tuple(
            ((np.abs(move) >= limit[place]) & (move != 0)).ravel() for move, limit in zip(moves, limits, strict=True)
        )
    for measure, (first, second) in sets.items():
        ours, theirs = (np.bincount(cells[chosen], minlength=cell_count) for chosen in (first, second))
        expected = (ours / np.maximum(sizes, 1) * theirs).sum()
        found = (float((first & second).sum()), float(expected), (float(first.sum()) + float(second.sum())) / 2)
        sums.moved[measure] = _added(sums.moved.get(measure, (0.0, 0.0, 0.0)), found)
    both = sets[words.CHANGED_OVERLAP][0] & sets[words.CHANGED_OVERLAP][1]
    sums.agreeing = _added(sums.agreeing, _agreement(both, cells, moves, start))


def _added(one: tuple[float, float, float], other: tuple[float, float, float]) -> tuple[float, float, float]:
    return one[0] + other[0], one[1] + other[1], one[2] + other[2]


def _agreement(both: Array, cells: Array, moves: Sequence[Array], start: Array) -> tuple[float, float, float]:
    """Of weights changed in both: how many moved the same way, and how many would by chance.

    Chance is reckoned from how many moved away from zero, by exponent: decay draws large weights to zero in every training,
    and the grid is finer on one side of a power of two.
    """
    kinds = cells[both] % CELLS
    outward = [(move.ravel()[both] > 0) == (start.ravel()[both] > 0) for move in moves]
    n = np.bincount(kinds, minlength=CELLS)
    ours, theirs = (np.bincount(kinds[each], minlength=CELLS) for each in outward)
    share = np.maximum(n, 1)
    expected = (ours * theirs + (n - ours) * (n - theirs)) / share
    return float((outward[0] == outward[1]).sum()), float(expected.sum()), float(len(kinds))


# Stable rank


def _ranks(before: Array, after: Sequence[Array], seed: int) -> tuple[float, float]:
    """Of the first training's change, and of the two trainings' difference; without a second, of its signs shuffled."""
    start = as_float32(before[:])
    move = as_float32(after[0][:]) - start
    if len(after) == 2:
        other = as_float32(after[0][:]) - as_float32(after[1][:])
    else:
        other = np.where(np.random.default_rng(seed).random(move.shape, dtype=np.float32) < 0.5, move, -move)
    return stable_rank(move, seed), stable_rank(other, seed)


def stable_rank(matrix: Array, seed: int = 0) -> float:
    """|M|²/σ², σ the largest singular value, by power steps."""
    norm = _dot(matrix, matrix)
    if norm == 0:
        return np.nan
    vector = np.random.default_rng(seed).normal(size=matrix.shape[1]).astype(np.float32)
    largest = 0.0
    for _ in range(POWER_STEPS):
        image = matrix @ (vector / np.linalg.norm(vector))
        vector = matrix.T @ image
        largest = float(image @ image)
    return norm / largest


# From sums to rows


class Ratio(NamedTuple):
    """Estimate and what is expected of it, from the sums of some tensors."""

    estimate: float
    expected: float


Measure = Callable[[Array], Ratio]


def rows_of(sums: Sequence[Sums], run: str, against: str | None = None) -> list[dict[str, Any]]:
    groups = {words.TOTAL: list(sums)}
    for each in sums:
        groups.setdefault(each.group, []).append(each)
    rows = []
    for group, members in groups.items():
        common = {"run": run, "against": against, "group": group, "tensors": len(members)}
        common["weights"] = sum(each.weights for each in members)
        rows += [common | row for row in _measures(members, against is not None)]
    return rows


def _measures(members: Sequence[Sums], paired: bool) -> list[dict[str, Any]]:
    def column(of: Callable[[Sums], float]) -> Array:
        return np.array([of(each) for each in members])

    size, norm, own = (column(of) for of in (lambda s: s.weights, lambda s: s.norm, lambda s: s.own))
    rows = [_row(words.CHANGED_SHARE, "", lambda t: Ratio(t[0] / t[1], np.nan), column(lambda s: s.changed), size)]
    if not paired:
        rows.append(_row(words.RELATIVE_DISTANCE, "", lambda t: Ratio(np.sqrt(t[0] / t[1]), np.nan), own, norm))
        return rows + _rank_rows(members, words.BY_SHUFFLED_SIGNS)
    for measure in members[0].moved:
        sets = [column(lambda s, at=at, name=measure: s.moved[name][at]) for at in range(3)]  # type: ignore[misc]
        rows.append(_row(measure, words.BY_MAGNITUDE, lambda t: Ratio(t[0] / t[2], t[1] / t[2]), *sets))
    agreeing = [column(lambda s, at=at: s.agreeing[at]) for at in range(3)]  # type: ignore[misc]
    rows.append(_row(words.SAME_DIRECTION, words.BY_CHANCE, lambda t: Ratio(t[0] / t[2], t[1] / t[2]), *agreeing))
    others, product = column(lambda s: s.others), column(lambda s: s.product)
    sideways = [column(lambda s, a=a, b=b: s.sideways(a, b)) for a, b in ((0, 1), (0, 0), (1, 1))]  # type: ignore[misc]
    rows.append(_row(words.COSINE, words.BY_DECAY, lambda t: Ratio(t[0] / np.sqrt(t[1] * t[2]), 0.0), *sideways))
    apart = (own + others - 2 * product) / 2
    rows.append(
        _row(
            words.RELATIVE_DISTANCE,
            words.BY_DIFFERENCE,
            lambda t: Ratio(np.sqrt(t[0] / t[2]), np.sqrt(t[1] / t[2])),
            own,
            apart,
            norm,
        )
    )
    return rows + _rank_rows(members, words.BY_DIFFERENCE)


def _row(measure: str, null: str, of: Measure, *columns: Array) -> dict[str, Any]:
    """With the interval of the excess over what is expected, where something is."""
    table = np.stack(columns, axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        whole = of(table.sum(0))
        parts = [of(table.sum(0) - row) for row in table] if len(table) >= LEAST_TENSORS else []
    excess = whole.estimate - whole.expected
    low = high = None
    method = words.TOO_FEW_TENSORS
    without = np.array([part.estimate - part.expected for part in parts])
    if len(without) and np.isfinite(without).all():
        k = len(without)
        error = np.sqrt((k - 1) / k * ((without - without.mean()) ** 2).sum())
        reach = t_reached((1 + CONFIDENCE) / 2, k - 1) * error
        low, high, method = excess - reach, excess + reach, words.JACKKNIFE_TENSORS
    if not null:
        low = high = None
        method = "count" if measure == words.CHANGED_SHARE else "sum of squares"
    return _said(measure, whole.estimate, whole.expected, low, high, null, method)


def _rank_rows(members: Sequence[Sums], null: str) -> list[dict[str, Any]]:
    """Means over the matrices of a group."""
    pairs = np.array([each.rank for each in members if each.rank and np.isfinite(each.rank).all()])
    if not len(pairs):
        return []
    excess, low, high, method = pairs[:, 0] - pairs[:, 1], None, None, words.TOO_FEW_TENSORS
    if len(pairs) >= LEAST_TENSORS:
        reach = t_reached((1 + CONFIDENCE) / 2, len(pairs) - 1) * excess.std(ddof=1) / np.sqrt(len(pairs))
        low, high, method = excess.mean() - reach, excess.mean() + reach, words.T_OVER_TENSORS
    estimate, expected = pairs.mean(0)
    return [_said(words.STABLE_RANK, estimate, expected, low, high, null, method)]


def _said(
    measure: str, estimate: float, expected: float, low: float | None, high: float | None, null: str, method: str
) -> dict[str, Any]:
    known = np.isfinite(expected)
    return {
        "measure": measure,
        "estimate": float(estimate) if np.isfinite(estimate) else None,
        "expected": float(expected) if known else None,
        "excess": float(estimate - expected) if known and np.isfinite(estimate) else None,
        "low": None if low is None else float(low),
        "high": None if high is None else float(high),
        "null": null or None,
        "method": method,
    }
