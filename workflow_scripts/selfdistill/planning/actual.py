"""What a study really took, beside what was planned for it: from its tables and from Snakemake's benchmark files.

It serves twice: to see how far a plan was off, and to state figures measured on a trial before a large study.
"""

import json
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
from selfdistill.study.models import evaluated, reference_arms, sources_of_samples
from selfdistill.study.names import parse_model_id
from selfdistill.study.study import Study
from selfdistill.tables import words
from selfdistill.tables.analysis import VERDICTS
from selfdistill.tables.endings import CORRECT, FINISHED
from selfdistill.tables.problems import PROBLEMS
from selfdistill.tables.sampling import GRADED
from selfdistill.tables.whole import read_table

READ = (
    "model_id",
    "purpose",
    "problem_id",
    "split",
    "decode_id",
    "draw",
    "n_tokens",
    "prompt_ids",
    "finish_class",
    "verdict",
)


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
    devices = dict.fromkeys(("train", "practice"), max(1, study.training.gpus * study.training.nodes))
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
    if arms := reference_arms(study):
        learned = [json.loads((results / f"arms/{arm}/audit.json").read_text())["mean_tokens"] for arm in arms]
        yield Found("reference_tokens", figures.value("reference_tokens"), float(np.mean(learned)))
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
        if key == "draw_correlation" and study.evaluation.coupling == "own":
            continue
        yield Found(key, figures.value(key), actual)


class SpreadSeen(NamedTuple):
    """None: this study does not tell."""

    accuracy: float | None
    between_share: float | None = None  # of the variance, between problems
    correlation: float | None = None  # of the arms' true accuracies with the base's, problem by problem
    draw_correlation: float | None = None  # of answers with the same noise, of what lies between draws


def spread_of(study: Study, graded: pl.DataFrame) -> SpreadSeen:
    """On test, at the first decode that the base and finished training have in common. What lies between draws is only
    seen where a problem has several of the base."""
    at = [decode for decode in study.evaluation.decodes.base if decode in study.evaluation.decodes.final]
    answers = graded.filter(
        (pl.col("purpose") == "eval") & (pl.col("split") == "test") & pl.col("decode_id").is_in(at[:1])
    ).select("model_id", "problem_id", "draw", right=(pl.col("verdict") == CORRECT).cast(pl.Float64))
    models = {str(model[0]): rows for model, rows in answers.partition_by("model_id", as_dict=True).items()}
    base = models.get("base")
    if base is None or base["problem_id"].n_unique() < 2:
        return SpreadSeen(None)
    cells = _by_problem(base)
    accuracy = _mean(cells["p"])
    if cells["k"].min() == 1 or not 0 < accuracy < 1:
        return SpreadSeen(accuracy)
    between, share = _between(cells), _between(cells) / (accuracy * (1 - accuracy))
    arms = {model: rows for model, rows in models.items() if parse_model_id(model).percent == 100}
    alike = [_in_common(study, model, rows, base) for model, rows in arms.items()]
    correlations, noises = (
        [value for value in values if value is not None]
        for values in ([a.true for a in alike], [a.noise for a in alike])
    )
    means = (float(np.mean(values)) if values and between > 0 else None for values in (correlations, noises))
    return SpreadSeen(accuracy, share, *means)


class InCommon(NamedTuple):
    true: float | None
    noise: float | None


def _in_common(study: Study, model: str, arm: pl.DataFrame, base: pl.DataFrame) -> InCommon:
    """Correlations of a model with the base: of true accuracies, from pairs of answers that share no noise, and of noise,
    from how much more pairs have in common that share it."""
    pairs = arm.join(base, on="problem_id", suffix="_base").with_columns(
        product=pl.col("right") * pl.col("right_base"), same=_same_noise(study, model)
    )
    cells, mine = _by_problem(base), _by_problem(arm)
    if not mine["problem_id"].equals(cells["problem_id"]):
        return InCommon(None, None)
    by_problem = pairs.group_by("problem_id", maintain_order=True).agg(
        pl.col("product").filter(pl.col("same")).mean().alias("same"),
        pl.col("product").filter(~pl.col("same")).mean().alias("other"),
    )
    if by_problem["other"].null_count():
        return InCommon(None, None)
    between = _between(cells)
    of_arm = _between(mine) if _least(mine["k"]) > 1 else between
    covariance = (_mean(by_problem["other"]) - _mean(mine["p"]) * _mean(cells["p"])) * cells.height / (cells.height - 1)
    true = float(covariance / np.sqrt(of_arm * between)) if of_arm > 0 < between else None
    if by_problem["same"].null_count():
        return InCommon(true, None)
    within = _mean(cells["p"] * (1 - cells["p"]) * cells["k"] / (cells["k"] - 1))
    return InCommon(true, (_mean(by_problem["same"]) - _mean(by_problem["other"])) / within if within > 0 else None)


def _same_noise(study: Study, model: str) -> pl.Expr:
    if study.evaluation.coupling == "own":
        return pl.lit(False)
    arm, seed, _ = parse_model_id(model)
    training = study.arms[arm].seeds.index(seed or 0)
    draws = study.evaluation.draws_by_side
    noises = {draw: draws.noise(draw, training) for draw in range(draws.arms)}
    return pl.col("draw").replace_strict(noises, return_dtype=pl.Int64) == pl.col("draw_base")


def _by_problem(answers: pl.DataFrame) -> pl.DataFrame:
    return answers.group_by("problem_id").agg(pl.col("right").mean().alias("p"), pl.len().alias("k")).sort("problem_id")


def _least(counts: pl.Series) -> int:
    return int(counts.to_numpy().min())


def _between(rows: pl.DataFrame) -> float:
    """Variance of true accuracies between problems: all of it less what draws of one problem make, without bias."""
    p, k = rows["p"].to_numpy(), rows["k"].to_numpy()
    return float(np.var(p, ddof=1) - np.mean(p * (1 - p) / (k - 1)))


def _mean(values: pl.Series) -> float:
    return float(values.cast(pl.Float64).to_numpy().mean())
