"""The estimators of gradient noise against simulations whose |G|² and Σ are known."""

import numpy as np
import polars as pl
import pytest

from selfdistill.analysis.noise import noise_of_runs, noise_steps, noise_summary, windows
from selfdistill.analysis.noise_scale import (
    StepSums,
    detection_limit,
    effective_rank,
    momentum_fraction,
    noise_scale_text,
    ratio_of_sums,
    ratio_upper_bound,
)
from selfdistill.analysis.practice_signal import practice_signal
from selfdistill.tables.analysis import NOISE_STEPS, NOISE_SUMMARY
from selfdistill.tables.practice_analysis import PRACTICE_SIGNAL
from selfdistill.tables.schema import conform
from selfdistill.tables.training import NOISE

DIMENSION, MICRO_BATCHES = 300, 8
TOTAL_RUN = (pl.col("window") == "run") & (pl.col("group") == "total") & (pl.col("geometry") == "euclidean")


def noise_table(gradients: np.ndarray, tokens: np.ndarray, per_micro: int = 1) -> pl.DataFrame:
    """NOISE rows of micro-batch sums s_k (steps × K × dimension) with T_k supervised tokens, in two groups."""
    steps, k, dimension = gradients.shape
    shares = gradients / tokens.sum(1)[:, None, None]
    halves = {"a": slice(0, dimension // 2), "b": slice(dimension // 2, None)}
    rows = []
    for step in range(steps):
        for group, half in halves.items():
            for micro in range(k):
                rows.append(
                    (
                        step + 1,
                        micro,
                        group,
                        tokens[step, micro],
                        per_micro,
                        (shares[step, micro, half] ** 2).sum(),
                        None,
                        None,
                    )
                )
            rows.append(
                (
                    step + 1,
                    -1,
                    group,
                    tokens[step].sum(),
                    per_micro * k,
                    (shares[step][:, half].sum(0) ** 2).sum(),
                    None,
                    None,
                )
            )
    return conform(pl.DataFrame(rows, schema=list(NOISE), orient="row"), NOISE, "simulated noise")


def simulated(rng: np.random.Generator, steps: int, scale: float, tokens: int = 100) -> pl.DataFrame:
    """Equal micro-batches, Σ = identity per micro-batch mean, |G|² so that B_simple is `scale` steps' batches."""
    mean = np.full(DIMENSION, np.sqrt(1 / (MICRO_BATCHES * scale))) if np.isfinite(scale) else np.zeros(DIMENSION)
    means = mean + rng.standard_normal((steps, MICRO_BATCHES, DIMENSION))
    return noise_table(means * tokens, np.full((steps, MICRO_BATCHES), tokens))


def sums(rng: np.random.Generator, steps: int, scale: float, repetitions: int) -> tuple[np.ndarray, ...]:
    """What StepSums holds, for many windows at once, without the detour over tables."""
    mean = np.sqrt(1 / (MICRO_BATCHES * scale)) if np.isfinite(scale) else 0.0
    pair, norm = np.empty((repetitions, steps)), np.empty((repetitions, steps))
    for index in range(repetitions):
        g = mean + rng.standard_normal((steps, MICRO_BATCHES, DIMENSION), dtype=np.float32)
        norm[index] = (g.mean(1) ** 2).sum(-1)
        pair[index] = MICRO_BATCHES**2 * norm[index] - (g**2).sum((1, 2))
    weight = np.full_like(pair, MICRO_BATCHES * (MICRO_BATCHES - 1))
    return pair, weight, norm, np.full_like(pair, MICRO_BATCHES)


def test_the_signal_is_unbiased_and_the_trace_is_that_of_one_sequence() -> None:
    rng = np.random.default_rng(1)
    steps = noise_steps(simulated(rng, 400, scale=2.0))
    total = steps.filter(pl.col("group") == "total")
    truth = DIMENSION / (MICRO_BATCHES * 2.0)
    error = total["signal"].std() / np.sqrt(total.height)  # type: ignore[operator]
    assert abs(total["signal"].mean() - truth) < 3 * error  # type: ignore[operator]
    row = noise_summary(steps).row(by_predicate=(pl.col("window") == "run") & (pl.col("group") == "total"), named=True)
    assert row["trace_per_sequence"] == pytest.approx(DIMENSION, rel=0.02)
    assert row["trace_per_token"] == pytest.approx(100 * DIMENSION, rel=0.02)
    assert row["noise_scale"] == pytest.approx(2 * MICRO_BATCHES, rel=0.05)
    assert row["signal_fraction"] == pytest.approx(1 / 3, rel=0.05)
    assert row["effective_rank"] > 50
    assert list(noise_summary(steps).columns) == list(NOISE_SUMMARY) and list(steps.columns) == list(NOISE_STEPS)


@pytest.mark.parametrize("scale", [10.0, 100.0])
def test_the_interval_on_the_ratio_covers(scale: float) -> None:
    """gns.md §3.2, G-300, 30 steps: t on ρ covers 0.953 to 0.957 at B_simple/B of 10 and 100; 400 repetitions here."""
    from scipy.stats import t as student

    _, ratio, error = ratio_of_sums(*sums(np.random.default_rng(7), 30, scale, 400))
    truth = 1 / (scale * MICRO_BATCHES)
    covered = np.abs(ratio - truth) <= student.ppf(0.975, 29) * error
    assert 0.92 <= covered.mean() <= 0.985
    assert (ratio < 0).mean() == pytest.approx({10.0: 0.0, 100.0: 0.275}[scale], abs=0.08)  # P(Û ≤ 0) of the table


def test_the_one_sided_bound_covers_and_is_finite_without_signal() -> None:
    """gns.md §3.2: bootstrap-t 0.94 to 0.95 at 30 steps; 200 repetitions."""
    for scale in (100.0, np.inf):
        windows_ = sums(np.random.default_rng(3), 30, scale, 200)
        truth, below = 0.0 if np.isinf(scale) else 1 / (scale * MICRO_BATCHES), []
        for pair, weight, norm, size in zip(*windows_, strict=True):
            frame = pl.DataFrame(
                {
                    "step": np.arange(30),
                    "pair_sum": pair,
                    "pair_weight": weight,
                    "step_norm_squared": norm,
                    "sequences": size,
                    "tokens": size,
                    "micro_batches": size,
                }
            )
            below.append(truth <= ratio_upper_bound(StepSums(frame), 400, 0))
        assert 0.90 <= np.mean(below) <= 0.99


def test_random_signs_leave_no_signal() -> None:
    rng = np.random.default_rng(5)
    tokens = rng.integers(20, 200, (200, MICRO_BATCHES))
    sums_ = (1.0 + rng.standard_normal((200, MICRO_BATCHES, 40))) * tokens[..., None]
    signs = rng.choice([-1.0, 1.0], (200, MICRO_BATCHES, 1))
    with_signal = noise_summary(noise_steps(noise_table(sums_, tokens)))
    without = noise_summary(noise_steps(noise_table(sums_ * signs, tokens)))
    where = (pl.col("window") == "run") & (pl.col("group") == "total")
    assert with_signal.row(by_predicate=where, named=True)["signal"] == pytest.approx(40, rel=0.05)
    row = without.row(by_predicate=where, named=True)
    assert row["signal_low"] < 0 < row["signal_high"] and abs(row["signal"]) < 1
    assert row["noise_scale_high"] is None and row["noise_scale_text"].endswith("unbounded)")


def test_the_usual_two_batch_estimate_agrees_where_sequences_are_equally_long_and_else_does_not() -> None:
    """gns.md §2.3: log-normal lengths (σ 0.9) and noise of tokens: mean-loss gradients against the step's give 0.35 for 1."""
    rng = np.random.default_rng(12)
    equal = noise_summary(noise_steps(simulated(rng, 60, 1.0))).row(by_predicate=TOTAL_RUN, named=True)
    assert equal["two_batch_signal"] == pytest.approx(equal["signal"])
    assert equal["two_batch_noise_scale"] == pytest.approx(equal["noise_scale"])
    tokens = np.maximum(1, np.exp(4 + 0.9 * rng.standard_normal((700, MICRO_BATCHES)))).round()
    sums_ = np.full(20, np.sqrt(1 / 20)) * tokens[..., None]
    sums_ = sums_ + np.sqrt(tokens)[..., None] * rng.standard_normal((700, MICRO_BATCHES, 20)) * 3.3
    unequal = noise_summary(noise_steps(noise_table(sums_, tokens.astype(int)))).row(by_predicate=TOTAL_RUN, named=True)
    assert unequal["signal"] == pytest.approx(1.0, abs=0.06)
    assert 0.2 < unequal["two_batch_signal"] < 0.6


def test_unequal_lengths_bias_the_equal_size_formula_and_not_the_pooled_one() -> None:
    """gns.md §2.3: log-normal lengths (σ 0.9), noise of tokens: equal-size 0.90, sums over pairs 0.999."""
    rng = np.random.default_rng(11)
    tokens = np.maximum(1, np.exp(4 + 0.9 * rng.standard_normal((4000, MICRO_BATCHES)))).round()
    mean = np.full(20, np.sqrt(1 / 20))
    sums_ = mean * tokens[..., None] + np.sqrt(tokens)[..., None] * rng.standard_normal((4000, MICRO_BATCHES, 20)) * 2
    steps = noise_steps(noise_table(sums_, tokens.astype(int))).filter(pl.col("group") == "total")
    pooled = steps["pair_sum"].to_numpy().sum() / steps["pair_weight"].to_numpy().sum()
    big, small = steps["step_norm_squared"], steps["micro_norms_squared"] * MICRO_BATCHES  # K²·mean|δ_k|²
    equal_size = ((MICRO_BATCHES * big - small) / (MICRO_BATCHES - 1)).mean()
    assert pooled == pytest.approx(1.0, abs=0.01)
    assert equal_size == pytest.approx(0.90, abs=0.04)


def test_the_groups_add_up() -> None:
    summary = noise_summary(noise_steps(simulated(np.random.default_rng(2), 25, 3.0)))
    run = summary.filter(pl.col("window") == "run")
    parts, total = run.filter(pl.col("group") != "total"), run.filter(pl.col("group") == "total")
    for column in ("signal", "trace_per_sequence", "step_norm_squared"):
        assert parts[column].sum() == pytest.approx(total[column][0], rel=1e-9)
    assert parts["signal_share"].sum() == pytest.approx(1) and parts["noise_share"].sum() == pytest.approx(1)


def test_a_group_without_gradients_is_left_out() -> None:
    noise = simulated(np.random.default_rng(6), 12, 3.0)
    silent = noise.filter(pl.col("group") == "a").with_columns(group=pl.lit("vision"), norm_squared=0.0)
    summary = noise_summary(noise_steps(pl.concat([noise, silent])))
    assert sorted(summary["group"].unique()) == ["a", "b", "total"]


def test_the_scale_in_words_says_where_it_ends() -> None:
    assert noise_scale_text(1 / 1121, 1 / 2026, 1 / 775) == "1\u2009121 (775 to 2\u2009026)"
    assert noise_scale_text(1 / 2.5, -0.1, 1 / 2) == "2.5 (2 to unbounded)"
    assert noise_scale_text(-0.1, -0.2, 1 / 600) == "unbounded (600 to unbounded)"
    assert noise_scale_text(-0.2, -0.3, -0.1) == "unbounded"


def test_a_run_is_cut_into_windows_of_at_least_ten_steps() -> None:
    cut = windows(list(range(1, 36)))
    assert [len(cut[key]) for key in ("1", "2", "3")] == [12, 12, 11] and len(cut["run"]) == 35
    assert list(windows(list(range(1, 6)))) == ["run", "1"]
    assert windows([1]) == {}


def test_a_step_of_one_micro_batch_says_nothing_about_noise() -> None:
    noise = simulated(np.random.default_rng(4), 3, 3.0)
    lonely = noise.filter((pl.col("step") < 3) | pl.col("micro_batch").is_in([-1, 0]))
    steps = noise_steps(lonely)
    assert steps.filter(pl.col("step") == 3)["signal"].to_list() == [None] * 3  # two groups, and all together
    assert steps.filter(pl.col("step") == 2)["signal"].null_count() == 0
    assert noise_summary(steps).filter(pl.col("window") == "run")["steps"].unique().to_list() == [2]
    assert noise_summary(steps.filter(pl.col("step") == 3)).is_empty()


def test_momentum_lifts_the_signal_as_adam_averages() -> None:
    """gns.md §4.3: measured 0.019, 0.161, 0.679 at β₁ 0.9."""
    assert [momentum_fraction(f, 0.9) for f in (0.001, 0.01, 0.1)] == pytest.approx([0.019, 0.161, 0.679], abs=1e-3)
    assert momentum_fraction(-0.01, 0.9) is None


def test_the_rank_and_the_detection_limit_follow_their_formulas() -> None:
    """gns.md §3.1 simulates r_eff 303 where it is 300; §3.4: B_det = B √(N r_eff (K-1)/(2K)) / z, with 80 % power."""
    pair, weight, norm, _ = sums(np.random.default_rng(9), 4000, np.inf, 1)
    signal = pair[0] / weight[0]
    noise, scatter = float(norm.mean()), float(signal.var(ddof=1))
    rank = effective_rank(noise, scatter, MICRO_BATCHES)
    assert rank is not None and rank == pytest.approx(DIMENSION, rel=0.06)
    formula = 32 * np.sqrt(30 * rank * (MICRO_BATCHES - 1) / (2 * MICRO_BATCHES)) / (1.644854 + 0.841621)
    assert detection_limit(32, noise, scatter, 30) == pytest.approx(formula)


def test_a_scale_of_the_detection_limit_is_found_four_times_in_five() -> None:
    random = np.random.default_rng(31)
    batch, noise, scatter, steps = 32, 0.02, 1e-5, 30
    limit = detection_limit(batch, noise, scatter, steps)
    assert limit is not None
    signal = batch * noise / limit  # |G|² = tr Σ of a sequence / noise scale, and tr Σ of a sequence is batch · noise
    windows = random.normal(signal, np.sqrt(scatter), size=(4000, steps))
    found = windows.mean(axis=1) / (np.sqrt(scatter / steps)) > 1.644854
    assert found.mean() == pytest.approx(0.8, abs=0.025)


def of_sequences(
    rng: np.random.Generator, steps: int, sequences: int, mean: float, question: float = 0.0, together: int = 4
) -> pl.DataFrame:
    """NOISE of a loss that is a mean over sequences of token means: whole sequences' gradients with |G|² = `mean` and
    tr Σ = DIMENSION each, so many in a micro-batch. Long ones have the larger gradients.
    Four sequences answer one question, which moves their gradients alike by the share `question` of their variance."""
    tokens = rng.integers(20, 400, (steps, sequences))
    tilt = (1.0 + 0.8 * (tokens - tokens.mean()) / 400)[..., None]
    own = rng.standard_normal((steps, sequences, DIMENSION))
    shared = np.repeat(rng.standard_normal((steps, sequences // 4, DIMENSION)), 4, axis=1)
    gradients = np.sqrt(mean / DIMENSION) * tilt + np.sqrt(1 - question) * own + np.sqrt(question) * shared
    micro = gradients.reshape(steps, -1, together, DIMENSION).sum(2)
    per_micro = tokens.reshape(steps, -1, together).sum(2)
    table = noise_table(micro, np.full(per_micro.shape, together), per_micro=together)
    counted = {(step + 1, k): int(n) for step, row in enumerate(per_micro) for k, n in enumerate([*row[:-1], row[-1]])}
    counted |= {(step + 1, -1): int(row.sum()) for step, row in enumerate(per_micro)}
    return table.with_columns(
        tokens=pl.Series([counted[step, micro] for step, micro in table.select("step", "micro_batch").iter_rows()])
    )


def whole_run(noise: pl.DataFrame, by_sequence: bool) -> dict[str, float]:
    return noise_summary(noise_steps(noise, by_sequence)).row(by_predicate=TOTAL_RUN, named=True)


def test_of_a_mean_over_sequences_the_sequence_is_the_unit() -> None:
    row = whole_run(of_sequences(np.random.default_rng(2), 200, 32, 30.0), by_sequence=True)
    assert row["signal"] == pytest.approx(30.0, rel=0.06)
    assert row["trace_per_sequence"] == pytest.approx(DIMENSION, rel=0.05)
    assert row["signal_to_noise_low"] < 30.0 / DIMENSION < row["signal_to_noise_high"]
    assert row["noise_scale"] == pytest.approx(DIMENSION / 30.0, rel=0.06)
    assert row["two_batch_noise_scale"] == pytest.approx(DIMENSION / 30.0, rel=0.1)


def test_weighed_by_tokens_such_a_loss_would_be_misread() -> None:
    noise = of_sequences(np.random.default_rng(2), 400, 4, 30.0, together=1)
    right, wrong = (whole_run(noise, by_sequence)["signal"] for by_sequence in (True, False))
    assert right == pytest.approx(30.0, rel=0.06) and wrong > 1.07 * right


def test_two_methods_with_different_signals_are_told_apart() -> None:
    """As GRPO and SDPO: a weak signal and a strong one at the same noise, 20 steps of 64 sequences each."""
    rng = np.random.default_rng(4)
    noise = {"grpo/seed-0": of_sequences(rng, 20, 64, 2.0), "sdpo/seed-0": of_sequences(rng, 20, 64, 60.0)}
    summary = noise_of_runs(noise, dict.fromkeys(noise, 0.9), seed=1, by_sequence=[*noise]).summary.filter(TOTAL_RUN)
    weak, strong = (summary.row(by_predicate=pl.col("run") == run, named=True) for run in noise)
    assert weak["signal_to_noise_high"] < strong["signal_to_noise_low"]
    for row, truth in ((weak, 2.0), (strong, 60.0)):
        assert row["signal_to_noise_low"] < truth / DIMENSION < row["signal_to_noise_high"]


def test_trainings_of_an_arm_are_pooled_and_make_the_scale_surer() -> None:
    rng = np.random.default_rng(5)
    noise = {f"{arm}/seed-{seed}": of_sequences(rng, 20, 64, 20.0) for arm in ("one", "three") for seed in range(3)}
    steps = noise_of_runs(noise, dict.fromkeys(noise, 0.9), seed=1, by_sequence=[*noise]).steps
    table = practice_signal(steps, [run for run in noise if run.startswith("three") or run == "one/seed-0"], seed=1)
    assert list(table.columns) == list(PRACTICE_SIGNAL)
    one, three = (
        table.row(by_predicate=(pl.col("arm") == arm) & (pl.col("window") == "run"), named=True)
        for arm in ("one", "three")
    )
    assert (one["trainings"], one["steps"], three["trainings"], three["steps"]) == (1, 20, 3, 60)
    widths = [row["signal_to_noise_high"] - row["signal_to_noise_low"] for row in (one, three)]
    assert widths[1] < 0.75 * widths[0]
    assert three["signal_to_noise_low"] < 20.0 / DIMENSION < three["signal_to_noise_high"]
    assert table.filter(pl.col("arm") == "three")["window"].to_list() == ["run", "1", "2"]


@pytest.mark.parametrize(("together", "inflated"), [(4, False), (8, False), (1, True), (2, True)])
def test_micro_batches_must_hold_whole_groups(together: int, inflated: bool) -> None:
    """Answers to one question share its noise: where a micro-batch holds a part of them, their products look like signal."""
    row = whole_run(
        of_sequences(np.random.default_rng(6), 200, 32, 3.0, question=0.3, together=together), by_sequence=True
    )
    assert (row["signal_to_noise_low"] > 3.0 / DIMENSION) == inflated
    assert row["signal"] == pytest.approx(
        3.0 if not inflated else 3.0 + DIMENSION * 0.3 * (4 - together) / (32 - together), rel=0.25
    )


def test_a_micro_batch_that_nothing_is_learnt_from_counts_for_nothing() -> None:
    noise = of_sequences(np.random.default_rng(2), 20, 32, 30.0)
    empty = noise.filter(micro_batch=0).with_columns(
        micro_batch=pl.lit(99, pl.Int32),
        sequences=pl.lit(0, pl.Int32),
        tokens=pl.lit(0, pl.Int64),
        norm_squared=pl.lit(0.0),
    )
    before, after = (whole_run(table, by_sequence=True) for table in (noise, pl.concat([noise, empty])))
    for name in ("signal", "trace_per_sequence", "noise_scale", "two_batch_signal"):
        assert np.isfinite(after[name])
    assert after["signal"] == pytest.approx(before["signal"])
