"""|G|², tr Σ and the noise scale of a window of steps, with their intervals.

Two independent micro-batches have gradients whose product is |G|² on average, so the sum over pairs, which is
|Σ s_k|² - Σ |s_k|², measures the signal without bias. Per step it is mostly noise and often negative: it is pooled as
a ratio of sums, never clipped and never averaged as a ratio. The interval belongs to ρ = |G|²/tr Σ, whose denominator
is well determined, and is then inverted; an interval on the noise scale 1/ρ itself does not cover.
"""

from typing import NamedTuple

import numpy as np
import polars as pl

from selfdistill.foundation.wording import count
from selfdistill.statistics.clusters import t_reached
from selfdistill.statistics.normal import normal_reached

CONFIDENCE = 0.95


def estimates(steps: pl.DataFrame, beta1: float, resamples: int, seed: int) -> dict[str, float | int | str | None]:
    """All that the steps of one window and group say together."""
    data = StepSums(steps)
    n_steps, batch = data.count, data.sequences.mean()
    signal, power = data.signal(), data.step_norms.mean()
    noise = power - signal
    trace, ratio, ratio_error = data.ratio_with_error(data.sequences)
    reach = t_reached((1 + CONFIDENCE) / 2, n_steps - 1)
    low, high = ratio - reach * ratio_error, ratio + reach * ratio_error
    signal_error = data.signal_influence().std(ddof=1) / np.sqrt(n_steps)
    upper = ratio_upper_bound(data, resamples, seed)
    fraction = signal / power
    fraction_low, fraction_high = (fraction_of_ratio(bound, batch) for bound in (low, high))
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
        "noise_scale": inverse(ratio),
        "noise_scale_low": inverse(high),
        "noise_scale_high": inverse(low),
        "noise_scale_text": noise_scale_text(ratio, low, high),
        "noise_scale_lower_bound": inverse(upper),
        "noise_scale_tokens": inverse(ratio_tokens),
        "detection_limit": detection_limit(batch, noise, scatter, n_steps),
        "effective_rank": effective_rank(noise, scatter, micro_batches),
        "autocorrelation": autocorrelation(data.signal_influence()),
        **two_batches(steps),
    }


def two_batches(steps: pl.DataFrame) -> dict[str, float | None]:
    """The usual estimate from two batch sizes (McCandlish et al. 2018, appendix A.1), as it is usually taken: from the mean
    norm of micro-batches' own gradients and that of steps, as if all sequences were equally long. To be held against ours."""
    names = ("sequences", "micro_batches", "step_norm_squared", "mean_loss_norm_squared")
    sequences, micro_batches, step_norms, mean_loss_norms = (steps[name].to_numpy().astype(float) for name in names)
    large, small = sequences.mean(), (sequences / micro_batches).mean()
    of_steps, of_micro_batches = step_norms.mean(), mean_loss_norms.mean()
    if large <= small:
        return {"two_batch_signal": None, "two_batch_trace": None, "two_batch_noise_scale": None}
    signal = (large * of_steps - small * of_micro_batches) / (large - small)
    trace = (of_micro_batches - of_steps) / (1 / small - 1 / large)
    scale = float(trace / signal) if signal > 0 and trace > 0 else None
    return {"two_batch_signal": float(signal), "two_batch_trace": float(trace), "two_batch_noise_scale": scale}


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


class Ratio(NamedTuple):
    trace: np.ndarray  # tr Σ of one unit of size
    ratio: np.ndarray  # ρ = |G|²/tr Σ
    error: np.ndarray  # standard error of ρ


def ratio_of_sums(pair_sum: np.ndarray, pair_weight: np.ndarray, step_norms: np.ndarray, size: np.ndarray) -> Ratio:
    """For many windows at once (rows).

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
    return Ratio(trace[..., 0], ratio[..., 0], error)


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
    """The largest noise scale whose signal a one-sided test at 5 % finds with 80 % power: |G|² is then z(95 %) + z(80 %)
    of its own standard errors.

    The same as B·√(N·r_eff·(K-1)/(2K))/z with r_eff read off the scatter of the steps.
    """
    reach = normal_reached(0.95) + normal_reached(0.8)
    return float(batch * noise / (reach * np.sqrt(scatter / steps))) if scatter > 0 else None


def effective_rank(noise: float, scatter: float, micro_batches: float) -> float | None:
    """(tr Σ)²/tr Σ² from Var U = 2 tr(Σ_b²)/(K(K-1)), tr Σ_b = K·noise; too low where signal adds to the scatter."""
    return 2 * micro_batches * noise**2 / ((micro_batches - 1) * scatter) if scatter > 0 else None


def autocorrelation(series: np.ndarray) -> float | None:
    """Of neighbouring steps. The steps' data are disjoint, so only a drifting |G|² makes one."""
    centred = series - series.mean()
    power = float((centred**2).sum())
    return float((centred[1:] * centred[:-1]).sum()) / power if power > 0 else None


def noise_scale_text(ratio: float, low: float, high: float) -> str:
    """B_simple with its interval, in sequences: `1 121 (775 to 2 026)`, `2 313 (1 159 to unbounded)`."""
    estimate, least, most = (_in_words(inverse(value)) for value in (ratio, high, low))
    return f"{estimate} ({least} to {most})" if high > 0 else "unbounded"


def fraction_of_ratio(ratio: float, batch: float) -> float | None:
    """f = ρB/(1 + ρB); a bound on ρ below -1/B is no bound on f."""
    return ratio * batch / (1 + ratio * batch) if 1 + ratio * batch > 0 else None


def _in_words(scale: float | None) -> str:
    return "unbounded" if scale is None else count(scale) if scale >= 10 else f"{scale:.2g}"


def inverse(ratio: float) -> float | None:
    """A noise scale from a ratio; a ratio that is not positive means that none is large enough: null, unbounded."""
    return 1 / ratio if ratio > 0 else None
