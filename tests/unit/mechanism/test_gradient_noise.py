"""|G|² and tr Σ at a frozen checkpoint: recovered where they are known, with intervals that cover them, and by part."""

from typing import Any

import numpy as np
import polars as pl
import pytest

from selfdistill.mechanism.gradient_noise import (
    Gradients,
    Pairs,
    effective_rank,
    gradients_of,
    jackknifed,
    martingale_z,
    of_checkpoints,
    probe_rows,
    ratio_upper_bound,
    shuffled_signs,
)
from selfdistill.tables import words
from selfdistill.tables.mechanism import GRADIENT_PRODUCTS

SPECTRUM = 1 / np.arange(1, 101) ** 0.5  # of Σ: its trace and effective rank are known
TRACE, RANK = SPECTRUM.sum(), SPECTRUM.sum() ** 2 / (SPECTRUM**2).sum()


def sum_gradients(
    rng: np.random.Generator, n: int, signal: float, lengths: bool = True
) -> tuple[np.ndarray, np.ndarray]:
    """s_i of n sequences with |G|² = signal and tr Σ = TRACE · mean(T)² of the sums."""
    direction = np.full(len(SPECTRUM), 1 / np.sqrt(len(SPECTRUM)))
    tokens = rng.integers(20, 61, n).astype(float) if lengths else np.full(n, 40.0)
    noise = rng.normal(size=(n, len(SPECTRUM))) * np.sqrt(SPECTRUM) * 40
    return tokens[:, None] * np.sqrt(signal) * direction + noise, tokens


def test_signal_and_noise_are_recovered_within_three_standard_errors() -> None:
    rng = np.random.default_rng(0)
    found = []
    for _ in range(300):
        gradients, tokens = sum_gradients(rng, 64, 0.05 * TRACE)
        pairs = Pairs(gradients @ gradients.T, tokens)
        found.append([pairs.signal[0], pairs.trace[0]])
    mean, error = np.mean(found, 0), np.std(found, 0) / np.sqrt(len(found))
    assert abs(mean[0] - 0.05 * TRACE) < 3 * error[0]
    assert abs(mean[1] - TRACE) < 3 * error[1] + 0.01 * TRACE  # a ratio of sums: off by 1/n


@pytest.mark.parametrize(("share", "most"), [(1.0, 0.995), (10.0, 0.97)])
def test_the_interval_covers_as_often_as_it_says(share: float, most: float) -> None:
    """ρ where n is the noise scale, and ten times it; nominal 95 %. A jackknife of pairs is too wide where noise rules."""
    n, repeats = 64, 600
    rng = np.random.default_rng(int(share))
    truth = share / n
    inside = upper = 0
    for repeat in range(repeats):
        gradients, tokens = sum_gradients(rng, n, truth * TRACE, lengths=False)
        pairs = Pairs(gradients @ gradients.T, tokens)
        ratio = jackknifed(pairs.signal / pairs.trace)
        inside += ratio.low <= truth <= ratio.high
        if repeat < 200:
            upper += truth <= ratio_upper_bound(gradients @ gradients.T, tokens, 200, 0)
    assert 0.92 <= inside / repeats <= most
    assert upper / 200 >= 0.91


def test_without_signal_none_is_seen_and_the_test_of_it_has_its_size() -> None:
    rng = np.random.default_rng(3)
    z, signals = [], []
    for _ in range(500):
        gradients, tokens = sum_gradients(rng, 48, 0.0)
        products = gradients @ gradients.T
        z.append(martingale_z(products))
        signals.append(Pairs(products, tokens).signal[0])
    assert abs(np.mean(signals)) < 3 * np.std(signals) / np.sqrt(500)
    assert 0.03 <= np.mean(np.array(z) > 1.645) <= 0.07


def test_shuffled_signs_leave_no_signal_of_a_strong_one() -> None:
    gradients, tokens = sum_gradients(np.random.default_rng(4), 128, TRACE)
    products = gradients @ gradients.T
    assert jackknifed(Pairs(products, tokens).signal).low > 0.8 * TRACE
    shuffled = [Pairs(shuffled_signs(products, seed), tokens).signal[0] for seed in range(200)]
    assert abs(np.mean(shuffled)) < 3 * np.std(shuffled) / np.sqrt(200)


def test_an_injected_vector_is_recovered_in_size() -> None:
    gradients, tokens = sum_gradients(np.random.default_rng(5), 256, 0.0)
    injected = np.zeros(len(SPECTRUM))
    injected[7] = 3.0
    signal = jackknifed(Pairs(*_with(gradients, tokens, injected)).signal)
    assert signal.low < 9.0 < signal.high and 8 < signal.value < 10


def _with(gradients: np.ndarray, tokens: np.ndarray, injected: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    changed = gradients + tokens[:, None] * injected
    return changed @ changed.T, tokens


def test_the_effective_rank_is_that_of_the_spectrum_also_through_a_sketch() -> None:
    rng = np.random.default_rng(6)
    exact, sketched = [], []
    for _ in range(60):
        gradients, tokens = sum_gradients(rng, 96, 0.3 * TRACE)
        exact.append(effective_rank(gradients @ gradients.T, tokens, 10**9))
        signs = rng.choice([-1.0, 1.0], len(SPECTRUM))
        buckets = rng.integers(0, 64, len(SPECTRUM))
        folded = np.zeros((96, 64))
        np.add.at(folded.T, buckets, (gradients * signs).T)
        sketched.append(effective_rank(folded @ folded.T, tokens, 64))
    assert np.mean([1 / rank for rank in exact if rank]) == pytest.approx(1 / RANK, rel=0.05)
    assert np.mean([1 / rank for rank in sketched if rank]) == pytest.approx(1 / RANK, rel=0.15)


def planted_table(n: int = 96) -> pl.DataFrame:
    """Parts with a known place of the signal: all of it in forks but a fourth of its square in the rest, at a right angle."""
    rng = np.random.default_rng(7)
    parts = len(words.GRADIENT_PARTS)
    signal = np.zeros((parts, 40))
    signal[1, 0], signal[2, 1] = np.sqrt(3.0), 1.0
    noise = rng.normal(size=(n, parts, 40)) * 0.5
    gradients = (10 * (signal + noise)).reshape(n * parts, 40)
    products = gradients @ gradients.T
    rows = [
        (f"r{i}", f"p{i}", i % 2 == 0, part, tokens, products[i * parts + place].tolist(), 4096, 40)
        for i in range(n)
        for place, (part, tokens) in enumerate(zip(words.GRADIENT_PARTS, (7, 1, 2), strict=True))
    ]
    return pl.DataFrame(rows, schema=GRADIENT_PRODUCTS, orient="row")


def of_part(rows: pl.DataFrame, part: str) -> dict[str, Any]:
    return rows.row(by_predicate=pl.col("part") == part, named=True)


def test_the_signal_is_found_in_the_class_where_it_was_put() -> None:
    rows = of_checkpoints({("ssd", 0, 100): planted_table()}, seed=0)
    whole, fork, rest, lock = (of_part(rows, part) for part in (words.TOTAL, words.FORK, words.REST, words.LOCK))
    assert whole["signal_low"] < 4 < whole["signal_high"] and whole["sequences"] == 96 and whole["fresh"] == 48
    assert fork["signal_share_low"] < 0.75 < fork["signal_share_high"] and fork["token_share"] == pytest.approx(0.1)
    assert rest["square_share_low"] < 0.25 < rest["square_share_high"]
    assert lock["signal_share_low"] < 0 < lock["signal_share_high"]


def test_no_example_was_shown_to_the_base() -> None:
    rows = of_checkpoints({("ssd", None, 0): planted_table()}, seed=0)
    assert rows["fresh"].unique().to_list() == [96] and rows["training_seed"].null_count() == rows.height


def test_parts_and_cross_terms_add_up_to_the_whole() -> None:
    rows = probe_rows(gradients_of(planted_table()), 0)
    parts = rows.filter(pl.col("part").is_in(words.GRADIENT_PARTS))
    assert parts["signal_share"].sum() == pytest.approx(1) and parts["noise_share"].sum() == pytest.approx(1)
    apart = rows.filter(pl.col("part") != words.TOTAL)
    assert apart["square_share"].sum() == pytest.approx(1)
    assert apart["signal"].sum() == pytest.approx(of_part(rows, words.TOTAL)["signal"])


def test_where_the_signal_is_not_resolved_no_share_of_it_is_told() -> None:
    table = planted_table()
    signs = np.repeat(np.random.default_rng(1).choice([-1.0, 1.0], 96), 3)
    products = np.array(table["products"].to_list()) * np.outer(signs, signs)
    table = table.with_columns(products=pl.Series(products.tolist(), dtype=pl.List(pl.Float64)))
    rows = probe_rows(gradients_of(table), 0)
    assert rows["signal_share"].null_count() >= rows.height - 1
    assert words.UNRESOLVED_SIGNAL in rows["method"][0]


def test_too_few_sequences_are_refused() -> None:
    small = Gradients(np.ones((3, 4, 3, 4)), np.ones((3, 4)), 0, 64)
    with pytest.raises(ValueError, match="fewer than 8"):
        probe_rows(small, 0)
