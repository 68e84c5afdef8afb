"""Is a gain more than finishing more often? Where a difference from the base comes from, and what the token cap does."""

from collections.abc import Callable
from typing import Any

import polars as pl

from selfdistill.reporting import formatting as fmt
from selfdistill.reporting.inputs import ReportInputs, arm_names
from selfdistill.reporting.notes import n_counts
from selfdistill.reporting.numbers.names import numbered
from selfdistill.reporting.select import decodes_at_the_end, there
from selfdistill.reporting.tables.table import Group, Row, Table
from selfdistill.reporting.truncation import bounds_in_words, compared_row, outer_bounds, truncation_row
from selfdistill.tables import words
from selfdistill.tables.analysis import TRUNCATION


def parts_of_differences(inputs: ReportInputs) -> Table | None:
    """Each difference in accuracy, its two parts, and its bounds."""

    def cells(arm: str, decode: str) -> list[str]:
        bounds = outer_bounds(inputs, arm, decode)
        return [
            *(
                _points("truncation", truncation_row(inputs, estimand, arm, decode))
                for estimand in (words.ACCURACY, words.BY_FINISHING, words.WHEN_IT_FINISHED)
            ),
            bounds_in_words(*bounds) if bounds else fmt.MISSING,
        ]

    return _by_decode(
        inputs,
        "Where each difference from the base comes from, at the same decode, in percentage points",
        ["arm", "accuracy", "from finishing more often", "from being right more often when finished", "if nothing is assumed"],
        cells,
        "The second and the third column add up to the first, but for rounding. From finishing more often: the difference in "
        "the share of finished answers, times how often a finished one is right (the mean of both sides). From being right more "
        "often when finished: the difference in that, times the share that finishes (the mean of both sides). If nothing is "
        "assumed: the difference if every cut answer of the base had been right and none of the arm’s, to the difference if "
        "it had been the other way round; its bracket reaches from the lower end of the first one’s interval to the upper end of "
        "the second’s. Brackets are 95 % intervals over problems or their families, for these checkpoints; they are not adjusted "
        "for the number of arms.",
    )  # fmt: skip


def rates_and_lengths(inputs: ReportInputs) -> Table | None:
    """How much more or less is cut, and how long answers are."""

    def cells(arm: str, decode: str) -> list[str]:
        tokens = compared_row(inputs, words.MEAN_TOKENS, arm, decode)
        ends = fmt.interval(tokens.get("low"), tokens.get("high"), 0, signed=True)
        return [
            *(
                _points("comparisons", compared_row(inputs, estimand, arm, decode))
                for estimand in (words.CUT_RATE, words.LOOP_RATE, words.WHEN_BOTH_FINISHED)
            ),
            numbered(f"{fmt.number(tokens.get('estimate'), 0, signed=True)} {ends}".strip(), "comparisons", tokens),
            *(_median(truncation_row(inputs, words.MEDIAN_TOKENS, whose, decode)) for whose in (arm, "base")),
        ]

    columns = [
        "arm",
        "cut rate",
        "loop rate",
        "accuracy where both finished",
        "mean tokens",
        "median",
        "median of the base",
    ]
    return _by_decode(
        inputs,
        "What the token cap does: differences from the base at the same decode, in percentage points (tokens in tokens)",
        columns,
        cells,
        "“Where both finished” compares only answers that finished on both sides, which is itself a selection. Mean tokens "
        "count a cut answer with the tokens it had; the median is the token by which half of all answers had finished, and "
        "is missing where fewer did. Brackets are 95 % intervals.",
        "analysis/comparisons.parquet",
    )


def gains_by_base_answer(inputs: ReportInputs) -> Table | None:
    """Where the arms gain, by how another answer of the base to the same problem ended."""

    def cells(arm: str, decode: str) -> list[str]:
        found = []
        for base_answer in words.BASE_ANSWERS:
            gain = truncation_row(inputs, words.GAIN_WHERE, arm, decode, base_answer)
            part = truncation_row(inputs, words.PART_WHERE, arm, decode, base_answer)
            found += [_points("truncation", gain), numbered(fmt.points(part.get("estimate")), "truncation", part)]
        return found

    def title(decode: str) -> str:
        shares = [
            f"{fmt.percent(row.get('estimate'))} {base_answer.replace('was ', '')}"
            for base_answer in words.BASE_ANSWERS
            for row in _any_arm(inputs, words.SHARE_WHERE, decode, base_answer)
        ]
        return f"at {decode}; of the base’s answers {', '.join(shares)}"

    if there(inputs.truncation, TRUNCATION)["base_answer"].null_count() == there(inputs.truncation, TRUNCATION).height:
        return None
    columns = ["arm"]
    for base_answer in words.BASE_ANSWERS:
        columns += [f"where the base {base_answer}", "part of the whole"]
    return _by_decode(
        inputs,
        "Gains in accuracy by how the base ended, in percentage points",
        columns,
        cells,
        "One answer of the base says how it ended on a problem; only its other answers to that problem are compared with the "
        "arm’s, and each answer takes its turn. A gain here is no regression to the mean: answers that say where the base "
        "failed would otherwise show a gain for a model that is equal to it. So a column speaks of problems on which the base "
        "tends to end that way, not of single answers. Part of the whole: the gain times how often the base ends that way. "
        "Brackets are 95 % intervals over problems or their families.",
        title=title,
    )


def _any_arm(inputs: ReportInputs, estimand: str, decode: str, base_answer: str) -> list[dict[str, Any]]:
    rows = (truncation_row(inputs, estimand, arm, decode, base_answer) for arm in arm_names(inputs.study))
    return [row for row in rows if row][:1]


def _points(table: str, row: dict[str, Any]) -> str:
    return numbered(fmt.points_with_interval(row), table, row)


def _median(row: dict[str, Any]) -> str:
    if row.get("estimate") is None:
        return fmt.MISSING
    ends = fmt.interval(row.get("low"), row.get("high"), 0)
    return numbered(f"{fmt.count(row.get('estimate'))} {ends}".strip(), "truncation", row)


def _by_decode(
    inputs: ReportInputs,
    caption: str,
    columns: list[str],
    cells: Callable[[str, str], list[str]],
    note: str,
    source: str = "analysis/truncation.parquet",
    title: Callable[[str], str] = "at {}".format,
) -> Table | None:
    """A group for each decode of the final evaluation, in it a row for each arm that was compared with the base."""
    compared = there(inputs.truncation, TRUNCATION).filter(
        pl.col("against").is_not_null() & (pl.col("estimand") == words.ACCURACY)
    )
    there_are = set(compared.select("arm", "decode_id").iter_rows())
    groups = [
        Group(
            [Row([arm, *cells(arm, decode)]) for arm in arm_names(inputs.study) if (arm, decode) in there_are],
            title(decode),
        )
        for decode in decodes_at_the_end(inputs) or compared["decode_id"].unique(maintain_order=True).to_list()
    ]
    groups = [group for group in groups if group.rows]
    return Table(caption, columns, groups, source, f"{note} {n_counts(compared)}") if groups else None
