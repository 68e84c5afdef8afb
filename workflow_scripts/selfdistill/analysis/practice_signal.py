"""Signal and noise in the gradient of arms that practise, over all trainings of an arm: NOISE_STEPS of runs in, PRACTICE_SIGNAL out.

Steps of several trainings are pooled like those of one: the signal is the mean over trainings, and the scatter over all
their steps is its error. What the numbers are is said in `noise_scale.py`; the sequence is the unit.
"""

from collections.abc import Iterator, Sequence

import polars as pl

from selfdistill.analysis.differences import Row
from selfdistill.analysis.noise import RESAMPLES, windows
from selfdistill.analysis.noise_scale import estimates
from selfdistill.tables import words
from selfdistill.tables.practice_analysis import PRACTICE_SIGNAL
from selfdistill.tables.schema import conform

NO_MOMENTUM = 0.0  # what it makes of a signal is told of single runs


def practice_signal(steps: pl.DataFrame, runs: Sequence[str], seed: int, resamples: int = RESAMPLES) -> pl.DataFrame:
    """`runs` are those that practised, of the runs that `steps` has."""
    whole_model = (pl.col("group") == words.TOTAL) & (pl.col("geometry") == words.EUCLIDEAN)
    usable = steps.filter(whole_model, pl.col("run").is_in(list(runs)), pl.col("micro_batches") > 1)
    usable = usable.with_columns(arm=pl.col("run").str.split("/").list.first()).sort("step", "run")
    arms = dict.fromkeys(run.split("/")[0] for run in runs)
    rows = [row for arm in arms for row in _of_arm(arm, usable.filter(pl.col("arm") == arm), seed, resamples)]
    return conform(pl.DataFrame(rows, schema=PRACTICE_SIGNAL), PRACTICE_SIGNAL, "signal of practice")


def _of_arm(arm: str, steps: pl.DataFrame, seed: int, resamples: int) -> Iterator[Row]:
    for name, numbers in windows(steps["step"].unique().sort().to_list()).items():
        window = steps.filter(pl.col("step").is_in(numbers))
        if window["step_norm_squared"].sum() > 0:
            found = estimates(window, NO_MOMENTUM, resamples, seed)
            named = {"arm": arm, "trainings": window["run"].n_unique(), "window": name}
            yield named | {key: found[key] for key in PRACTICE_SIGNAL if key in found}
