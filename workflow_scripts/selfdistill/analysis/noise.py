"""How much of a training step is signal: the norms of micro-batch gradients, per step and pooled over windows of steps.

In: the noise table of a run. Out: one row per step (`noise_steps`), and one per window (`noise_summary`), in each of three
geometries: Euclidean, Adam's own norm (Σ g²/√v̂, measured every few steps), and that of Adam's update. What the pooled
numbers are is said in `noise_scale.py`.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from selfdistill.analysis.noise_scale import estimates
from selfdistill.analysis.runs import of_all_runs
from selfdistill.tables import words
from selfdistill.tables.analysis import NOISE_STEPS, NOISE_SUMMARY
from selfdistill.tables.schema import conform

WHOLE_STEP = -1  # the micro_batch number under which a step's own gradient is stored
MIN_WINDOW = 10  # steps: below, even the intervals on ρ lose their coverage
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


def noise_of_runs(
    noise: Mapping[str, pl.DataFrame], beta1: Mapping[str, float], seed: int, by_sequence: Collection[str] = ()
) -> GradientNoise:
    """`by_sequence` has the runs whose loss is a mean over sequences, however long they are, and not over tokens."""
    steps = {run: noise_steps(table, run in by_sequence) for run, table in noise.items()}
    summaries = {run: noise_summary(table, beta1=beta1[run], seed=seed) for run, table in steps.items()}
    return GradientNoise(of_all_runs(steps), of_all_runs(summaries))


def noise_steps(noise: pl.DataFrame, by_sequence: bool = False) -> pl.DataFrame:
    """Norms and the pair sums of every step and group, and of all groups together, in every geometry measured.

    In the loss of its step a micro-batch counts with its tokens, or with its sequences.
    """
    common = ["step", "micro_batch", "group", "tokens", "sequences"]
    parts = [
        _noise_steps(noise.select(*common, norm_squared=column).drop_nulls("norm_squared"), geometry, by_sequence)
        for geometry, column in GEOMETRIES.items()
    ]
    return conform(pl.concat(parts).sort("geometry", "step", "group"), NOISE_STEPS, "noise steps")


def _noise_steps(noise: pl.DataFrame, geometry: str, by_sequence: bool) -> pl.DataFrame:
    weight = pl.col("sequences" if by_sequence else "tokens").cast(pl.Float64)
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
            (weight**2).sum().alias("weight_squares"),
            pl.when(weight > 0).then(pl.col("norm_squared") / weight**2).mean().alias("per_weight_squared"),
        )
    )
    whole = noise.filter(pl.col("micro_batch") == WHOLE_STEP).rename({"norm_squared": "step_norm_squared"})
    steps = whole.join(micro, on=["step", "group"], how="inner").with_columns(
        pair_sum=weight**2 * (pl.col("step_norm_squared") - pl.col("micro_norms_squared")),
        pair_weight=weight**2 - pl.col("weight_squares"),
        mean_loss_norm_squared=weight**2 * pl.col("per_weight_squared"),
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
            {"window": name, "group": str(group), **estimates(part, beta1, resamples, seed)}
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


def with_shares(rows: list[dict[str, float | int | str | None]]) -> list[dict[str, float | int | str | None]]:
    """Each group's share of the total signal and noise. Norms² add up over groups, so the shares of noise do to 1."""
    whole = next(row for row in rows if row["group"] == words.TOTAL)
    for row in rows:
        for share, of in (("signal_share", "signal"), ("noise_share", "trace_per_sequence")):
            part, total = row[of], whole[of]
            assert isinstance(part, float) and isinstance(total, float)
            row[share] = part / total if total > 0 else None
    return rows
