"""What the report is made of: frames and mappings, and the few questions asked of them everywhere.

Every piece but the study may be missing (None or empty): its section then says so instead of failing.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from selfdistill.study.evaluation import Draws


@dataclass(frozen=True)
class ReportInputs:
    study: dict[str, Any]  # the effective configuration
    study_sha256: str = ""
    provenance: dict[str, Any] = field(default_factory=dict)  # name → value, shown in order; `versions` is a mapping
    rule_times: pl.DataFrame | None = None  # rule, jobs, seconds, max_rss
    verdicts: pl.DataFrame | None = None  # one row per hypothesis
    looks: pl.DataFrame | None = None  # one row per hypothesis of a study with looks
    levels: pl.DataFrame | None = None  # ESTIMATES
    comparisons: pl.DataFrame | None = None  # COMPARISONS
    factorial: pl.DataFrame | None = None  # EFFECTS
    variance: pl.DataFrame | None = None  # VARIANCE
    truncation: pl.DataFrame | None = None  # TRUNCATION
    token_budgets: pl.DataFrame | None = None  # TOKEN_BUDGETS
    doubt: pl.DataFrame | None = None  # DOUBT
    doubt_ratios: pl.DataFrame | None = None  # DOUBT_RATIOS
    word_shift: pl.DataFrame | None = None  # WORD_SHIFT
    mechanism: pl.DataFrame | None = None  # MECHANISM
    ssd_fit: pl.DataFrame | None = None  # SSD_FIT
    curves: pl.DataFrame | None = None  # CURVES
    depth: pl.DataFrame | None = None  # DEPTH
    strips: pl.DataFrame | None = None  # STRIPS
    ladder: pl.DataFrame | None = None  # LADDER
    ladder_tests: pl.DataFrame | None = None  # LADDER_TESTS
    ladder_examples: pl.DataFrame | None = None  # LADDER_EXAMPLES
    information: pl.DataFrame | None = None  # INFORMATION
    practice: pl.DataFrame | None = None  # PRACTICE
    practice_changes: pl.DataFrame | None = None  # PRACTICE_CHANGES
    practice_signal: pl.DataFrame | None = None  # PRACTICE_SIGNAL
    practice_cost: pl.DataFrame | None = None  # PRACTICE_COST
    audits: dict[str, dict[str, Any]] = field(default_factory=dict)  # arm → what its filter did
    targets: dict[str, dict[str, Any]] = field(default_factory=dict)  # arm → its soft targets in sum
    run_logs: pl.DataFrame | None = None  # RUN_LOG and `run`
    export_checks: dict[str, dict[str, Any]] = field(default_factory=dict)  # run → how the engine read its checkpoints
    noise_steps: pl.DataFrame | None = None
    noise_summary: pl.DataFrame | None = None
    weight_change: pl.DataFrame | None = None
    coherence: pl.DataFrame | None = None
    noise_probe: pl.DataFrame | None = None  # NOISE_PROBE
    branches: pl.DataFrame | None = None  # BRANCHES
    weight_overlap: pl.DataFrame | None = None  # WEIGHT_OVERLAP
    context_kl: pl.DataFrame | None = None  # CONTEXT_KL
    annotation: pl.DataFrame | None = None  # ANNOTATION
    judgements: pl.DataFrame | None = None  # JUDGEMENTS
    plugged: pl.DataFrame | None = None  # PLUGGED
    grader: pl.DataFrame | None = None  # GRADER
    grader_errors: pl.DataFrame | None = None  # GRADER_ERRORS; without rows until a person has filled the sheet
    corrected: pl.DataFrame | None = None  # CORRECTED; likewise
    difficulty: pl.DataFrame | None = None  # DIFFICULTY
    solving: pl.DataFrame | None = None  # SOLVING
    completions: pl.DataFrame | None = None  # graded rows: model_id, decode_id, n_tokens, finish_class, verdict
    sampled: pl.DataFrame | None = None  # graded rows, training samples too: which engine, how long, how it ended
    formats: pl.DataFrame | None = None  # FORMATS, of evaluation answers
    examples: pl.DataFrame | None = None  # a few completions to read
    problem_counts: pl.DataFrame | None = None  # source, level, split, count, …
    contamination: pl.DataFrame | None = None
    hub: dict[str, dict[str, Any]] = field(default_factory=dict)  # model or source → which commit of which repository
    lineage: dict[str, Any] = field(default_factory=dict)  # what a base that is a checkpoint was made from
    origin: str = ""  # where the model's weights come from, if not from its makers
    conversions: dict[str, dict[str, Any]] = field(default_factory=dict)  # source → rows kept, rows dropped by reason
    checks: list[dict[str, Any]] = field(default_factory=list)  # name, passed, sentence
    results: str = "results"  # the folder that paths in the report start from


def has_rows(frame: pl.DataFrame | None) -> bool:
    return frame is not None and not frame.is_empty()


def sources_read(inputs: ReportInputs, sources: str) -> str:
    """Of the files that could be behind a figure or table those of this study: a table that is no part of it has no file."""
    return ", ".join(file for file in sources.split(", ") if getattr(inputs, Path(file).stem, file) is not None)


def arm_names(study: dict[str, Any]) -> list[str]:
    """Base first, then the arms in the order of the study file: the order of every table, legend and colour."""
    return ["base", *study.get("arms", {})]


def draws_by_side(study: dict[str, Any]) -> Draws:
    """How many answers to each problem the base and the arms have, also of studies older than the distinction."""
    stated = study.get("evaluation", {}).get("draws", 1)
    return Draws(base=stated, arms=stated) if isinstance(stated, int) else Draws.model_validate(stated)


def is_resampled_base(study: dict[str, Any], arm: str) -> bool:
    """Whether the arm is the A/A control, which trains nothing."""
    return bool(study.get("arms", {}).get(arm, {}).get("resample"))
