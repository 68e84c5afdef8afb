"""What a study really took, beside what was planned for it: from its tables and from Snakemake's benchmark files.

It serves twice: to see how far a plan was off, and to state figures measured on a trial before a large study.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl

from selfdistill.foundation.errors import UserError
from selfdistill.machine.provenance import rule_seconds
from selfdistill.planning.cost import Stage
from selfdistill.planning.counts import number
from selfdistill.planning.figures import Figures
from selfdistill.planning.power import Reach, detectable
from selfdistill.study.models import evaluated, sources_of_samples
from selfdistill.study.names import parse_model_id
from selfdistill.study.study import Study
from selfdistill.tables import words
from selfdistill.tables.analysis import VERDICTS
from selfdistill.tables.endings import CORRECT, FINISHED
from selfdistill.tables.problems import PROBLEMS
from selfdistill.tables.sampling import GRADED
from selfdistill.tables.whole import read_table

READ = ("model_id", "purpose", "problem_id", "split", "decode_id", "n_tokens", "prompt_ids", "finish_class", "verdict")


@dataclass(frozen=True)
class Found:
    what: str
    planned: float
    actual: float | None  # None: this study does not tell


def compare(study: Study, figures: Figures, parts: list[Stage], power: list[Reach], results: Path) -> list[Found]:
    models = [*evaluated(study), *sources_of_samples(study)]
    files = [results / "models" / model / "graded.parquet" for model in models]
    missing = next((file for file in files if not file.is_file()), None)
    if missing:
        raise UserError(f"{missing}: is not there; run the study first, or leave out --actual.")
    graded = pl.concat(read_table(file, GRADED, READ) for file in files)
    devices = {"train": max(1, study.training.gpus * study.training.nodes)}
    return [
        *_stages(parts, graded, results, devices),
        *_figures(study, figures, graded, results),
        *_power(power, results),
    ]


def _stages(parts: list[Stage], graded: pl.DataFrame, results: Path, devices: Mapping[str, int]) -> Iterator[Found]:
    """Sums that both sides know: the benchmark files have hours by rule, and sampling is one rule. Hours are of devices."""
    sampled = [part for part in parts if "sample" in part.rules]
    yield Found("requests", sum(part.requests for part in sampled), graded.height)
    yield Found("tokens sampled", sum(part.expected.tokens for part in sampled), float(graded["n_tokens"].sum()))
    times = rule_seconds(results / "benchmarks")
    seconds = dict(times.select("rule", "seconds").iter_rows())
    rules_of = {"sample": sampled} | {part.name: [part] for part in parts if part not in sampled}
    for name, group in rules_of.items():
        rules = {rule for part in group for rule in part.rules}
        hours = sum(part.expected.gpu_hours + part.expected.cpu_hours for part in group)
        if known := [seconds[rule] * devices.get(rule, 1) for rule in rules if rule in seconds]:
            yield Found(f"hours of jobs: {name}", hours, sum(known) / 3600)


def _power(power: list[Reach], results: Path) -> Iterator[Found]:
    """The detectable difference that each verdict states, which is at 5 % before Holm."""
    verdicts = read_table(results / "analysis/verdicts.parquet", VERDICTS)
    stated = dict(verdicts.filter(pl.col("role") == words.HYPOTHESIS).select("hypothesis", "mde80").iter_rows())
    for reach in power:
        planned = detectable(reach.standard_error, reach.units)
        yield Found(f"detectable at 5 %: {reach.hypothesis}", planned, stated[reach.hypothesis])


def _figures(study: Study, figures: Figures, graded: pl.DataFrame, results: Path) -> Iterator[Found]:
    tokens = graded["n_tokens"].to_numpy()
    yield Found("prompt_tokens", figures.value("prompt_tokens"), _mean(graded["prompt_ids"].list.len()))
    if figures.has("completion_tokens"):
        yield Found("completion_tokens", figures.value("completion_tokens"), float(tokens.mean()))
    else:
        caps = {name: decode.max_tokens for name, decode in study.decodes.items()}
        allowed = graded["decode_id"].replace_strict(caps).to_numpy()
        yield Found("completion_share", figures.value("completion_share"), float(tokens.sum() / allowed.sum()))
    if figures.has("finished_share"):
        finished = _mean(graded["finish_class"].is_in(FINISHED))
        yield Found("finished_share", figures.value("finished_share"), finished)
    kept = sum(file.stat().st_size for file in (results / "models").rglob("*") if file.is_file())
    yield Found("bytes_per_token", figures.value("bytes_per_token"), kept / float(tokens.sum()))
    problems = read_table(results / "problems/eval.parquet", PROBLEMS)
    asked = problems.filter(pl.col("rank") < number(study.evaluation.budgets["full"]))
    yield Found("family_size", figures.value("family_size"), asked.height / asked["family"].n_unique())
    for key, actual in spread_of(study, graded)._asdict().items():
        yield Found(key, figures.value(key), actual)


class SpreadSeen(NamedTuple):
    """None: this study does not tell."""

    accuracy: float | None
    between_share: float | None = None  # of the variance, between problems
    correlation: float | None = None  # of the arms' true accuracies with the base's, problem by problem


def spread_of(study: Study, graded: pl.DataFrame) -> SpreadSeen:
    """On test, at the first decode that the base and finished training have in common. What lies between draws is only
    seen where a problem has several."""
    shared = [decode for decode in study.evaluation.decodes.base if decode in study.evaluation.decodes.final]
    cells = (
        graded.filter((pl.col("purpose") == "eval") & (pl.col("split") == "test") & pl.col("decode_id").is_in(shared[:1]))
        .group_by("model_id", "problem_id")
        .agg((pl.col("verdict") == CORRECT).mean().alias("p"), pl.len().alias("k"))
        .sort("model_id", "problem_id")
    )  # fmt: skip
    arms = {str(model[0]): rows for model, rows in cells.partition_by("model_id", as_dict=True).items()}
    base = arms.get("base")
    if base is None or base.height < 2:
        return SpreadSeen(None)
    accuracy = _mean(base["p"])
    if base["k"].min() == 1 or not 0 < accuracy < 1:
        return SpreadSeen(accuracy)
    between = _between(base)
    others = [
        rows
        for model, rows in arms.items()
        if parse_model_id(model).percent == 100 and rows["problem_id"].equals(base["problem_id"])
    ]
    correlations = [
        float(np.cov(rows["p"], base["p"])[0, 1]) / np.sqrt(_between(rows) * between)
        for rows in others
        if _between(rows) > 0 < between
    ]
    share = between / (accuracy * (1 - accuracy))
    return SpreadSeen(accuracy, share, float(np.mean(correlations)) if correlations else None)


def _between(rows: pl.DataFrame) -> float:
    """Variance of true accuracies between problems: all of it less what draws of one problem make, without bias."""
    p, k = rows["p"].to_numpy(), rows["k"].to_numpy()
    return float(np.var(p, ddof=1) - np.mean(p * (1 - p) / (k - 1)))


def _mean(values: pl.Series) -> float:
    return float(values.cast(pl.Float64).to_numpy().mean())
