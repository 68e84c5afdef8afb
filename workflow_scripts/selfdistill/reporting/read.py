"""Reads what the report is made of: every table once, the heavy ones without the columns that nothing shows.

`files` has the names that `rules/report.smk` gives its inputs; where one holds several files, `asked` has the runs, arms,
models or sources that they belong to, in the same order.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl
import yaml

from selfdistill.analysis.formats import count_formats
from selfdistill.analysis.runs import of_all_runs
from selfdistill.machine.provenance import provenance, rule_seconds
from selfdistill.reporting.answers.choice import choose_examples
from selfdistill.reporting.inputs import ReportInputs
from selfdistill.tables.analysis import (
    COMPARISONS,
    CORRECTED,
    DIFFICULTY,
    EFFECTS,
    ESTIMATES,
    GRADER,
    GRADER_ERRORS,
    LOOKS,
    NOISE_STEPS,
    NOISE_SUMMARY,
    PATH_COHERENCE,
    PLUGGED,
    SOLVING,
    TOKEN_BUDGETS,
    TRUNCATION,
    VARIANCE,
    VERDICTS,
    WEIGHT_CHANGE,
)
from selfdistill.tables.annotation import ANNOTATION, JUDGEMENTS
from selfdistill.tables.doubt import DOUBT, DOUBT_RATIOS, WORD_SHIFT
from selfdistill.tables.ladder import INFORMATION, LADDER, LADDER_EXAMPLES, LADDER_TESTS
from selfdistill.tables.mechanism import (
    BRANCHES,
    CONTEXT_KL,
    CURVES,
    DEPTH,
    MECHANISM,
    NOISE_PROBE,
    SSD_FIT,
    STRIPS,
    WEIGHT_OVERLAP,
)
from selfdistill.tables.practice_analysis import PRACTICE, PRACTICE_CHANGES, PRACTICE_COST, PRACTICE_SIGNAL
from selfdistill.tables.problems import CONTAMINATION, PROBLEMS
from selfdistill.tables.sampling import GRADED, LATER_GRADED
from selfdistill.tables.schema import Schema, of_runs
from selfdistill.tables.training import RUN_LOG
from selfdistill.tables.whole import read_table

ANSWERS = (
    "model_id", "problem_id", "purpose", "decode_id", "draw", "split", "n_tokens", "text", "gold", "finish_class",
    "extracted", "verdict", "reason", "source", *LATER_GRADED,
)  # fmt: skip
# What version 2 of the grader and the search for counting loops added: the report of older results reads it as null.
LATER = ("strict", "lenient", "disputed", "grader", "counter_period")
HOW_SAMPLED = (
    "model_id", "purpose", "engine", "engine_version", "n_tokens", "finish_class", "loop_period", "verdict", "reason", *LATER,
)  # fmt: skip


def read_inputs(files: Mapping[str, Any], asked: Mapping[str, Any], benchmarks: Path) -> ReportInputs:
    study_text = Path(files["study"]).read_text()
    study = yaml.safe_load(study_text)
    answers = pl.concat(read_table(path, GRADED, ANSWERS, LATER_GRADED) for path in files["graded"])
    answers = answers.filter(pl.col("purpose") == "eval")
    problems = pl.concat(read_table(files[name], PROBLEMS) for name in ("train", "evaluation"))
    sampled = (read_table(path, GRADED, HOW_SAMPLED, LATER) for path in (*files["graded"], *files["training_samples"]))
    logs = {run: read_table(path, RUN_LOG) for run, path in zip(asked["runs"], files["logs"], strict=True)}
    return ReportInputs(
        study=study,
        study_sha256=hashlib.sha256(study_text.encode()).hexdigest(),
        provenance=provenance() | ({"plugins": asked["plugins"]} if asked.get("plugins") else {}),
        rule_times=rule_seconds(benchmarks),
        verdicts=read_table(files["verdicts"], VERDICTS),
        looks=read_table(files["looks"], LOOKS),
        levels=read_table(files["levels"], ESTIMATES),
        comparisons=read_table(files["comparisons"], COMPARISONS),
        factorial=read_table(files["factorial"], EFFECTS),
        variance=read_table(files["variance"], VARIANCE),
        truncation=read_table(files["truncation"], TRUNCATION),
        token_budgets=read_table(files["token_budgets"], TOKEN_BUDGETS),
        doubt=read_table(files["doubt"], DOUBT),
        doubt_ratios=read_table(files["doubt_ratios"], DOUBT_RATIOS),
        word_shift=read_table(files["word_shift"], WORD_SHIFT),
        mechanism=_if_there(files, "mechanism", MECHANISM),
        ssd_fit=_if_there(files, "ssd_fit", SSD_FIT),
        curves=_if_there(files, "curves", CURVES),
        depth=_if_there(files, "depth", DEPTH),
        strips=_if_there(files, "strips", STRIPS),
        ladder=_if_there(files, "ladder", LADDER),
        ladder_tests=_if_there(files, "ladder_tests", LADDER_TESTS),
        ladder_examples=_if_there(files, "ladder_examples", LADDER_EXAMPLES),
        information=_if_there(files, "information", INFORMATION),
        practice=_if_there(files, "practice", PRACTICE),
        practice_changes=_if_there(files, "practice_changes", PRACTICE_CHANGES),
        practice_signal=_if_there(files, "practice_signal", PRACTICE_SIGNAL),
        practice_cost=_if_there(files, "practice_cost", PRACTICE_COST),
        audits=_read_each(asked["arms"], files["audits"]),
        targets=_read_each(asked["taught"], files["targets"]),
        run_logs=of_all_runs(logs),
        export_checks=_read_each(asked["runs"], files["export_checks"]),
        noise_steps=read_table(files["noise_steps"], of_runs(NOISE_STEPS)),
        noise_summary=read_table(files["noise_summary"], of_runs(NOISE_SUMMARY)),
        weight_change=read_table(files["weight_change"], of_runs(WEIGHT_CHANGE)),
        coherence=read_table(files["coherence"], of_runs(PATH_COHERENCE)),
        noise_probe=_if_there(files, "noise_probe", NOISE_PROBE),
        branches=_if_there(files, "branches", BRANCHES),
        weight_overlap=_if_there(files, "weight_overlap", WEIGHT_OVERLAP),
        context_kl=_if_there(files, "context_kl", CONTEXT_KL),
        annotation=_if_there(files, "annotation", ANNOTATION),
        judgements=_if_there(files, "judgements", JUDGEMENTS),
        plugged=_if_there(files, "plugged", PLUGGED),
        grader=read_table(files["grader"], GRADER),
        grader_errors=read_table(files["grader_errors"], GRADER_ERRORS),
        corrected=read_table(files["corrected"], CORRECTED),
        difficulty=read_table(files["difficulty"], DIFFICULTY),
        solving=read_table(files["solving"], SOLVING),
        completions=answers.select("model_id", "decode_id", "n_tokens", "finish_class", "verdict"),
        formats=count_formats(answers),
        examples=choose_examples(answers, problems, study),
        sampled=pl.concat(sampled),
        problem_counts=problems.group_by("source", "level", "split").agg(pl.len().alias("problems")).sort(pl.all()),
        contamination=read_table(files["contamination"], CONTAMINATION),
        hub=_read_each(asked["from_hub"], files["hub"]),
        origin=_origin(files),
        conversions=_read_each(asked["converted"], files["conversions"]),
        lineage=next((json.loads(Path(path).read_text()) for path in files.get("lineage", [])), {}),
        checks=json.loads(Path(files["checks"]).read_text()),
        results=asked["results"],
    )


def _if_there(files: Mapping[str, Any], name: str, schema: Schema) -> pl.DataFrame | None:
    """A table that only some studies have: their input holds one path, that of others none."""
    paths = files.get(name, [])
    return None if not paths else read_table(paths if isinstance(paths, str) else paths[0], schema)


def _origin(files: Mapping[str, Any]) -> str:
    """The sentence that the model's folder, or what was found of it when it was looked at, tells of its weights."""
    told = (json.loads(Path(path).read_text()) for path in files["origin"])
    return "".join(str(facts.get("origin") or facts.get("sentence") or "") for facts in told)


def _read_each(names: Sequence[str], paths: Sequence[str]) -> dict[str, dict[str, Any]]:
    return {name: json.loads(Path(path).read_text()) for name, path in zip(names, paths, strict=True)}
