"""Whether the steps of training add up: the way made in a window of N steps against the path walked in it.

In: the coherence table of a run. Out: C_N = |θ_{t+N} - θ_t|² / Σ|Δθ|², beside its value for steps of pure noise and
the share of signal that explains the difference. It needs no gradient and none of the algebra of gradient noise. Both
references are for a constant learning rate and a momentum that has settled.
"""

import polars as pl

from selfdistill.tables import words
from selfdistill.tables.analysis import PATH_COHERENCE
from selfdistill.tables.schema import conform


def path_coherence(windows: pl.DataFrame, beta1: float) -> pl.DataFrame:
    keys = ["first_step", "last_step"]
    total = windows.group_by(keys).agg(
        pl.lit(words.TOTAL).alias("group"), pl.col("distance_norm_squared", "path_norm_squared").sum()
    )
    both = pl.concat([windows, total.select(windows.columns)]).filter(pl.col("path_norm_squared") > 0)
    rows = both.with_columns(steps=pl.col("last_step") - pl.col("first_step") + 1)
    rows = rows.with_columns(
        coherence=pl.col("distance_norm_squared") / pl.col("path_norm_squared"),
        of_noise=pl.col("steps").map_elements(lambda steps: noise_coherence(steps, beta1), return_dtype=pl.Float64),
    ).with_columns(
        signal_fraction=pl.when(pl.col("steps") > pl.col("of_noise")).then(
            (pl.col("coherence") - pl.col("of_noise")) / (pl.col("steps") - pl.col("of_noise"))
        )
    )
    return conform(rows.select(list(PATH_COHERENCE)).sort(*keys, "group"), PATH_COHERENCE, "path coherence")


def noise_coherence(steps: int, beta1: float) -> float:
    """C_N of steps whose neighbours correlate as momentum makes them, β₁^k: it rises to (1+β₁)/(1-β₁) with N."""
    tail = 2 * beta1 * (1 - beta1**steps) / (steps * (1 - beta1) ** 2)
    return (1 + beta1) / (1 - beta1) - tail
