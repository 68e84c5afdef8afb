"""Where the error of each difference from the base comes from: a standard deviation for every level, and its part."""

import math
from typing import Any

import polars as pl

from selfdistill.foundation.wording import points
from selfdistill.reporting import formatting as fmt
from selfdistill.reporting.inputs import ReportInputs
from selfdistill.reporting.notes import decoding_rule
from selfdistill.reporting.numbers.names import numbered
from selfdistill.reporting.tables.table import Group, Row, Table
from selfdistill.tables import words

SHOWN = {words.ACCURACY: "accuracy", words.CUT_RATE: "cut rate"}
OF_PROBLEMS = (words.BETWEEN_PROBLEMS, words.WITHIN_FAMILIES, words.PROBLEM_BY_TRAINING)
OF_DRAWS = (words.BETWEEN_DRAWS, words.SHARED_NOISE, words.SHARED_BY_TRAININGS)

Parts = dict[tuple[str, str], dict[str, Any]]


def where_errors_come_from(inputs: ReportInputs) -> Table | None:
    """Of accuracy and cut rate, at each decode of the final evaluation."""
    if inputs.variance is None or inputs.variance.is_empty():
        return None
    table = inputs.variance.filter(pl.col("comparison") == words.MATCHED)
    groups = []
    for estimand, spoken in SHOWN.items():
        of_estimand = table.filter(pl.col("estimand") == estimand)
        for decode in of_estimand["decode_id"].unique(maintain_order=True).to_list():
            here = of_estimand.filter(pl.col("decode_id") == decode)
            rows = [_row(each) for each in here.partition_by("arm", "against", maintain_order=True)]
            groups.append(Group(rows, f"{spoken} at {decode}: {decoding_rule(inputs, decode)}"))
    columns = [
        "difference", "trainings, pp", "problems, pp", "problem by training, pp", "draws, pp", "draws of the other, pp",
        "correlation of draws", "error², trainings", "problems", "draws",
    ]  # fmt: skip
    return Table(
        "Where the error comes from",
        columns,
        groups,
        "analysis/variance.parquet",
        "Standard deviations in points, each of one unit: how much another training would move the whole difference, how much the "
        "true difference varies from problem to problem, how much a training does to one problem beside that, and how much "
        "another answer to the same problem varies. Brackets are 95 % intervals: chi-square for trainings, t over problems or "
        "their families for the others. By the method of moments, without bias: a star marks an estimate below 0, which is shown "
        "as 0, a dash what this study cannot tell. One training says nothing of trainings, one draw on both sides nothing of draws, "
        "which are then counted with the problems; † marks draws that are taken to be as the other side’s. Correlation of draws: of "
        "answers with the same random numbers, where base and arms share them. The last columns divide the squared standard error "
        "of this design, that of the method where there are several trainings: what is large there is worth more of its kind.",
    )


def _row(frame: pl.DataFrame) -> Row:
    parts: Parts = {(row["part"], row["of"]): row for row in frame.to_dicts()}
    first = frame.row(0, named=True)
    mine, other = (parts[words.BETWEEN_DRAWS, of] for of in (words.THE_ARM, words.OF_THE_OTHER))
    label = first["arm"] if first["against"] == "base" else f"{first['arm']} against {first['against']}"
    return Row([
        label,
        _deviation(parts[words.BETWEEN_TRAININGS, words.THE_ARM]),
        _deviation(parts[words.BETWEEN_PROBLEMS, words.OF_BOTH]),
        _deviation(parts[words.PROBLEM_BY_TRAINING, words.THE_ARM]),
        _deviation(mine),
        _deviation(other),
        _correlation(parts[words.SHARED_NOISE, words.OF_BOTH]["variance"], mine["variance"], other["variance"]),
        *_shares(parts),
    ])  # fmt: skip


def _deviation(part: dict[str, Any]) -> str:
    variance = part["variance"]
    if variance is None or part["how"] == words.NOT_TRAINED:
        return fmt.MISSING
    low, high = (None if end is None else math.sqrt(max(0.0, end)) for end in (part["low"], part["high"]))
    mark = "*" if variance < 0 else "†" if part["how"] == words.ASSUMED_LIKE_THE_OTHER else ""
    shown = points(math.sqrt(max(0.0, variance)), signed=False)
    cell = f"{shown}{mark} {fmt.interval(low, high, digits=1, scale=100)}".strip()
    return numbered(cell, "variance", part, "variance")


def _correlation(covariance: float | None, mine: float | None, other: float | None) -> str:
    if covariance is None or not mine or not other or mine * other <= 0:
        return fmt.MISSING
    return fmt.number(covariance / math.sqrt(mine * other), 2)


def _shares(parts: Parts) -> list[str]:
    """Of trainings, problems and draws in the squared standard error."""

    def adds(*names: str) -> float:
        return sum(row["adds"] or 0.0 for (name, _), row in parts.items() if name in names)

    trainings = max(0.0, adds(words.BETWEEN_TRAININGS))
    amounts = [trainings, adds(*OF_PROBLEMS), adds(*OF_DRAWS)]
    whole = sum(amounts)
    told = any(name == words.BETWEEN_TRAININGS and row["variance"] for (name, _), row in parts.items())
    shares = [fmt.percent(amount / whole, 0) if whole > 0 else fmt.MISSING for amount in amounts]
    return [shares[0] if told else fmt.MISSING, *shares[1:]]
