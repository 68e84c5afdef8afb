"""How each model does by itself: shares, tokens and pass@k per model, decode, split and budget, with intervals.

Graded completions in, ESTIMATES out. Accuracy is the share of all requests that are correct: an unfinished answer
is wrong. `accuracy_when_finished` leaves the unfinished out of its denominator, and its n counts what is left.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import polars as pl

from selfdistill.analysis.problem_means import (
    MEANS_OF,
    SPLITS,
    Evaluations,
    Side,
    family_codes,
    known,
    pool,
    problem_means,
    shares_by_problem,
    unit_of,
    with_means,
)
from selfdistill.statistics.clusters import Array, ClusterMean, cluster_mean, cluster_totals
from selfdistill.statistics.intervals import Interval, t_interval, wilson_effective_interval, wilson_interval
from selfdistill.statistics.solving import pass_at_k
from selfdistill.study.evaluation import Size
from selfdistill.study.names import parse_model_id
from selfdistill.tables import words
from selfdistill.tables.analysis import ESTIMATES
from selfdistill.tables.endings import NO_ANSWER
from selfdistill.tables.schema import conform

SHARES = (
    words.ACCURACY,
    words.UNANSWERED_RATE,
    words.THINK_CLOSE_RATE,
    words.BOXED_RATE,
    words.CUT_RATE,
    words.LOOP_RATE,
    words.NO_ANSWER_RATE,
    words.RIGHT_OTHERWISE_RATE,
)
# Shares of a problem's answers that the means by problem lack.
IN_THE_WRONG_FORMAT = {
    words.NO_ANSWER_RATE: pl.col("finish_class") == NO_ANSWER,
    words.RIGHT_OTHERWISE_RATE: pl.col("other_correct").fill_null(False),
}

Row = dict[str, Any]


def levels(
    graded: pl.DataFrame,
    budgets: Mapping[str, Size],
    pass_at: Sequence[int] = (1,),
    mixtures: Mapping[str, frozenset[str]] = MappingProxyType({}),
    mixture_draws: Mapping[str, int] = MappingProxyType({}),
) -> pl.DataFrame:
    """A row for each model, and for arms with several training seeds one over all of them (training_seed null).

    Mixtures are parts of the full budget, by problem_id, with a name of their own in the column budget. Those with draws
    of their own rest on all of these; for the others and for the budgets the first draws count, which everything has.
    A model with fewer than k draws has no row of pass@k.
    """
    evaluations = with_means(Evaluations.of(graded, budgets), graded, IN_THE_WRONG_FORMAT)
    rows: list[Row] = []
    for side, seeds in _sides(evaluations):
        reached = evaluations.reached(side.models[0], side.decode_id)
        parts = {name: [evaluations.cell(model, side.decode_id, name) for model in side.models] for name in reached}
        for name, ids in mixtures.items() if "full" in reached else ():
            if not ids <= set(parts["full"][0]["problem_id"].to_list()):
                continue  # a look has not come to all of them yet
            if name in mixture_draws:
                parts[name] = [
                    _more_answers(graded, model, side.decode_id, ids, mixture_draws[name]) for model in side.models
                ]
            else:
                parts[name] = [cell.filter(pl.col("problem_id").is_in(list(ids))) for cell in parts["full"]]
        for budget, whole in parts.items():
            for split in SPLITS:
                cells = [cell.filter((pl.col("split") == split) | (split == "all")) for cell in whole]
                if cells[0].is_empty():
                    continue
                told = _within_draws(pass_at, cells)
                solved = [_with_pass_at(cell, told) for cell in cells]
                named = {"model_id": side.model_id, "arm": side.arm, "training_seed": seeds, "percent": side.percent}
                named |= {"decode_id": side.decode_id, "split": split, "budget": budget}
                rows += [named | row for row in _cell_levels(pool(solved), told)]
    nothing = dict.fromkeys(("against", "against_decode_id", "p_value", "p_adjusted"))
    return conform(pl.DataFrame([row | nothing for row in rows], infer_schema_length=None), ESTIMATES, "levels")


def _more_answers(graded: pl.DataFrame, model: str, decode: str, ids: frozenset[str], draws: int) -> pl.DataFrame:
    """What one model did on a mixture with draws of its own, the first of which are those of the budgets."""
    here = (pl.col("model_id") == model) & (pl.col("decode_id") == decode)
    asked = graded.filter(here & pl.col("problem_id").is_in(list(ids)) & (pl.col("draw") < draws))
    means = problem_means(asked.with_columns(pl.lit("eval").alias("purpose")))
    return means.join(shares_by_problem(asked, IN_THE_WRONG_FORMAT), on=MEANS_OF, how="left", maintain_order="left")


def _sides(evaluations: Evaluations) -> Iterator[tuple[Side, int | None]]:
    for side in evaluations.sides():
        for model in side.models:
            yield Side(side.arm, side.percent, (model,), side.decode_id), parse_model_id(model).training_seed
        if len(side.models) > 1:
            yield side, None


def _within_draws(pass_at: Sequence[int], cells: Sequence[pl.DataFrame]) -> list[int]:
    """Those k that a model with so many draws can tell of: a side with fewer draws has no row of the others."""
    fewest = min(cell.select(pl.col("draws").min()).item() for cell in cells)
    return [k for k in pass_at if k <= fewest]


def _with_pass_at(cell: pl.DataFrame, pass_at: Sequence[int]) -> pl.DataFrame:
    draws, correct = cell["draws"].to_numpy(), cell["correct_draws"].to_numpy()
    return cell.with_columns(pl.Series(words.pass_estimand(k), pass_at_k(draws, correct, k)) for k in pass_at)


def _cell_levels(cell: pl.DataFrame, pass_at: Sequence[int]) -> Iterator[Row]:
    for share in SHARES:
        yield {"estimand": share, **share_row(cell, cell[share].to_numpy())}
    yield {"estimand": words.WHEN_FINISHED, **_accuracy_when_finished(cell)}
    yield {"estimand": words.MEAN_TOKENS, **_mean_tokens(cell)}
    for k in pass_at:
        solved = cell[words.pass_estimand(k)].to_numpy()
        yield {
            "estimand": words.pass_estimand(k),
            **share_row(cell, solved, yes_or_no=bool(np.isin(solved, (0, 1)).all())),
        }


def share_row(cell: pl.DataFrame, values: Array, yes_or_no: bool | None = None) -> Row:
    """Plain Wilson when each problem is one yes or no and stands alone; else Wilson at the effective n."""
    if yes_or_no is None:
        yes_or_no = cell["draws"].max() == 1
    problems = cell.height
    if yes_or_no and cell["family"].n_unique() == problems:
        interval = wilson_interval(float(values.sum()), problems)
        return _row(float(values.mean()), interval, words.WILSON, words.PROBLEM, problems)
    mean = _mean(cell, values)
    interval = wilson_effective_interval(mean, float(cell["draws"].sum()))
    return _row(mean.estimate, interval, words.WILSON_EFFECTIVE, unit_of(cell), mean.clusters)


def _accuracy_when_finished(cell: pl.DataFrame) -> Row:
    finished = int(cell["finished_draws"].sum())
    if cell["draws"].max() == 1 and cell["family"].n_unique() == cell.height:
        correct = float(cell["correct_and_finished"].sum())
        estimate = correct / finished if finished else math.nan
        return _row(estimate, wilson_interval(correct, finished), words.WILSON, words.FINISHED_COMPLETION, finished)
    mean = _mean(cell, cell["correct_and_finished"].to_numpy(), cell["finished_rate"].to_numpy())
    interval = wilson_effective_interval(mean, finished)
    return _row(mean.estimate, interval, words.WILSON_EFFECTIVE, words.FINISHED_COMPLETION, finished)


def _mean_tokens(cell: pl.DataFrame) -> Row:
    mean = _mean(cell, cell[words.MEAN_TOKENS].to_numpy())
    return _row(mean.estimate, t_interval(mean), words.T, unit_of(cell), mean.clusters)


def _mean(cell: pl.DataFrame, values: Array, weights: Array | None = None) -> ClusterMean:
    return cluster_mean(*cluster_totals(values, family_codes(cell), weights))


def _row(estimate: float, interval: Interval, method: str, unit: str, n: int) -> Row:
    return {
        "estimate": known(estimate),
        "low": known(interval.low),
        "high": known(interval.high),
        "method": method,
        "unit": unit,
        "n": n,
    }
