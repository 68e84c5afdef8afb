"""Every number of a study's report by its name, and which of them can be made again."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from selfdistill.foundation.errors import UserError
from selfdistill.foundation.suggestions import suggested
from selfdistill.reporting.numbers.names import name_of
from selfdistill.study.study import Study
from selfdistill.tables import words
from selfdistill.tables.analysis import (
    COMPARISONS,
    CORRECTED,
    DIFFICULTY,
    EFFECTS,
    ESTIMATES,
    GRADER,
    GRADER_ERRORS,
    LOOKS,
    NOISE_SUMMARY,
    PATH_COHERENCE,
    SOLVING,
    TOKEN_BUDGETS,
    TRUNCATION,
    VARIANCE,
    VERDICTS,
)
from selfdistill.tables.annotation import ANNOTATION
from selfdistill.tables.doubt import DOUBT, DOUBT_RATIOS
from selfdistill.tables.ladder import INFORMATION, LADDER, LADDER_TESTS
from selfdistill.tables.mechanism import BRANCHES, CONTEXT_KL, DEPTH, MECHANISM, NOISE_PROBE, SSD_FIT
from selfdistill.tables.practice_analysis import PRACTICE, PRACTICE_CHANGES, PRACTICE_COST, PRACTICE_SIGNAL
from selfdistill.tables.schema import Schema, of_runs
from selfdistill.tables.whole import read_table

# In the order in which they are listed. Where two tables hold one number, as pass@k, its name is that of the first.
TABLES: dict[str, Schema] = {
    "verdicts": VERDICTS,
    "solving": SOLVING,
    "levels": ESTIMATES,
    "comparisons": COMPARISONS,
    "factorial": EFFECTS,
    "truncation": TRUNCATION,
    "token_budgets": TOKEN_BUDGETS,
    "difficulty": DIFFICULTY,
    "grader": GRADER,
    "doubt": DOUBT,
    "doubt_ratios": DOUBT_RATIOS,
    "noise_summary": of_runs(NOISE_SUMMARY),
    "mechanism": MECHANISM,
    "ssd_fit": SSD_FIT,
    "depth": DEPTH,
    "noise_probe": NOISE_PROBE,
    "variance": VARIANCE,
    "corrected": CORRECTED,
    "grader_errors": GRADER_ERRORS,
    "coherence": of_runs(PATH_COHERENCE),
    "branches": BRANCHES,
    "ladder": LADDER,
    "ladder_tests": LADDER_TESTS,
    "information": INFORMATION,
    "context_kl": CONTEXT_KL,
    "practice": PRACTICE,
    "practice_changes": PRACTICE_CHANGES,
    "practice_signal": PRACTICE_SIGNAL,
    "practice_cost": PRACTICE_COST,
    "annotation": ANNOTATION,
}
# Numbers of a row beside its estimate, where it has one.
MORE: dict[str, tuple[str, ...]] = {
    "verdicts": ("verdict", "p_adjusted", "equivalence_p_adjusted", "mde80"),
    "noise_summary": ("noise_scale", "signal_fraction", "signal", "trace_per_sequence", "detection_limit"),
    "noise_probe": ("noise_scale", "signal", "square_share", "signal_share", "noise_share"),
    "mechanism": ("beyond_null", "base"),
    "variance": ("variance", "adds"),
    "corrected": ("graded", "worst", "best"),
    "grader_errors": ("error_rate",),
    "coherence": ("coherence", "of_noise"),
    "ladder": ("p_adjusted",),
    "ladder_tests": ("p_adjusted", "verdict"),
    "information": ("tokens", "from_few", "untold"),
    "context_kl": ("times_mean", "share"),
    "practice_changes": ("first", "last"),
    "practice_signal": ("signal", "trace_per_sequence", "signal_fraction", "noise_scale"),
    "practice_cost": (
        "generations", "steps", "questions", "sampled", "tokens", "teacher_tokens", "seconds_answering", "seconds_learning", "peak_bytes",
    ),
}  # fmt: skip
WITH_P = ("comparisons", "ladder", "ladder_tests")

# Tables of a report whose numbers have no name, and what to do instead: said wherever the names are listed.
NOT_REDONE = {
    "looks": "bars and levels of a sequential design: statistics/sequential.py, from the study file and p_value of the verdicts",
    "flips": "a list of problems and no number: docs/reading-the-tables.md reads their answers",
    "word_shift": "shifts of every word of the vocabulary rest on all texts at once: the rule doubt makes the table again",
    "curves": "lines of figures: the rule mechanism makes the table again",
    "token_classes": "classes of single positions, not numbers: the rule token_classes makes the table again",
    "strips": "texts to look at, not numbers",
    "noise_steps": "one row a step: analysis/noise.py: noise_steps makes it of runs/{arm}/seed-{seed}/noise.parquet",
    "weight_change": "one row a step, copied from runs/{arm}/seed-{seed}/weights.parquet beside what rounding predicts; the page has "
    "their medians and their last",
    "weight_overlap": "needs the weights themselves, which leave no rows: the rule weight_overlap reads the models again",
    "ladder_examples": "texts to look at, not numbers",
    "plugged": "what the study's own plugins make, which nothing here knows: the rule plugged makes the table again",
}


@dataclass(frozen=True)
class Number:
    name: str
    table: str  # of the analysis
    row: dict[str, Any]
    column: str
    looked: bool = False  # a verdict of a study with looks: its interval is that of the looks together

    @property
    def columns(self) -> list[str]:
        """What is made again: the number, and its interval and p where the row has them."""
        whole = self.column in ("estimate", "variance", "error_rate")
        ends = ("low", "high") if whole else (f"{self.column}_low", f"{self.column}_high")
        more = () if self.looked else (*ends, "p_value") if whole and self.table in WITH_P else ends
        return [self.column, *(name for name in more if name in self.row)]

    @property
    def reported(self) -> list[Any]:
        return [self.row[name] for name in self.columns]

    @property
    def place(self) -> tuple[str, str]:
        return self.row.get("budget") or "full", self.row.get("split") or "test"


def numbers(study: Study) -> dict[str, Number]:
    found: dict[str, Number] = {}
    for table, schema in TABLES.items():
        file = Path(study.results) / f"analysis/{table}.parquet"
        if file.is_file() or table in ("verdicts", "levels", "comparisons"):
            for number in of_table(study, table, read_table(file, schema)):
                found.setdefault(number.name, number)
    return found


def of_table(study: Study, table: str, rows: pl.DataFrame) -> Iterator[Number]:
    looks = table == "verdicts" and _has_looks(study)
    columns = [*(["estimate"] if "estimate" in rows.columns else []), *(() if looks else MORE.get(table, ()))]
    for row in rows.iter_rows(named=True):
        for column in columns:
            if row[column] is not None or column == "estimate":
                yield Number(name_of(table, row, column), table, row, column, looks)


def _has_looks(study: Study) -> bool:
    file = Path(study.results) / "analysis/looks.parquet"
    return file.is_file() and not read_table(file, LOOKS).is_empty()


def number_of(study: Study, name: str) -> Number:
    found = numbers(study)
    if name not in found:
        raise UserError(
            f"{name!r}: the report of {study.study} has no such number; {suggested(name, list(found))} forklock redo "
            "STUDY.yaml --list WORD shows those that a word is in."
        )
    return found[name]


def searched(study: Study, wanted: Sequence[str], everything: bool = False) -> list[Number]:
    """Those whose name, table or sentence holds all of the words; of parts of the problems only where that is asked."""
    found = []
    for number in numbers(study).values():
        said = f"{number.name} {number.table} {number.row.get('sentence') or ''}".lower()
        if all(word.lower() in said for word in wanted) and (everything or number.place == ("full", "test")):
            found.append(number)
    return found


def reported_row(study: Study, verdict: dict[str, Any]) -> dict[str, Any]:
    """The row of the comparisons that a verdict rests on."""
    rows = read_table(Path(study.results) / "analysis/comparisons.parquet", COMPARISONS)
    same = (
        "arm",
        "against",
        "comparison",
        "decode_id",
        "against_decode_id",
        "estimand",
        "claim",
        "estimate",
        "n",
        "method",
    )
    found = rows.filter(
        pl.col("training_seed").is_null(), pl.col("split") == "test", pl.col("percent").is_in([0, 100]),
        *(pl.col(name).eq_missing(pl.lit(verdict[name])) for name in same),
    ).sort(pl.col("budget") == "full", descending=True, maintain_order=True)  # fmt: skip
    if found.is_empty():
        raise UserError(
            f"{verdict['hypothesis']}: its row is not in analysis/comparisons.parquet ({words.HYPOTHESIS} of another run); "
            "run the study again, which makes both tables anew."
        )
    return found.row(0, named=True)
