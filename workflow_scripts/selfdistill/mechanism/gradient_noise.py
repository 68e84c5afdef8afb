"""|G|², tr Σ and the noise scale at a frozen checkpoint, from the products of its sequences' gradients, and by token class.

In: products s_i·s_j of the sum gradients of n sequences, each split into parts by the class of its supervised tokens. Two
sequences are independent, so pairs of different ones measure the signal without bias: |G|² = Σ_{i≠j} s_i·s_j / Σ_{i≠j} T_i T_j.
Intervals delete one sequence at a time, with all its pairs; that on the noise scale is the inverse of that on ρ = |G|²/tr Σ.
"""

from itertools import combinations
from typing import NamedTuple

import numpy as np
import polars as pl

from selfdistill.analysis.noise_scale import CONFIDENCE, detection_limit, inverse, noise_scale_text
from selfdistill.statistics.clusters import t_reached
from selfdistill.statistics.normal import normal_above
from selfdistill.tables import words
from selfdistill.tables.mechanism import NOISE_PROBE
from selfdistill.tables.schema import conform

LEAST = 8  # sequences
RESAMPLES = 2000


class Gradients(NamedTuple):
    products: np.ndarray  # part × sequence × part × sequence
    tokens: np.ndarray  # part × sequence
    fresh: int
    sketch: int

    @property
    def whole(self) -> np.ndarray:
        return np.asarray(self.products.sum((0, 2)))


def gradients_of(table: pl.DataFrame) -> Gradients:
    """The table's rows are sequences, and within each its parts."""
    parts = len(words.GRADIENT_PARTS)
    sequences = table.height // parts
    products = np.array(table["products"].to_list()).reshape(sequences, parts, sequences, parts)
    tokens = table["tokens"].to_numpy().astype(float).reshape(sequences, parts).T
    return Gradients(
        products.transpose(1, 0, 3, 2), tokens, int(table["fresh"].sum()) // parts, int(table["sketch"][0])
    )


class Estimate(NamedTuple):
    value: float
    low: float
    high: float


class Pairs:
    """Sums over pairs of different sequences, of all of them and without each of them."""

    def __init__(self, products: np.ndarray, tokens: np.ndarray) -> None:
        self.own, self.n = products.diagonal(), len(tokens)
        of_one = products.sum(0) + products.sum(1) - 2 * self.own  # all pairs in which a sequence stands
        self.sums = _with_each_left_out(products.sum() - self.own.sum(), of_one)
        whole = tokens.sum()
        self.squares = _with_each_left_out((tokens**2).sum(), tokens**2)
        self.tokens = _with_each_left_out(whole, tokens)
        self.norms = _with_each_left_out(self.own.sum(), self.own)

    @property
    def signal(self) -> np.ndarray:
        return np.asarray(self.sums / (self.tokens**2 - self.squares))

    @property
    def trace(self) -> np.ndarray:
        """tr Σ of one sequence: n (E|g|² - |G|²) for the mean gradient g of all n, as of a step of training."""
        sequences = np.array([self.n] + [self.n - 1] * self.n)
        return np.asarray(sequences * (self.norms - self.signal * self.squares) / self.tokens**2)


def _with_each_left_out(total: float, of_one: np.ndarray) -> np.ndarray:
    return np.concatenate([[total], total - of_one])


def jackknifed(values: np.ndarray) -> Estimate:
    """Of a statistic of all sequences, and of all but each."""
    value, without = values[0], values[1:]
    n = len(without)
    error = np.sqrt((n - 1) / n * ((without - without.mean()) ** 2).sum())
    reach = t_reached((1 + CONFIDENCE) / 2, n - 1) * error
    return Estimate(float(value), float(value - reach), float(value + reach))


def probe_rows(gradients: Gradients, seed: int, resamples: int = RESAMPLES) -> pl.DataFrame:
    """All parts together, each part, and the cross terms."""
    tokens = gradients.tokens.sum(0)
    if len(tokens) < LEAST:
        raise ValueError(words.BY_TOO_FEW_SEQUENCES)
    whole = Pairs(gradients.whole, tokens)
    resolved = jackknifed(whole.signal).low > 0
    rows = [{"part": words.TOTAL, **_noise(gradients.whole, tokens, gradients, seed, resamples), "token_share": 1.0}]
    rows[0] |= {"tokens": int(tokens.sum()), "noise_share": 1.0, "square_share": 1.0, "signal_share": 1.0}
    for index, part in enumerate(words.GRADIENT_PARTS):
        own, along = gradients.products[index, :, index], gradients.products[index].sum(1)
        with_whole = Pairs((along + along.T) / 2, tokens)
        here = _noise(own, tokens, gradients, seed, resamples)
        here |= _share("square_share", Pairs(own, tokens), whole, resolved)
        here |= _share("signal_share", with_whole, whole, resolved)
        here |= _as_columns("noise_share", jackknifed(with_whole.trace / whole.trace))
        here |= {"tokens": int(gradients.tokens[index].sum())}
        rows.append({"part": part, "token_share": gradients.tokens[index].sum() / tokens.sum(), **here})
    for first, second in combinations(range(len(words.GRADIENT_PARTS)), 2):
        cross = gradients.products[first, :, second]
        both = Pairs(cross + cross.T, tokens)
        name = f"{words.GRADIENT_PARTS[first]} × {words.GRADIENT_PARTS[second]}"
        rows.append({"part": name, **_signal(both), **_share("square_share", both, whole, resolved)})
    method = words.JACKKNIFE_SEQUENCES + ("" if resolved else f"; {words.UNRESOLVED_SIGNAL}")
    common = {"sequences": len(tokens), "fresh": gradients.fresh, "method": method}
    table = pl.DataFrame([common | row for row in rows], schema_overrides=NOISE_PROBE, infer_schema_length=None)
    return conform(_with_all_columns(table), NOISE_PROBE, "noise probe")


def _with_all_columns(table: pl.DataFrame) -> pl.DataFrame:
    missing = [pl.lit(None, dtype).alias(name) for name, dtype in NOISE_PROBE.items() if name not in table.columns]
    return table.with_columns(missing).select(list(NOISE_PROBE))


def _signal(pairs: Pairs) -> dict[str, float | None]:
    return _as_columns("signal", jackknifed(pairs.signal))


def _as_columns(name: str, estimate: Estimate) -> dict[str, float | None]:
    return {name: estimate.value, f"{name}_low": estimate.low, f"{name}_high": estimate.high}


def _share(name: str, part: Pairs, whole: Pairs, resolved: bool) -> dict[str, float | None]:
    if not resolved:
        return dict.fromkeys((name, f"{name}_low", f"{name}_high"))
    return _as_columns(name, jackknifed(part.signal / whole.signal))


def _noise(
    products: np.ndarray, tokens: np.ndarray, of: Gradients, seed: int, resamples: int
) -> dict[str, float | int | str | None]:
    pairs, n = Pairs(products, tokens), len(tokens)
    trace = float(pairs.trace[0])
    found: dict[str, float | int | str | None] = {**_signal(pairs), "trace_per_sequence": trace}
    if trace <= 0:  # no token of the part has a gradient
        return found
    ratio = jackknifed(pairs.signal / pairs.trace)
    z = martingale_z(products)
    rank = effective_rank(products, tokens, of.sketch)
    return found | {
        "signal_to_noise": ratio.value,
        "signal_to_noise_low": ratio.low,
        "signal_to_noise_high": ratio.high,
        "noise_scale": inverse(ratio.value),
        "noise_scale_low": inverse(ratio.high),
        "noise_scale_high": inverse(ratio.low),
        "noise_scale_text": noise_scale_text(*ratio),
        "noise_scale_lower_bound": inverse(ratio_upper_bound(products, tokens, resamples, seed)),
        "z": z,
        "p_value": normal_above(z),
        "effective_rank": rank,
        "detection_limit": detection_limit(n, trace / n, 2 * trace**2 / rank / (n * (n - 1)), 1) if rank else None,
    }


def ratio_upper_bound(products: np.ndarray, tokens: np.ndarray, resamples: int, seed: int) -> float:
    """One-sided 95 % upper bound on ρ: a bootstrap over sequences in which no sequence is paired with itself.

    A sequence that is drawn twice would be, in the usual bootstrap, and its own norm would pass for signal.
    """
    n = len(tokens)
    drawn = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), resamples).astype(float)
    own = products.diagonal()
    pair_sums = ((drawn @ products) * drawn).sum(1) - drawn**2 @ own
    whole = drawn @ tokens
    signal = pair_sums / (whole**2 - drawn**2 @ tokens**2)
    trace = n * (drawn @ own - signal * (drawn @ tokens**2)) / whole**2
    return float(np.quantile(signal / trace, CONFIDENCE))


def martingale_z(products: np.ndarray) -> float:
    """Σ D_k / √Σ D_k² with D_k = (s_1 + … + s_{k-1})·s_k: standard normal where there is no signal."""
    steps = np.tril(products, -1).sum(1)
    return float(steps.sum() / np.sqrt((steps**2).sum()))


def effective_rank(products: np.ndarray, tokens: np.ndarray, sketch: int) -> float | None:
    """(tr Σ)²/tr Σ². tr Σ² without bias from quadruples of different sequences (Chen and Qin 2010).

    A sketch of m numbers adds (tr Σ)²/m to tr Σ², which is taken out. Null where nothing is left.
    """
    n, share = len(tokens), tokens / tokens.sum()
    rows = products.sum(0)
    centred = products - np.outer(share, rows) - np.outer(rows, share) + np.outer(share, share) * products.sum()
    between = centred - np.diag(centred.diagonal())
    squares, of_one, total = (between**2).sum(), between.sum(0), between.sum()
    paths = (of_one**2).sum() - squares  # of three different ones
    apart = total**2 - 4 * paths - 2 * squares  # of four
    pairs, triples = n * (n - 1), n * (n - 1) * (n - 2)
    of_squares = squares / pairs - 2 * paths / triples + apart / (triples * (n - 3))
    trace = centred.diagonal().sum() / (n - 1)
    inverse_rank = of_squares / trace**2 - 1 / sketch
    return float(1 / inverse_rank) if inverse_rank > 0 else None


def shuffled_signs(products: np.ndarray, seed: int) -> np.ndarray:
    """The control: with a random sign before every gradient, no signal is left."""
    signs = np.random.default_rng(seed).choice([-1.0, 1.0], len(products))
    return products * np.outer(signs, signs)


def of_checkpoints(tables: dict[tuple[str, int | None, int], pl.DataFrame], seed: int) -> pl.DataFrame:
    """By arm, training seed and percent. The base was trained on none of them."""
    found = []
    for (arm, training_seed, percent), table in tables.items():
        gradients = gradients_of(table if percent else table.with_columns(fresh=True))
        found.append(
            probe_rows(gradients, seed).with_columns(
                arm=pl.lit(arm), training_seed=pl.lit(training_seed, pl.Int64), percent=pl.lit(percent, pl.Int32)
            )
        )
    return conform(pl.concat(found).select(list(NOISE_PROBE)), NOISE_PROBE, "noise probe")
