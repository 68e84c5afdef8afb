"""Was the grader right? What it could not judge or judged two ways, by arm, and what hangs on it. Graded answers in, GRADER out.

An error that meets all models alike shifts their levels. One that meets the arm more often than the base, because training
changed how answers are written, shifts the effect: hence paired differences of every rate, and bounds of the effect.
"""

from collections.abc import Iterator, Mapping

import numpy as np
import polars as pl

from selfdistill.analysis.differences import Difference, Row, estimated
from selfdistill.analysis.pairing import Comparison, paired_cells
from selfdistill.analysis.problem_means import Evaluations, family_codes, unit_of, with_means
from selfdistill.analysis.reported import reported_pairs, reported_split
from selfdistill.statistics.clusters import Array
from selfdistill.study.evaluation import Evaluation
from selfdistill.tables import words
from selfdistill.tables.analysis import GRADER
from selfdistill.tables.endings import CORRECT, NO_ANSWER, UNDECIDED, UNPARSED, Reading
from selfdistill.tables.schema import conform

SAYS_EQUAL: Reading = "equal"
DISPUTED = pl.col("disputed").fill_null(False)
RIGHT = pl.col("verdict") == CORRECT
# Shares of a problem's answers that the means by problem lack.
MEANS = {
    words.UNREAD_RATE: pl.col("reason") == UNPARSED,
    words.TIMED_OUT_RATE: pl.col("reason").is_in(UNDECIDED),
    words.DISPUTED_RATE: DISPUTED,
    words.NO_ANSWER_RATE: pl.col("finish_class") == NO_ANSWER,
    "credited_in_dispute": DISPUTED & RIGHT,
    "refused_in_dispute": DISPUTED & ~RIGHT,
    "right_if_lenient": pl.when(DISPUTED).then(pl.col("lenient") == SAYS_EQUAL).otherwise(RIGHT),
}


def grader_panel(graded: pl.DataFrame, evaluation: Evaluation) -> pl.DataFrame:
    """Every finished arm against the base at each final decode: the grader's rates, and bounds of the effect on accuracy."""
    evaluations = with_means(Evaluations.of(graded, evaluation.sizes), graded, MEANS)
    rows = [
        row
        for comparison in reported_pairs(evaluations, evaluation, reported_split(graded))
        for row in _rows(evaluations, comparison)
    ]
    return conform(pl.DataFrame(rows, schema=GRADER), GRADER, "panel of the grader")


def _rows(evaluations: Evaluations, comparison: Comparison) -> Iterator[Row]:
    mine, other = paired_cells(evaluations, comparison)
    if mine.is_empty():
        return
    side, against = comparison.side, comparison.against
    a, b = ({name: cell[name].to_numpy() for name in (words.ACCURACY, *MEANS)} for cell in (mine, other))
    named = dict.fromkeys(GRADER) | {
        "model_id": side.model_id, "arm": side.arm, "percent": side.percent, "decode_id": side.decode_id,
        "against": against.arm, "against_decode_id": against.decode_id, "split": comparison.split,
        "budget": comparison.budget, "comparison": comparison.kind, "claim": words.CHECKPOINTS,
        "training_seeds": len(side.training_seeds),
    }  # fmt: skip
    for estimand, (one, two) in _estimands(a, b).items():
        difference = Difference(estimand, one - two, np.ones(len(one)), is_share=True)
        row = named | estimated(difference, family_codes(mine), unit_of(mine)) | {"estimand": estimand}
        row |= {"level": float(one.mean()), "against_level": float(two.mean())}
        yield {name: row[name] for name in GRADER}


def _estimands(a: Mapping[str, Array], b: Mapping[str, Array]) -> dict[str, tuple[Array, Array]]:
    """Both sides of each, by problem. Against the arm: what the grader credits of it in dispute is taken from it, and what
    it refuses of the base is given to that; for the arm, the reverse."""
    right = words.ACCURACY
    return {rate: (a[rate], b[rate]) for rate in words.GRADER_RATES} | {
        right: (a[right], b[right]),
        words.DISPUTES_AGAINST: (a[right] - a["credited_in_dispute"], b[right] + b["refused_in_dispute"]),
        words.DISPUTES_FOR: (a[right] + a["refused_in_dispute"], b[right] - b["credited_in_dispute"]),
        words.IF_LENIENT: (a["right_if_lenient"], b["right_if_lenient"]),
    }
