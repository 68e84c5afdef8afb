"""Which answers a person judges: a stratified sample, drawn by the study's seed. Graded answers in, AUDIT_KEY out.

A stratum is one side (the base, or a finished arm with all its trainings) and what the grader made of the answer. Answers
that were cut or are not in the asked format are in none: they are wrong by the study's rule, whoever reads them.
"""

import hashlib
import math
from collections.abc import Mapping

import polars as pl

from selfdistill.analysis.reported import reported_answers, sides_of
from selfdistill.study.evaluation import Evaluation
from selfdistill.tables import words
from selfdistill.tables.analysis import AUDIT_KEY
from selfdistill.tables.endings import CORRECT, UNDECIDED, UNPARSED, WRONG
from selfdistill.tables.schema import conform, empty_table

# What was read of the answer by the grader. Tables of its first version lack `disputed`: nothing is disputed there.
NEEDED_TOO = ("request_id", "reason", "disputed")
FEWEST = 5  # rows of a stratum, where it has them
# How far a person and the grader are expected apart (standard deviation): what is disputed or unread is worth most rows.
EXPECTED = {words.DISPUTED: 0.5, words.CREDITED: 0.15, words.REFUSED: 0.15, words.NOT_READ: 0.3}

Stratum = tuple[str, str]  # side and kind


def with_kinds(answers: pl.DataFrame) -> pl.DataFrame:
    """What the grader made of each answer; null where there was none to judge."""
    answered = pl.col("verdict").is_in([CORRECT, WRONG])
    return answers.with_columns(
        pl.when(~answered).then(None)
        .when(pl.col("disputed").fill_null(False)).then(pl.lit(words.DISPUTED))
        .when(pl.col("reason").is_in([UNPARSED, *UNDECIDED])).then(pl.lit(words.NOT_READ))
        .when(pl.col("verdict") == CORRECT).then(pl.lit(words.CREDITED))
        .otherwise(pl.lit(words.REFUSED)).alias("kind")
    )  # fmt: skip


def draw_sample(graded: pl.DataFrame, evaluation: Evaluation, seed: int) -> pl.DataFrame:
    """The key of the sheet, in the sheet's order, which says nothing of the strata; empty where no model gave an answer."""
    answers = with_kinds(reported_answers(graded, evaluation)).drop_nulls("kind")
    sizes = {(side, kind): n for side, kind, n in answers.group_by("side", "kind").len().rows()}
    if not sizes:
        return empty_table(AUDIT_KEY)
    wanted = allocation(sizes, evaluation.audit.rows)
    rows = [
        {
            "row": _row_name(seed, request),
            "request_id": request,
            "side": side,
            "kind": kind,
            "answers": sizes[side, kind],
            "weight": sizes[side, kind] / wanted[side, kind],
        }
        for (side, kind), n in wanted.items()
        if n
        for request in _first(answers.filter((pl.col("side") == side) & (pl.col("kind") == kind)), seed, n)
    ]
    return conform(pl.DataFrame(rows).sort("row"), AUDIT_KEY, "audit key")


def _first(answers: pl.DataFrame, seed: int, n: int) -> list[str]:
    """By a hash of the name, so that most of a sample stays where a study grows."""
    return sorted(answers["request_id"], key=lambda request: _hash(seed, "drawn", request))[:n]


def _row_name(seed: int, request: str) -> str:
    """No number, which a spreadsheet would write anew. Another hash than that of the draw: the rows are sorted by it."""
    return f"r{_hash(seed, 'shown', request)[:11]}"


def _hash(seed: int, use: str, request: str) -> str:
    return hashlib.sha256(f"audit {use} {seed} {request}".encode()).hexdigest()


def allocation(sizes: Mapping[Stratum, int], rows: int) -> dict[Stratum, int]:
    """Rows of each stratum: first the fewest of each, and of the disputed half a side's rows; what is left goes where it
    lowers most the sum of the variances of the corrected effects (Neyman), the base being in every one of them."""
    sides = sides_of(pl.DataFrame({"side": [side for side, _ in sizes]}))
    answers = {side: sum(n for (other, _), n in sizes.items() if other == side) for side in sides}
    comparisons = {side: max(1, len(sides) - 1) if side == "base" else 1 for side in sides}
    half = rows // (2 * len(sides))
    least = {
        stratum: min(n, max(half, FEWEST) if stratum[1] == words.DISPUTED else FEWEST) for stratum, n in sizes.items()
    }
    given = dict.fromkeys(sizes, 0)

    def gain(stratum: Stratum) -> tuple[bool, float]:
        side, kind = stratum
        n = given[stratum]
        spread = comparisons[side] * (sizes[stratum] / answers[side] * EXPECTED[kind]) ** 2
        return n < least[stratum], -n if n < least[stratum] else spread / (n * (n + 1)) if n else math.inf

    for _ in range(min(rows, sum(sizes.values()))):
        given[max((stratum for stratum in sizes if given[stratum] < sizes[stratum]), key=gain)] += 1
    return given
