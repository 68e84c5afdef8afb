"""Effects with the grader's errors taken out, and how often the grader erred. Answers, key and filled sheet in, CORRECTED
and GRADER_ERRORS out.

The audited rows say how far a person and the grader are apart in each stratum, and the strata's shares carry that to all
answers of a side (`statistics/stratified.py`). For one decode of several it is taken that the grader errs alike at all of
them within a stratum; for their mean nothing is.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from selfdistill.analysis.audit.sheet import NO, UNCLEAR, YES
from selfdistill.analysis.audit.strata import with_kinds
from selfdistill.analysis.differences import Difference, Row, estimated
from selfdistill.analysis.pairing import Comparison, paired_cells
from selfdistill.analysis.problem_means import Evaluations, family_codes, known, unit_of
from selfdistill.analysis.reported import reported_answers, reported_pairs, reported_split, sides_of
from selfdistill.statistics.clusters import Array
from selfdistill.statistics.intervals import wilson_interval
from selfdistill.statistics.stratified import (
    Correction,
    Stratum,
    combined_degrees_of_freedom,
    correction,
    half_width,
)
from selfdistill.study.evaluation import Evaluation
from selfdistill.tables import words
from selfdistill.tables.analysis import CORRECTED, GRADER_ERRORS
from selfdistill.tables.endings import CORRECT
from selfdistill.tables.schema import conform, empty_table


@dataclass(frozen=True)
class Audit:
    """All answers that are reported, by side, decode and kind, and what a person said of some of them."""

    answers: pl.DataFrame  # side, decode_id, kind, right (the grader's word): a row for each answer
    judged: pl.DataFrame  # side, kind, right, said: a row for each filled row of the sheet

    @classmethod
    def of(cls, graded: pl.DataFrame, evaluation: Evaluation, key: pl.DataFrame, said: pl.DataFrame) -> "Audit":
        answers = with_kinds(reported_answers(graded, evaluation)).select(
            "request_id", "side", "decode_id", "kind", (pl.col("verdict") == CORRECT).alias("right")
        )
        filled = said.select("row", pl.col("right").alias("said")).join(key.select("row", "request_id"), on="row")
        return cls(answers, filled.join(answers, on="request_id", maintain_order="left"))

    def strata(self, side: str, decode: str = words.EVERY_DECODE) -> list[Stratum]:
        of_side = self.answers.filter(
            (pl.col("side") == side) & ((pl.col("decode_id") == decode) | (decode == words.EVERY_DECODE))
        )
        everywhere = self.answers.filter(pl.col("side") == side)
        found = []
        for kind in words.KINDS:
            here, population = of_side.filter(pl.col("kind") == kind), everywhere.filter(pl.col("kind") == kind)
            if here.is_empty():
                continue
            judged = self.judged.filter((pl.col("side") == side) & (pl.col("kind") == kind))
            credited = float(population["right"].cast(pl.Float64).mean())  # type: ignore[arg-type]
            found.append(
                Stratum(
                    share=here.height / of_side.height,
                    # One decode's answers are not all that were drawn from: no stratum is audited whole then.
                    population=population.height if decode == words.EVERY_DECODE else 2**62,
                    errors=_errors(judged),
                    lowest=-credited,
                    highest=1 - credited,
                    unclear=int((judged["said"] == UNCLEAR).sum()),
                    usual_variance=self._usual_variance(kind),
                )
            )
        return found

    def _usual_variance(self, kind: str) -> float:
        errors = _errors(self.judged.filter(pl.col("kind") == kind))
        return float(errors.var(ddof=1)) if len(errors) > 1 else 0.0


def _errors(judged: pl.DataFrame) -> Array:
    """Person − grader of the rows with a yes or a no."""
    decided = judged.filter(pl.col("said").is_in([YES, NO]))
    return (decided["said"] == YES).to_numpy().astype(float) - decided["right"].to_numpy().astype(float)


def grader_errors(audit: Audit) -> pl.DataFrame:
    rows = []
    for side in sides_of(audit.answers):
        of_side = audit.answers.filter(pl.col("side") == side)
        for kind in words.KINDS:
            answers = int((of_side["kind"] == kind).sum())
            judged = audit.judged.filter((pl.col("side") == side) & (pl.col("kind") == kind))
            if answers:
                rows.append(
                    {
                        "side": side,
                        "kind": kind,
                        "answers": answers,
                        "share": answers / of_side.height,
                        **_rates(judged),
                    }
                )
    return conform(pl.DataFrame(rows, schema=GRADER_ERRORS), GRADER_ERRORS, "errors of the grader")


def _rates(judged: pl.DataFrame) -> Row:
    errors = _errors(judged)
    wrong = int((errors != 0).sum())
    interval = wilson_interval(wrong, len(errors))
    return {
        "audited": len(errors),
        "unclear": int((judged["said"] == UNCLEAR).sum()),
        "wrongly_credited": int((errors < 0).sum()),
        "wrongly_refused": int((errors > 0).sum()),
        "error_rate": wrong / len(errors) if len(errors) else None,
        "low": known(interval.low),
        "high": known(interval.high),
    }


def corrected_effects(graded: pl.DataFrame, evaluation: Evaluation, audit: Audit) -> pl.DataFrame:
    """Each finished arm against the base: over all its final decodes, and at each of them."""
    evaluations = Evaluations.of(graded, evaluation.sizes)
    by_arm: dict[str, list[Comparison]] = {}
    for comparison in reported_pairs(evaluations, evaluation, reported_split(graded)):
        by_arm.setdefault(comparison.side.arm, []).append(comparison)
    rows = []
    for comparisons in by_arm.values():
        differences = [_graded(evaluations, comparison) for comparison in comparisons]
        if len(comparisons) > 1:
            rows.append(_corrected(audit, comparisons[0], words.EVERY_DECODE, _mean_of(differences)))
        for comparison, difference in zip(comparisons, differences, strict=True):
            alone = len(comparisons) == 1
            rows.append(_corrected(audit, comparison, comparison.side.decode_id, difference, alone))
    return (
        conform(pl.DataFrame(rows, schema=CORRECTED), CORRECTED, "corrected effects")
        if rows
        else empty_table(CORRECTED)
    )


@dataclass(frozen=True)
class Graded:
    """Accuracy of the arm less that of the base, problem by problem, as the grader has it."""

    by_problem: Array
    families: Array
    unit: str
    problems: Array  # their ids, sorted


def _graded(evaluations: Evaluations, comparison: Comparison) -> Graded:
    mine, other = paired_cells(evaluations, comparison)
    change = mine[words.ACCURACY].to_numpy() - other[words.ACCURACY].to_numpy()
    return Graded(change, family_codes(mine), unit_of(mine), mine["problem_id"].to_numpy())


def _mean_of(differences: list[Graded]) -> Graded:
    """Over the problems that all decodes were asked at: with looks some stand further than others."""
    shared = set.intersection(*(set(difference.problems) for difference in differences))
    kept = [np.isin(difference.problems, sorted(shared)) for difference in differences]
    mean = np.mean([each.by_problem[keep] for each, keep in zip(differences, kept, strict=True)], axis=0)
    return Graded(mean, differences[0].families[kept[0]], differences[0].unit, differences[0].problems[kept[0]])


def _corrected(audit: Audit, comparison: Comparison, decode: str, graded: Graded, whole: bool = False) -> Row:
    row = estimated(
        Difference(words.ACCURACY, graded.by_problem, np.ones(len(graded.by_problem)), True),
        graded.families,
        graded.unit,
    )
    shown = words.EVERY_DECODE if whole else decode
    arm, base = (correction(audit.strata(side, shown)) for side in (comparison.side.arm, comparison.against.arm))
    audited = audit.judged.filter(
        pl.col("side").is_in([comparison.side.arm, comparison.against.arm]) & pl.col("said").is_in([YES, NO])
    ).height
    named = {
        "arm": comparison.side.arm,
        "against": comparison.against.arm,
        "decode_id": decode,
        "split": comparison.split,
        "budget": comparison.budget,
        "graded": row["estimate"],
        "graded_low": row["low"],
        "graded_high": row["high"],
        "audited": audited,
    }
    return dict.fromkeys(CORRECTED) | named | _interval(row, arm, base)


def _interval(graded: Mapping[str, float | None], arm: Correction, base: Correction) -> Row:
    """SE² is that of the paired graded difference and what the audit of either side adds."""
    error, effect = graded["standard_error"], graded["estimate"]
    if error is None or effect is None:
        return {}
    freedom = graded["degrees_of_freedom"]
    parts = [(error**2, math.inf if freedom is None else freedom), *arm.parts, *base.parts]
    variance = sum(part for part, _ in parts)
    degrees = combined_degrees_of_freedom(parts)
    half = half_width(variance, degrees)
    estimate = effect + arm.estimate - base.estimate
    worst, best = effect + arm.worst - base.best, effect + arm.best - base.worst
    nothing_found = arm.variance + base.variance == 0 and arm.estimate == base.estimate == 0
    return {
        "estimate": estimate,
        "low": graded["low"] if nothing_found else max(-1.0, estimate - half),
        "high": graded["high"] if nothing_found else min(1.0, estimate + half),
        "standard_error": math.sqrt(variance),
        "degrees_of_freedom": known(degrees),
        "worst": worst,
        "worst_low": max(-1.0, worst - half),
        "best": best,
        "best_high": min(1.0, best + half),
    }
