"""The answers: one verdict per hypothesis of the analysis plan, and per control, from the table of comparisons.

A verdict is one of four words. "improved" and "worse" need Holm's adjusted p below 5 % within the hypothesis's
family; "equivalent within the margin" needs both one-sided tests (TOST), adjusted alike; all else is "not resolved",
never "no effect". Verdicts rest on the test split, the widest budget and, for trained arms, the end of training.
"""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import polars as pl

from selfdistill.analysis.looks import Schedule, as_closed, judged, with_looks
from selfdistill.analysis.problem_means import known
from selfdistill.foundation.errors import UserError
from selfdistill.foundation.wording import count, decode_in_words, points, several
from selfdistill.statistics.clusters import ClusterMean
from selfdistill.statistics.equivalence import equivalence_p
from selfdistill.statistics.multiplicity import holm
from selfdistill.statistics.power import clusters_needed
from selfdistill.study.arms import Arm
from selfdistill.study.evaluation import Hypothesis
from selfdistill.study.sampling import Decode
from selfdistill.tables import words
from selfdistill.tables.analysis import LOOKS, VERDICTS
from selfdistill.tables.schema import conform

ALPHA = 0.05
CONTROL_MARGIN = 0.05  # where no hypothesis names one

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
    lead = _lead_rows(comparisons)
    rows: list[Row] = [
        {"hypothesis": name, "role": words.HYPOTHESIS, "family": hypothesis.family}
        | _judged(_row_of(name, hypothesis, lead), hypothesis.margin)
        for name, hypothesis in hypotheses.items()
    ]
    margin = min((hypothesis.margin for hypothesis in hypotheses.values()), default=CONTROL_MARGIN)
    rows += [row | _judged(found, margin) for row, found in _controls(lead, arms)]
    of_looks = "" if looks is None else "_of_looks"
    rows = rows if looks is None else with_looks(rows, looks)
    for column, adjusted in (
        (f"p{of_looks or '_value'}", "p_adjusted"),
        (f"equivalence_p{of_looks}", "equivalence_p_adjusted"),
    ):
        _adjust_within_families(rows, column, adjusted)
    for row in rows:
        row["verdict"] = verdict(row["estimate"], row["p_adjusted"], row["equivalence_p_adjusted"])
        row["sentence"] = sentence(row)
        row["estimand_line"] = estimand_line(row, decodes)
    rows = rows if looks is None else as_closed(rows, looks)
    frame = pl.DataFrame([{column: row[column] for column in VERDICTS} for row in rows], schema=VERDICTS)
    table = pl.DataFrame(schema=LOOKS) if looks is None else judged(rows, looks)
    return conform(frame, VERDICTS, "verdicts"), table


def verdict(estimate: float | None, p_adjusted: float | None, equivalence_p_adjusted: float | None) -> str:
    if estimate is not None and p_adjusted is not None and p_adjusted < ALPHA:
        return words.IMPROVED if estimate > 0 else words.WORSE
    if equivalence_p_adjusted is not None and equivalence_p_adjusted < ALPHA:
        return words.EQUIVALENT
    return words.NOT_RESOLVED


def _lead_rows(comparisons: pl.DataFrame) -> pl.DataFrame:
    """Of each comparison the pooled paired-t row of the accuracy difference on test at the widest budget."""
    return (
        comparisons.filter(
            (pl.col("estimand") == words.ACCURACY)
            & (pl.col("method") == words.LEAD)
            & (pl.col("split") == "test")
            & pl.col("training_seed").is_null()
            & pl.col("percent").is_in([0, 100])
        )
        .with_columns((pl.col("budget") == "full").alias("is_full"))
        .sort("n", "is_full", descending=True, maintain_order=True)
        .unique(["arm", "against", "comparison", "decode_id", "against_decode_id"], keep="first", maintain_order=True)
    )


def _row_of(name: str, hypothesis: Hypothesis, lead: pl.DataFrame) -> Row:
    wanted = (
        (pl.col("arm") == hypothesis.arm)
        & (pl.col("against") == hypothesis.against)
        & (pl.col("comparison") == hypothesis.comparison)
    )
    if hypothesis.decode is not None:
        wanted = wanted & (pl.col("decode_id") == hypothesis.decode)
    found = lead.filter(wanted)
    if found.is_empty():
        raise UserError(
            f"hypotheses.{name}: {hypothesis.arm} was not compared with {hypothesis.against} "
            f"({hypothesis.comparison}{', ' + hypothesis.decode if hypothesis.decode else ''}) on any test problem; "
            "evaluate both at that decode (evaluation.decodes.final); if no problem is left for test, lower problems.dev_share."
        )
    return found.row(0, named=True)


def _controls(lead: pl.DataFrame, arms: Mapping[str, Arm]) -> Iterator[tuple[Row, Row]]:
    """The base sampled anew against the base: whatever is found there is not an effect of training."""
    for arm in [name for name, settings in arms.items() if settings.resample]:
        of_arm = (pl.col("arm") == arm) & (pl.col("against") == "base") & (pl.col("comparison") == words.MATCHED)
        for found in lead.filter(of_arm).sort("decode_id").iter_rows(named=True):
            yield {"hypothesis": f"{arm}-{found['decode_id']}", "role": words.CONTROL, "family": words.CONTROL}, found


def _judged(found: Row, margin: float) -> Row:
    error = math.nan if found["standard_error"] is None else found["standard_error"]
    mean = ClusterMean(found["estimate"], error, found["n"])
    return found | {
        "margin": margin,
        "equivalence_p": known(equivalence_p(mean, margin)),
        "n_needed": clusters_needed(mean.estimate, mean),
    }


def _adjust_within_families(rows: list[Row], column: str, adjusted: str) -> None:
    for role_and_family in dict.fromkeys((row["role"], row["family"]) for row in rows):
        family = [row for row in rows if (row["role"], row["family"]) == role_and_family]
        p_values = [math.nan if row[column] is None else row[column] for row in family]
        for row, p in zip(family, holm(p_values), strict=True):
            row[adjusted] = known(p)


def sentence(row: Row) -> str:
    """The verdict for a reader who sees only this line."""
    sides = f"{row['arm']} against {row['against']} at {row['decode_id']}"
    if row["comparison"] == words.FAIR:
        sides = f"{row['arm']} at {row['decode_id']} against {row['against']} at {row['against_decode_id']}"
        sides += ", each side's best on dev"
    control = "Control (nothing was trained): " if row["role"] == words.CONTROL else ""
    return " ".join((f"{control}{sides}: {row['verdict']}.", _measured(row), *_beside(row)))


def _measured(row: Row) -> str:
    change = f"The difference in accuracy is {points(row['estimate'])} points"
    if row["low"] is None:
        return f"{change}, without an interval (a single {row['unit']})."
    interval = f"95 % interval {points(row['low'])} to {points(row['high'])}"
    adjusted = f", {row['p_adjusted']:.2g} after Holm" if row["p_adjusted"] is not None else ""
    return f"{change} ({interval}; p = {row['p_value']:.2g}{adjusted})."


def _beside(row: Row) -> Iterator[str]:
    """What keeps the verdict from being read as more than it is."""
    margin = f"{points(row['margin'], signed=False)} points"
    if row["verdict"] in (words.IMPROVED, words.WORSE) and abs(row["estimate"]) < row["margin"]:
        yield f"It is smaller than the margin of {margin}."
    if row["verdict"] == words.EQUIVALENT:
        yield f"It is smaller than {margin} in either direction (TOST p = {row['equivalence_p']:.2g})."
    if row["verdict"] == words.NOT_RESOLVED and row["mde80"] is not None:
        yield f"This study had 80 % power for a true difference of {points(row['mde80'], signed=False)} points."
        if row["n_needed"] is not None:
            needed = f"{count(row['n_needed'])} {several(row['unit'])}"
            yield f"It would take about {needed} to detect a difference of the size seen."


def estimand_line(row: Row, decodes: Mapping[str, Decode]) -> str:
    """What the number describes: population, training, decoding rule, token cap and how unfinished answers count."""
    units = "problems" if row["unit"] == words.PROBLEM else "families of problems"
    trained = {
        0: "Nothing was trained.",
        1: "One training seed: the number speaks of these two checkpoints, not of the method.",
    }.get(row["training_seeds"], f"The number is the mean over {row['training_seeds']} training seeds.")
    population = f"Population: problems like the {count(row['n'])} {units} of the test split. {trained}"
    sides = dict.fromkeys((row["decode_id"], row["against_decode_id"]))
    rules = "; ".join(
        f"{name}: {decode_in_words(decodes[name].model_dump(), 'temperature', 'capped at')}" for name in sides
    )
    choice = "the same on both sides" if row["comparison"] == words.MATCHED else "on each side the most accurate on dev"
    return f"{population} Decoding, {choice}: {rules}. Unfinished answers count as wrong."
