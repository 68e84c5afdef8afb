"""What a larger batch costs in examples: the trade-off of time and data, from short trainings at several batch sizes.

At a given loss a training of batch B needs S steps and E = S·B examples. Where (S/S_min - 1)(E/E_min - 1) = 1 (McCandlish et
al. 2018), E = E_min + S_min·B: a line. Its intercept is the fewest examples that do, its slope the fewest steps, and their
ratio the critical batch. It is fitted within each data order, so that orders are the unit of every interval; that on the
critical batch is the inverse of that on S_min/E_min, whose denominator is well determined.
"""

from typing import Any, NamedTuple

import numpy as np
import polars as pl

from selfdistill.analysis.noise_scale import CONFIDENCE, inverse
from selfdistill.statistics.clusters import t_reached
from selfdistill.tables import words
from selfdistill.tables.mechanism import BRANCHES
from selfdistill.tables.schema import conform

Interval = tuple[float | None, float | None]


def trade_off(losses: pl.DataFrame, study_batch: int) -> pl.DataFrame:
    batches = sorted(losses["batch"].unique().to_list())
    reference = study_batch if study_batch in batches else batches[0]
    rows = [*_levels(losses), *_differences(losses, batches, reference), *_fit(losses, batches)]
    return conform(pl.DataFrame(rows, schema=BRANCHES), BRANCHES, "branches")


def _row(
    estimand: str, estimate: float | None, interval: Interval, method: str, n: int, **of: int | None
) -> dict[str, Any]:
    found = {"batch": None, "examples": None, "seed": None} | of
    return found | {
        "estimand": estimand, "estimate": estimate, "low": interval[0], "high": interval[1], "method": method, "n": n,
    }  # fmt: skip


def _mean_losses(losses: pl.DataFrame) -> pl.DataFrame:
    """Nats a token of all held-out examples together."""
    by = ["batch", "seed", "examples"]
    return losses.group_by(by).agg(loss=pl.col("loss").sum() / pl.col("tokens").sum()).sort(by)


def _levels(losses: pl.DataFrame) -> list[dict[str, Any]]:
    rows = []
    for (batch, examples), here in _mean_losses(losses).group_by("batch", "examples", maintain_order=True):
        values = here["loss"].to_numpy()
        where = {"batch": int(str(batch)), "examples": int(str(examples))}
        rows.append(
            _row(words.HELD_OUT_LOSS, float(values.mean()), _t(values), words.T_OVER_ORDERS, len(values), **where)
        )
    return rows


def _t(values: np.ndarray, more: float = 0.0) -> Interval:
    """Of the mean over data orders; `more` is a variance to add to its own."""
    if len(values) < 2:
        return None, None
    reach = t_reached((1 + CONFIDENCE) / 2, len(values) - 1) * np.sqrt(values.var(ddof=1) / len(values) + more)
    return float(values.mean() - reach), float(values.mean() + reach)


def _differences(losses: pl.DataFrame, batches: list[int], reference: int) -> list[dict[str, Any]]:
    """At the end, example by example against the same data order; the scatter of examples counts beside that of orders."""
    last = losses.filter(pl.col("examples") == pl.col("examples").max().over("batch"))
    rows = []
    for batch in batches:
        if batch == reference:
            continue
        pairs = last.filter(pl.col("batch") == batch).join(
            last.filter(pl.col("batch") == reference).select("seed", "request_id", other="loss"),
            on=["seed", "request_id"],
        )
        pairs = pairs.with_columns(difference=pl.col("loss") - pl.col("other"))
        by_order = (
            pairs.group_by("seed").agg(mean=pl.col("difference").sum() / pl.col("tokens").sum())["mean"].to_numpy()
        )
        by_example = pairs.group_by("request_id").agg(pl.col("difference").mean(), pl.col("tokens").first())
        influence = by_example["difference"].to_numpy() - by_order.mean() * by_example["tokens"].to_numpy()
        of_examples = influence.var(ddof=1) / len(influence) / by_example["tokens"].mean() ** 2  # type: ignore[operator]
        where = {"batch": batch, "examples": int(pairs["examples"][0])}
        interval = _t(by_order, float(of_examples))
        rows.append(
            _row(
                words.HELD_OUT_DIFFERENCE,
                float(by_order.mean()),
                interval,
                words.T_ORDERS_EXAMPLES,
                len(by_order),
                **where,
            )
        )
    return rows


def _fit(losses: pl.DataFrame, batches: list[int]) -> list[dict[str, Any]]:
    means = _mean_losses(losses)
    seeds = sorted(means["seed"].unique().to_list())
    curves = {
        (batch, seed): means.filter((pl.col("batch") == batch) & (pl.col("seed") == seed))
        for batch in batches
        for seed in seeds
    }
    target = max(curve["loss"].to_list()[-1] for curve in curves.values())
    needed = np.array([[examples_to(curves[batch, seed], target) for batch in batches] for seed in seeds])
    rows = []
    if not np.isfinite(needed).all() or (needed <= 0).any():
        return [_row(words.CRITICAL_BATCH, None, (None, None), words.LOSS_NOT_LOWERED, len(seeds))]
    for place, batch in enumerate(batches):
        for seed, examples in zip(seeds, needed[:, place], strict=True):
            rows.append(
                _row(
                    words.EXAMPLES_TO_TARGET,
                    float(examples),
                    (None, None),
                    words.T_OVER_ORDERS,
                    1,
                    batch=batch,
                    seed=seed,
                )
            )
        values = needed[:, place]
        rows.append(
            _row(
                words.EXAMPLES_TO_TARGET, float(values.mean()), _t(values), words.T_OVER_ORDERS, len(seeds), batch=batch
            )
        )
    slopes, intercepts = np.polyfit(np.array(batches, dtype=float), needed.T, 1)
    critical = critical_batch(slopes, intercepts)
    for estimand, values in ((words.STEPS_LEAST, slopes), (words.EXAMPLES_LEAST, intercepts)):
        rows.append(_row(estimand, float(values.mean()), _t(values), words.T_OVER_ORDERS, len(seeds)))
    interval = critical.low, critical.high
    return [*rows, _row(words.CRITICAL_BATCH, critical.value, interval, critical.method, len(seeds))]


def examples_to(curve: pl.DataFrame, target: float) -> float:
    """Examples after which a curve first is at the target, on straight lines between looks; nan where it never is."""
    examples, loss = curve["examples"].to_numpy().astype(float), curve["loss"].to_numpy()
    for place in range(len(loss)):
        if loss[place] <= target + 1e-12:
            if place == 0:
                return 0.0
            part = (loss[place - 1] - target) / (loss[place - 1] - loss[place])
            return float(examples[place - 1] + part * (examples[place] - examples[place - 1]))
    return np.nan


class Critical(NamedTuple):
    value: float | None  # null: the fit does not say
    low: float | None
    high: float | None  # null with a low: unbounded
    method: str


def critical_batch(slopes: np.ndarray, intercepts: np.ndarray) -> Critical:
    """E_min/S_min with Fieller's interval of the inverse; resolved where that lies above zero."""
    n = len(slopes)
    slope, intercept = slopes.mean(), intercepts.mean()
    value = inverse(slope / intercept) if intercept > 0 else None
    squares = t_reached((1 + CONFIDENCE) / 2, n - 1) ** 2 * np.cov(slopes, intercepts) / n
    a, b, c = intercept**2 - squares[1, 1], slope * intercept - squares[0, 1], slope**2 - squares[0, 0]
    if a <= 0 or intercept <= 0 or b**2 < a * c:
        return Critical(value, None, None, f"{words.FIELLER_ORDERS}; {words.NOT_RESOLVED}")
    root = np.sqrt(b**2 - a * c)
    low, high = inverse((b + root) / a), inverse((b - root) / a)
    method = words.FIELLER_ORDERS if high is not None else f"{words.FIELLER_ORDERS}; {words.NOT_RESOLVED}"
    return Critical(value, low, high, method)
