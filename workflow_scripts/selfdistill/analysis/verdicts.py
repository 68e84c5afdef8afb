"""The answers: one verdict per hypothesis of the analysis plan, and per control, from the table of comparisons.

"improved" and "worse" need Holm's adjusted p below 5 % within the hypothesis's family; "equivalent within the margin" needs
both one-sided tests (TOST), adjusted alike; "not worse by the margin" is the answer to a question of non-inferiority; all
else is "not resolved", never "no effect". Where both sides are right so seldom, or so nearly always, that a difference of
the margin could not have shown, the verdict is "not measurable". Verdicts rest on the test split, the widest budget and,
for trained arms, the end of training, and say whether they speak of these checkpoints or of the method.
"""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import polars as pl

from selfdistill.analysis.differences import judged_of
from selfdistill.analysis.looks import Schedule, as_closed, judged, with_looks
from selfdistill.analysis.problem_means import known
from selfdistill.analysis.sentences import estimand_line, sentence
from selfdistill.foundation.errors import UserError
from selfdistill.statistics.multiplicity import ALPHA, holm
from selfdistill.study.arms import Arm
from selfdistill.study.evaluation import Hypothesis
from selfdistill.study.sampling import Decode
from selfdistill.tables import words
from selfdistill.tables.analysis import LOOKS, VERDICTS
from selfdistill.tables.schema import conform

CONTROL_MARGIN = 0.05  # where no hypothesis names one

OUTCOMES = {"tokens": words.MEAN_TOKENS}  # named otherwise in a study than in the tables

# What a rise is called, then a fall; the first is better, but of tokens neither is.
CALLED = {
    words.CUT_RATE: (words.WORSE, words.IMPROVED),
    words.LOOP_RATE: (words.WORSE, words.IMPROVED),
    words.MEAN_TOKENS: (words.HIGHER, words.LOWER),
}

Row = dict[str, Any]


def verdicts(
    comparisons: pl.DataFrame,
    hypotheses: Mapping[str, Hypothesis],
    arms: Mapping[str, Arm],
    decodes: Mapping[str, Decode],
) -> pl.DataFrame:
    """COMPARISONS in, VERDICTS out: the hypotheses in the order of the study file, then the controls."""
    return verdicts_at(None, comparisons, hypotheses, arms, decodes)[0]


def verdicts_at(
    looks: Schedule | None,
    comparisons: pl.DataFrame,
    hypotheses: Mapping[str, Hypothesis],
    arms: Mapping[str, Arm],
    decodes: Mapping[str, Decode],
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """VERDICTS and LOOKS at the present look of a study that has some; without, the second has no rows."""
    final = _final_rows(comparisons)
    rows: list[Row] = [
        _row_of(name, hypothesis, final)
        | {"hypothesis": name, "role": words.HYPOTHESIS, "family": hypothesis.family}
        | {"margin": hypothesis.margin, "question": hypothesis.question}
        for name, hypothesis in hypotheses.items()
    ]
    of_accuracy = [each.margin for each in hypotheses.values() if each.outcome == words.ACCURACY]
    margin = min(of_accuracy, default=CONTROL_MARGIN)
    rows += [row | {"margin": margin, "question": "different"} for row in _controls(final, arms)]
    for row in rows:
        row |= _tested(row)
    rows = rows if looks is None else with_looks(rows, looks)
    of_looks = "" if looks is None else "_of_looks"
    for column, adjusted in (
        (f"p{of_looks or '_value'}", "p_adjusted"),
        (f"equivalence_p{of_looks}", "equivalence_p_adjusted"),
    ):
        _adjust_within_families(rows, column, adjusted, looks)
    for row in rows:
        row["verdict"] = verdict(row)
        row["sentence"] = sentence(row)
        row["estimand_line"] = estimand_line(row, decodes)
    rows = rows if looks is None else as_closed(rows, looks)
    frame = pl.DataFrame([{column: row.get(column) for column in VERDICTS} for row in rows], schema=VERDICTS)
    table = pl.DataFrame(schema=LOOKS) if looks is None else judged(rows, looks)
    return conform(frame, VERDICTS, "verdicts"), table


def verdict(row: Row) -> str:
    found = _found(row)
    return words.NOT_MEASURABLE if found not in (words.IMPROVED, words.WORSE) and unmeasurable(row) else found


def _found(row: Row) -> str:
    estimate, p, equivalence = row["estimate"], row["p_adjusted"], row["equivalence_p_adjusted"]
    if row["question"] == "not_worse":
        return words.NOT_WORSE if p is not None and p < ALPHA else words.NOT_RESOLVED
    if estimate is not None and p is not None and p < ALPHA:
        rise, fall = CALLED.get(row["estimand"], (words.IMPROVED, words.WORSE))
        return rise if estimate > 0 else fall
    return words.EQUIVALENT if equivalence is not None and equivalence < ALPHA else words.NOT_RESOLVED


def unmeasurable(row: Row) -> bool:
    """Both sides so near 0, or so near 1, that one could not lie the margin below, or above, the other."""
    levels = [row["level"], row["against_level"]]
    if row["estimand"] not in (words.ACCURACY, words.WHEN_BOTH_FINISHED) or None in levels:
        return row["estimate"] is None
    return max(levels) < row["margin"] or min(levels) > 1 - row["margin"]


def _final_rows(comparisons: pl.DataFrame) -> pl.DataFrame:
    """Of each comparison the rows over all trainings on test at the widest budget, the strongest claim first."""
    here = comparisons.filter(
        (pl.col("split") == "test") & pl.col("training_seed").is_null() & pl.col("percent").is_in([0, 100])
    )
    compared = ("arm", "against", "comparison", "decode_id", "against_decode_id", "estimand")
    widest = here.sort((pl.col("budget") == "full"), descending=True, maintain_order=True)
    widest = widest.sort("n", descending=True, maintain_order=True)
    of_budget = widest.unique([*compared], keep="first", maintain_order=True).select(*compared, "budget")
    found = here.join(of_budget, on=[*compared, "budget"], how="semi", maintain_order="left")
    return found.sort("leads", descending=True, maintain_order=True)


def _row_of(name: str, hypothesis: Hypothesis, final: pl.DataFrame) -> Row:
    wanted = (
        (pl.col("arm") == hypothesis.arm)
        & (pl.col("against") == hypothesis.against)
        & (pl.col("comparison") == hypothesis.comparison)
        & (pl.col("estimand") == OUTCOMES.get(hypothesis.outcome, hypothesis.outcome))
    )
    if hypothesis.decode is not None:
        wanted = wanted & (pl.col("decode_id") == hypothesis.decode)
    if hypothesis.claim != "strongest":
        wanted = wanted & (
            pl.col("claim") == {"method": words.METHOD, "checkpoints": words.CHECKPOINTS}[hypothesis.claim]
        )
    found = final.filter(wanted)
    if found.is_empty():
        raise UserError(
            f"hypotheses.{name}: {hypothesis.arm} was not compared with {hypothesis.against} "
            f"({hypothesis.comparison}{', ' + hypothesis.decode if hypothesis.decode else ''}) on any test problem; "
            "evaluate both at that decode (evaluation.decodes.final); if no problem is left for test, lower problems.dev_share."
        )
    return found.row(0, named=True)


def _controls(final: pl.DataFrame, arms: Mapping[str, Arm]) -> Iterator[Row]:
    """The base sampled anew against the base: whatever is found there is not an effect of training."""
    of_accuracy = final.filter((pl.col("estimand") == words.ACCURACY) & (pl.col("against") == "base"))
    for arm in [name for name, settings in arms.items() if settings.resample]:
        for kind in (words.MATCHED, words.FAIR):
            of_arm = of_accuracy.filter((pl.col("arm") == arm) & (pl.col("comparison") == kind))
            for found in of_arm.sort("decode_id").iter_rows(named=True):
                named = found["decode_id"] if kind == words.MATCHED else words.FAIR
                yield found | {"hypothesis": f"{arm}-{named}", "role": words.CONTROL, "family": words.CONTROL}


def _tested(row: Row) -> Row:
    """p of the question that the hypothesis asks, and of equivalence."""
    if row["estimate"] is None:
        return {"equivalence_p": None}
    judged, margin = judged_of(row), row["margin"]
    tested = {"equivalence_p": known(judged.equivalence_p(margin))}
    if row["question"] == "not_worse":
        is_better_when_higher = CALLED.get(row["estimand"], (words.IMPROVED,))[0] == words.IMPROVED
        one_sided = judged.p_above(-margin) if is_better_when_higher else judged.p_below(margin)
        tested["p_value"] = known(min(1.0, 2 * one_sided))  # the worse end of the 95 % interval lies within the margin
    return tested


def _adjust_within_families(rows: list[Row], column: str, adjusted: str, looks: Schedule | None) -> None:
    """Holm's p, and what can be detected at the level that the smallest p of the family must beat, at this look."""
    for role_and_family in dict.fromkeys((row["role"], row["family"]) for row in rows):
        family = [row for row in rows if (row["role"], row["family"]) == role_and_family]
        p_values = [math.nan if row[column] is None else row[column] for row in family]
        for row, p in zip(family, holm(p_values), strict=True):
            row[adjusted] = known(p)
            row["alpha"] = ALPHA / len(family)
            if row["estimate"] is not None:
                level = row["alpha"] if looks is None else 2 * looks.bar(row["alpha"] / 2)
                row["mde80"] = known(judged_of(row).detectable(level))
