"""How much of a training step is signal: |G|², tr Σ and the noise scale from the norms of micro-batch gradients.

In: the noise table of a run. Out: one row per step (`noise_steps`), and one per window (`noise_summary`), in each of
three geometries: Euclidean, Adam's own norm (Σ g²/√v̂, measured every few steps), and that of Adam's update.
Two independent micro-batches have gradients whose product is |G|² on average, so the sum over pairs, which is
|Σ s_k|² - Σ |s_k|², measures the signal without bias. Per step it is mostly noise and often negative: it is pooled as
a ratio of sums, never clipped and never averaged as a ratio. The interval belongs to ρ = |G|²/tr Σ, whose denominator
is well determined, and is then inverted; an interval on the noise scale 1/ρ itself does not cover.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from selfdistill.analysis.runs import of_all_runs
from selfdistill.tables import words
from selfdistill.tables.analysis import NOISE_STEPS, NOISE_SUMMARY
from selfdistill.tables.schema import conform

WHOLE_STEP = -1  # the micro_batch number under which a step's own gradient is stored
MIN_WINDOW = 10  # steps: below, even the intervals on ρ lose their coverage
CONFIDENCE = 0.95
GEOMETRIES = {
    words.EUCLIDEAN: "norm_squared",
    words.ADAM: "adam_norm_squared",
    words.UPDATE: "update_norm_squared",
}
RESAMPLES = 2000


@dataclass(frozen=True)
class GradientNoise:
    """Of all runs, with a column `run`: one row per step, and one per window."""

    steps: pl.DataFrame
    summary: pl.DataFrame


def noise_of_runs(noise: Mapping[str, pl.DataFrame], beta1: Mapping[str, float], seed: int) -> GradientNoise:
    steps = {run: noise_steps(table) for run, table in noise.items()}
    summaries = {run: noise_summary(table, beta1=beta1[run], seed=seed) for run, table in steps.items()}
    return GradientNoise(of_all_runs(steps), of_all_runs(summaries))


def noise_steps(noise: pl.DataFrame) -> pl.DataFrame:
    """Norms and the pair sums of every step and group, and of all groups together, in every geometry measured."""
    common = ["step", "micro_batch", "group", "tokens", "sequences"]
    parts = [
        _noise_steps(noise.select(*common, norm_squared=column).drop_nulls("norm_squared"), geometry)
        for geometry, column in GEOMETRIES.items()
    ]
    return conform(pl.concat(parts).sort("geometry", "step", "group"), NOISE_STEPS, "noise steps")


def _noise_steps(noise: pl.DataFrame, geometry: str) -> pl.DataFrame:
    total = noise.group_by("step", "micro_batch").agg(
        pl.lit(words.TOTAL).alias("group"),
        pl.col("tokens").first(),
        pl.col("sequences").first(),
        pl.col("norm_squared").sum(),
    )
    noise = pl.concat([noise, total.select(noise.columns)])
    micro = (
        noise.filter(pl.col("micro_batch") != WHOLE_STEP)
        .group_by("step", "group")
        .agg(
            pl.len().alias("micro_batches"),
            pl.col("norm_squared").sum().alias("micro_norms_squared"),
            (pl.col("tokens").cast(pl.Float64) ** 2).sum().alias("token_squares"),
        )
    )
    whole = noise.filter(pl.col("micro_batch") == WHOLE_STEP).rename({"norm_squared": "step_norm_squared"})
    steps = whole.join(micro, on=["step", "group"], how="inner").with_columns(
        pair_sum=pl.col("tokens").cast(pl.Float64) ** 2 * (pl.col("step_norm_squared") - pl.col("micro_norms_squared")),
        pair_weight=pl.col("tokens").cast(pl.Float64) ** 2 - pl.col("token_squares"),
    )
    steps = steps.with_columns(
        signal=pl.when(pl.col("micro_batches") > 1).then(pl.col("pair_sum") / pl.col("pair_weight")),
    )
    steps = steps.with_columns(geometry=pl.lit(geometry))
    return conform(steps.select(list(NOISE_STEPS)), NOISE_STEPS, "noise steps")


def noise_summary(steps: pl.DataFrame, beta1: float = 0.9, resamples: int = RESAMPLES, seed: int = 0) -> pl.DataFrame:
    """The run as a whole, and windows of at least ten steps of it, for every group and geometry."""
    usable = steps.filter(pl.col("micro_batches") > 1).sort("step")
    rows: list[dict[str, float | int | str | None]] = []
    for geometry in GEOMETRIES:
        of_geometry = usable.filter(pl.col("geometry") == geometry)
        summary = _summary(of_geometry, beta1, resamples, seed)
        rows += [{"geometry": geometry, **row} for row in summary]
    if not rows:
        return pl.DataFrame(schema=NOISE_SUMMARY)
    return conform(pl.DataFrame(rows, schema=NOISE_SUMMARY), NOISE_SUMMARY, "noise summary")


def _summary(
    usable: pl.DataFrame, beta1: float, resamples: int, seed: int
) -> list[dict[str, float | int | str | None]]:
    rows = []
    for name, numbers in windows(usable["step"].unique().sort().to_list()).items():
        window = usable.filter(pl.col("step").is_in(numbers))
        window = window.filter(pl.col("step_norm_squared").sum().over("group") > 0)  # a group without any gradient
        of_window = [
            {"window": name, "group": str(group), **pooled(part, beta1, resamples, seed)}
            for (group,), part in window.group_by("group", maintain_order=True)
        ]
        rows += with_shares(of_window)
    return rows


def windows(numbers: list[int]) -> dict[str, list[int]]:
    """The whole run, and its cut into consecutive windows of ten steps or a few more."""
    if len(numbers) < 2:
        return {}
    cuts = np.array_split(np.array(numbers), max(1, len(numbers) // MIN_WINDOW))
    return {words.WHOLE_RUN: numbers, **{str(index): cut.tolist() for index, cut in enumerate(cuts, start=1)}}


def pooled(steps: pl.DataFrame, beta1: float, resamples: int, seed: int) -> dict[str, float | int | str | None]:
    """All that the steps of one window and group say together."""
    from scipy.stats import t as student

    data = StepSums(steps)
    n_steps, batch = data.count, data.sequences.mean()
    signal, power = data.signal(), data.step_norms.mean()
    noise = power - signal
    trace, ratio, ratio_error = data.ratio_with_error(data.sequences)
    reach = float(student.ppf((1 + CONFIDENCE) / 2, n_steps - 1))
    low, high = ratio - reach * ratio_error, ratio + reach * ratio_error
    signal_error = data.signal_influence().std(ddof=1) / np.sqrt(n_steps)
    upper = ratio_upper_bound(data, resamples, seed)
    fraction = signal / power
    fraction_low, fraction_high = (_fraction_of_ratio(bound, batch) for bound in (low, high))
    trace_tokens, ratio_tokens, _ = data.ratio_with_error(data.tokens)
    scatter = float(data.signal_influence().var(ddof=1))
    micro_batches = data.micro_batches.mean()
    return {
        "first_step": int(data.steps[0]),
        "last_step": int(data.steps[-1]),
        "steps": n_steps,
        "micro_batches": micro_batches,
        "sequences": batch,
        "tokens": data.tokens.mean(),
        "step_norm_squared": power,
        "signal": signal,
        "signal_low": signal - reach * signal_error,
        "signal_high": signal + reach * signal_error,
        "trace_per_sequence": trace,
        "trace_per_token": trace_tokens,
        "signal_fraction": fraction,
        "signal_fraction_low": fraction_low,
        "signal_fraction_high": fraction_high,
        "momentum_fraction": momentum_fraction(fraction, beta1),
        "momentum_fraction_high": momentum_fraction(fraction_high, beta1),
        "signal_to_noise": ratio,
        "signal_to_noise_low": low,
        "signal_to_noise_high": high,
        "noise_scale": _inverse(ratio),
        "noise_scale_low": _inverse(high),
        "noise_scale_high": _inverse(low),
        "noise_scale_text": noise_scale_text(ratio, low, high),
        "noise_scale_lower_bound": _inverse(upper),
        "noise_scale_tokens": _inverse(ratio_tokens),
        "detection_limit": detection_limit(batch, noise, scatter, n_steps),
        "effective_rank": effective_rank(noise, scatter, micro_batches),
        "autocorrelation": autocorrelation(data.signal_influence()),
    }


class StepSums:
    """The columns of a window as arrays; axis -1 is the step, so that resampled windows are rows of a matrix."""

    def __init__(self, steps: pl.DataFrame) -> None:
        self.steps = steps["step"].to_numpy()
        self.pair_sum = steps["pair_sum"].to_numpy().astype(float)
        self.pair_weight = steps["pair_weight"].to_numpy().astype(float)
        self.step_norms = steps["step_norm_squared"].to_numpy().astype(float)
        self.sequences = steps["sequences"].to_numpy().astype(float)
        self.tokens = steps["tokens"].to_numpy().astype(float)
        self.micro_batches = steps["micro_batches"].to_numpy().astype(float)
        self.count = len(self.steps)

    def signal(self) -> float:
        """|G|²: Σ_t Σ_{k≠l} s_k·s_l / Σ_t Σ_{k≠l} T_k T_l."""
        return float(self.pair_sum.sum() / self.pair_weight.sum())

    def signal_influence(self) -> np.ndarray:
        """What each step adds to the pooled signal's deviation; its scatter is the signal's standard error."""
        return (self.pair_sum - self.signal() * self.pair_weight) / self.pair_weight.mean()

    def ratio_with_error(self, size: np.ndarray) -> tuple[float, float, float]:
        """tr Σ per unit of `size`, ρ = |G|²/tr Σ and its standard error, by linearisation over the steps."""
        trace, ratio, error = ratio_of_sums(
            self.pair_sum[None], self.pair_weight[None], self.step_norms[None], size[None]
        )
        return float(trace[0]), float(ratio[0]), float(error[0])


def ratio_of_sums(
    pair_sum: np.ndarray, pair_weight: np.ndarray, step_norms: np.ndarray, size: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """tr Σ, ρ and the standard error of ρ, for many windows at once (rows).

    E|g_t|² = |G|² + tr Σ / n_t for a step of size n_t, so tr Σ is the mean of n_t |g_t|² less |G|² times the mean n_t.
    """
    count = pair_sum.shape[-1]
    weight = pair_weight.mean(-1, keepdims=True)
    signal = pair_sum.mean(-1, keepdims=True) / weight
    loudness = size * step_norms
    trace = loudness.mean(-1, keepdims=True) - size.mean(-1, keepdims=True) * signal
    ratio = signal / trace
    d_signal = (pair_sum - signal * pair_weight) / weight
    d_trace = (loudness - loudness.mean(-1, keepdims=True)) - size.mean(-1, keepdims=True) * d_signal
    d_trace = d_trace - signal * (size - size.mean(-1, keepdims=True))
    influence = (d_signal - ratio * d_trace) / trace
    error = influence.std(-1, ddof=1) / np.sqrt(count)
    return trace[..., 0], ratio[..., 0], error


def ratio_upper_bound(data: StepSums, resamples: int, seed: int) -> float:
    """One-sided 95 % upper bound on ρ, so a lower bound on the noise scale: bootstrap-t over steps."""
    _, ratio, error = data.ratio_with_error(data.sequences)
    if error == 0:
        return ratio
    drawn = np.random.default_rng(seed).integers(0, data.count, (resamples, data.count))
    _, ratios, errors = ratio_of_sums(
        data.pair_sum[drawn], data.pair_weight[drawn], data.step_norms[drawn], data.sequences[drawn]
    )
    usable = errors > 0  # a resample of one step over and over has none
    studentised = (ratios[usable] - ratio) / errors[usable]
    return float(ratio - np.quantile(studentised, 1 - CONFIDENCE) * error)


def momentum_fraction(fraction: float | None, beta1: float) -> float | None:
    """The signal's share of Adam's averaged direction: averaging divides the noise power by (1+β₁)/(1-β₁)."""
    if fraction is None or fraction <= 0:
        return None
    return fraction / (fraction + (1 - fraction) * (1 - beta1) / (1 + beta1))


def detection_limit(batch: float, noise: float, scatter: float, steps: int) -> float | None:
    """The noise scale at which |G|² would be 1.645 of its own standard errors: larger ones look like no signal.

    The same as B·√(N·r_eff·(K-1)/(2K))/z with r_eff read off the scatter of the steps.
    """
    return batch * noise / (1.645 * np.sqrt(scatter / steps)) if scatter > 0 else None


def effective_rank(noise: float, scatter: float, micro_batches: float) -> float | None:
    """(tr Σ)²/tr Σ² from Var U = 2 tr(Σ_b²)/(K(K-1)), tr Σ_b = K·noise; too low where signal adds to the scatter."""
    return 2 * micro_batches * noise**2 / ((micro_batches - 1) * scatter) if scatter > 0 else None


def autocorrelation(series: np.ndarray) -> float | None:
    """Of neighbouring steps. The steps' data are disjoint, so only a drifting |G|² makes one."""
    centred = series - series.mean()
    power = float((centred**2).sum())
    return float((centred[1:] * centred[:-1]).sum()) / power if power > 0 else None


def noise_scale_text(ratio: float, low: float, high: float) -> str:
    """B_simple with its interval, in sequences: `1,121 (775 to 2,026)`, `2,313 (1,159 to unbounded)`."""
    estimate, least, most = (_in_words(_inverse(value)) for value in (ratio, high, low))
    return f"{estimate} ({least} to {most})" if high > 0 else "unbounded"


def with_shares(rows: list[dict[str, float | int | str | None]]) -> list[dict[str, float | int | str | None]]:
    """Each group's share of the total signal and noise. Norms² add up over groups, so the shares of noise do to 1."""
    whole = next(row for row in rows if row["group"] == words.TOTAL)
    for row in rows:
        for share, of in (("signal_share", "signal"), ("noise_share", "trace_per_sequence")):
            part, total = row[of], whole[of]
            assert isinstance(part, float) and isinstance(total, float)
            row[share] = part / total if total > 0 else None
    return rows


def _fraction_of_ratio(ratio: float, batch: float) -> float | None:
    """f = ρB/(1 + ρB); a bound on ρ below -1/B is no bound on f."""
    return ratio * batch / (1 + ratio * batch) if 1 + ratio * batch > 0 else None


def _in_words(scale: float | None) -> str:
    return "unbounded" if scale is None else f"{scale:,.0f}" if scale >= 10 else f"{scale:.2g}"


def _inverse(ratio: float) -> float | None:
    """A noise scale from a ratio; a ratio that is not positive means that none is large enough: null, unbounded."""
    return 1 / ratio if ratio > 0 else None
