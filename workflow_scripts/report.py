"""Rule `report`: reads every table once and hands them to the page."""

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import yaml

from selfdistill.foundation.programs import as_rule
from selfdistill.machine.provenance import provenance, rule_seconds
from selfdistill.reporting.answers.choice import choose_examples
from selfdistill.reporting.figures.catalogue import save_figures
from selfdistill.reporting.inputs import ReportInputs
from selfdistill.reporting.page import build_report
from selfdistill.tables.analysis import (
    COMPARISONS,
    ESTIMATES,
    NOISE_STEPS,
    NOISE_SUMMARY,
    PATH_COHERENCE,
    VERDICTS,
    WEIGHT_CHANGE,
)
from selfdistill.tables.problems import CONTAMINATION, PROBLEMS
from selfdistill.tables.sampling import GRADED
from selfdistill.tables.schema import of_runs
from selfdistill.tables.training import RUN_LOG
from selfdistill.tables.whole import read_table

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

SHOWN = (
    "model_id", "problem_id", "purpose", "decode_id", "draw", "split", "n_tokens", "text", "gold",
    "finish_class", "extracted", "verdict", "reason",
)  # fmt: skip


def main() -> None:
    given, asked = snakemake.input, snakemake.params.asked
    study_text = Path(given.study).read_text()
    study = yaml.safe_load(study_text)
    graded = pl.concat(read_table(path, GRADED, SHOWN) for path in given.graded).filter(pl.col("purpose") == "eval")
    problems = pl.concat(read_table(path, PROBLEMS) for path in (given.train, given.evaluation))
    logs = [
        read_table(path, RUN_LOG).select(pl.lit(run).alias("run"), pl.all())
        for run, path in zip(asked["runs"], given.logs, strict=True)
    ]
    inputs = ReportInputs(
        study=study,
        study_sha256=hashlib.sha256(study_text.encode()).hexdigest(),
        provenance=provenance(),
        rule_times=rule_seconds(Path(snakemake.output.report).parent / "benchmarks"),
        verdicts=read_table(given.verdicts, VERDICTS),
        levels=read_table(given.levels, ESTIMATES),
        comparisons=read_table(given.comparisons, COMPARISONS),
        factorial=read_table(given.factorial, ESTIMATES),
        audits=by_name(asked["arms"], given.audits),
        targets=by_name(asked["taught"], given.targets),
        run_logs=pl.concat(logs),
        export_checks={
            run: json.loads(Path(path).read_text())
            for run, path in zip(asked["runs"], given.export_checks, strict=True)
        },
        noise_steps=read_table(given.noise_steps, of_runs(NOISE_STEPS)),
        noise_summary=read_table(given.noise_summary, of_runs(NOISE_SUMMARY)),
        weight_change=read_table(given.weight_change, of_runs(WEIGHT_CHANGE)),
        coherence=read_table(given.coherence, of_runs(PATH_COHERENCE)),
        completions=graded.select("model_id", "decode_id", "n_tokens", "finish_class", "verdict"),
        examples=choose_examples(graded, problems, study),
        sampled=pl.concat(sampled(path) for path in (*given.graded, *given.training_samples)),
        problem_counts=problems.group_by("source", "level", "split").agg(pl.len().alias("problems")).sort(pl.all()),
        contamination=read_table(given.contamination, CONTAMINATION),
        hub=by_name(asked["from_hub"], given.hub),
        conversions=by_name(asked["converted"], given.conversions),
        checks=json.loads(Path(given.checks).read_text()),
        results=asked["results"],
    )
    save_figures(inputs, Path(snakemake.output.figures))
    build_report(inputs, snakemake.output.report)


def by_name(names: list[str], paths: list[str]) -> dict[str, dict[str, Any]]:
    return {name: json.loads(Path(path).read_text()) for name, path in zip(names, paths, strict=True)}


def sampled(path: str) -> pl.DataFrame:
    shown = ("model_id", "purpose", "engine", "engine_version", "n_tokens", "finish_class", "loop_period", "reason")
    return read_table(path, GRADED, shown)


as_rule(main, snakemake.log[0])
