"""How much is doubted, how many times as much as by the base, by which words, and which words shift most."""

from collections.abc import Callable
from typing import Any

import polars as pl

from selfdistill.reporting import formatting as fmt
from selfdistill.reporting.doubt import (
    against_base,
    between_arms,
    compared_arms,
    compared_with_arms,
    compared_with_base,
    doubt_decode,
    doubt_decodes,
    doubt_rows,
    level,
    markers_counted,
    shift_of,
    shifts,
    times,
    times_of_shift,
)
from selfdistill.reporting.inputs import ReportInputs, arm_names
from selfdistill.reporting.notes import n_counts
from selfdistill.reporting.numbers.names import numbered
from selfdistill.reporting.tables.table import Group, Row, Table
from selfdistill.tables import words

MOST_WORDS = 8  # that fall, and that rise

LEVELS = {
    words.DOUBTS: "per answer",
    words.DOUBT_RATE: "per 1\u2009000 tokens",
    words.THOUGHT_DOUBT_RATE: "of the thought",
    words.LATER_DOUBT_RATE: "after the thought",
    words.SUBSTRINGS: "substrings, per answer",
}
RATIOS = {
    words.DOUBTS: "per answer",
    words.DOUBT_RATE: "per token",
    words.SAME_LENGTHS_RATE: "same lengths",
    words.FIRST_TOKENS_RATE: "first tokens",
    words.THOUGHT_DOUBT_RATE: "thought",
    words.LATER_DOUBT_RATE: "after it",
    words.SUBSTRING_RATE: "substrings per token",
}


def doubt_by_model(inputs: ReportInputs) -> Table | None:
    def cells(arm: str, decode: str) -> list[str]:
        return [_with_interval(level(inputs, arm, decode, estimand)) for estimand in LEVELS]

    rows = doubt_rows(inputs)
    there_are = set(rows.select("arm", "decode_id").iter_rows())
    return _by_decode(
        inputs,
        "Words of doubt that each model writes",
        ["arm", *LEVELS.values()],
        lambda decode: [arm for arm in arm_names(inputs.study) if (arm, decode) in there_are],
        cells,
        "analysis/doubt.parquet",
        "Whole words in any case. Of the thought and after the thought: per 1\u2009000 tokens there. Substrings per answer: as the "
        "paper counts, so that unlikely is doubt, too. Brackets are 95 % intervals over problems or their families, for these "
        f"checkpoints. {n_counts(rows)}",
    )


def doubt_against_base(inputs: ReportInputs) -> Table | None:
    rows = compared_with_base(inputs).filter(pl.col("scale") == words.RATIO, pl.col("estimate").is_not_null())

    def cells(arm: str, decode: str) -> list[str]:
        found = {estimand: against_base(inputs, arm, decode, estimand) for estimand in RATIOS}
        return [*map(_times, found.values()), fmt.p_value(found[words.DOUBT_RATE].get("p_adjusted"))]

    def arms(decode: str) -> list[str]:
        """Without those that cannot be compared: neither side doubts."""
        there_are = set(rows.filter(pl.col("decode_id") == decode)["arm"])
        return [arm for arm in compared_arms(inputs, decode) if arm in there_are]

    return _by_decode(
        inputs,
        "How many times as much doubt as the base at the same decode",
        ["arm", *RATIOS.values(), "p"],
        arms,
        cells,
        "analysis/doubt_ratios.parquet",
        f"1 is as much as the base. Same lengths: answers fall into bins by their length, and both sides count alike in each"
        f"{_matched(rows)}. First tokens: only the first{_first(rows)} tokens of each answer, which nine of ten answers of both "
        "sides have. Brackets are 95 % intervals of the strongest claim that the trainings allow (quasi-Poisson, jackknife over "
        "problems); a ratio without one rests on too few problems with doubt. p is of the ratio per token, adjusted "
        "(Benjamini–Hochberg) over all arms and decodes.",
    )


def _matched(rows: pl.DataFrame) -> str:
    shares = rows["matched"].drop_nulls()
    if shares.is_empty():
        return ""
    return f", which leaves {fmt.percent(shares.min(), 0)} of the answers or more"  # type: ignore[arg-type]


def _first(rows: pl.DataFrame) -> str:
    counts = rows["tokens"].drop_nulls().unique().sort().to_list()
    return f" {' or '.join(map(fmt.count, counts))}" if counts else ""


def doubt_between_arms(inputs: ReportInputs) -> Table | None:
    """Arms with arms, where a hypothesis asks."""
    rows = compared_with_arms(inputs).filter(pl.col("scale") == words.RATIO, pl.col("estimate").is_not_null())
    groups = []
    for decode in doubt_decodes(inputs):
        pairs = rows.filter(pl.col("decode_id") == decode).select("arm", "against").unique(maintain_order=True).rows()
        made = [Row([f"{arm} against {other}", *_of_two_arms(inputs, arm, other, decode)]) for arm, other in pairs]
        if made:
            groups.append(Group(made, f"at {decode}"))
    return (
        Table(
            "How many times as much doubt as another arm at the same decode",
            ["arms", *RATIOS.values(), "p"],
            groups,
            "analysis/doubt_ratios.parquet",
            f"Of the arms that a hypothesis sets against each other; 1 is as much. Same lengths{_matched(rows)}. First tokens: "
            f"the first{_first(rows)} tokens. Brackets and p are as those against the base.",
        )
        if groups
        else None
    )


def _of_two_arms(inputs: ReportInputs, arm: str, other: str, decode: str) -> list[str]:
    found = {estimand: between_arms(inputs, arm, other, decode, estimand) for estimand in RATIOS}
    return [*map(_times, found.values()), fmt.p_value(found[words.DOUBT_RATE].get("p_adjusted"))]


def _times(row: dict[str, Any]) -> str:
    return numbered(times(row), "doubt_ratios", row)


def doubt_by_word(inputs: ReportInputs) -> Table | None:
    """At the decode at which the base doubts most."""
    decode = doubt_decode(inputs)
    if decode is None:
        return None
    groups = []
    for arm in compared_arms(inputs, decode):
        rows = [Row([marker, *_of_word(inputs, arm, decode, marker)]) for marker in markers_counted(inputs)]
        rows = [row for row in rows if set(row.cells[1:3]) != {fmt.number(0.0)}]
        if rows:
            groups.append(Group(rows, arm))
    columns = ["word", "the base per 1\u2009000 tokens", words.THE_ARM, "ratio", "ratio of all other words of doubt"]
    return (
        Table(
            f"Which words of doubt, at {decode}",
            columns,
            groups,
            "analysis/doubt_ratios.parquet",
            "The last column leaves the word out: where it lies at 1, this word alone makes the difference. Words that neither side "
            "writes are left out. Brackets are 95 % intervals.",
        )
        if groups
        else None
    )


def _of_word(inputs: ReportInputs, arm: str, decode: str, marker: str) -> list[str]:
    alone = against_base(inputs, arm, decode, words.DOUBT_RATE, marker=marker)
    without = against_base(inputs, arm, decode, words.DOUBT_RATE, without=marker)
    return [fmt.number(alone.get("against_level")), fmt.number(alone.get("level")), _times(alone), _times(without)]


def markers_against_others(inputs: ReportInputs) -> Table | None:
    def cells(arm: str, decode: str) -> list[str]:
        found = [shift_of(inputs, arm, decode, kind) for kind in words.WORD_GROUPS]
        return [
            *(times_of_shift(row) for row in found),
            fmt.percent(found[0].get("place"), 0),
            fmt.count(found[1].get("words")),
        ]

    return _by_decode(
        inputs,
        "Words of doubt beside the base’s other words: how many times as often as the base",
        [
            "arm",
            words.ALL_MARKERS,
            words.ALL_OTHERS,
            "the one over the other",
            "others that shift less",
            "other words there are",
        ],
        lambda decode: [arm for arm in arm_names(inputs.study) if shift_of(inputs, arm, decode, words.ALL_MARKERS)],
        cells,
        "analysis/word_shift.parquet",
        "All uses per token, of words that the base uses often enough at this decode. Others that shift less: the share of other "
        "words whose shift lies below that of a word of doubt, on average; 50 % is a word like any other, 0 % one that falls "
        "more than all. Brackets are 95 % intervals, for these checkpoints.",
    )


def words_that_shift_most(inputs: ReportInputs) -> Table | None:
    """Of each arm, those that fall and that rise most, of words whose interval is known."""
    decode = doubt_decode(inputs) or next(iter(doubt_decodes(inputs)), None)
    if decode is None:
        return None
    groups = []
    for arm in arm_names(inputs.study):
        rows = shifts(inputs, decode, arm).drop_nulls("word").sort("shift", "word")
        if rows.height:
            shown = pl.concat([rows.head(MOST_WORDS), rows.tail(MOST_WORDS)]).unique(
                ["word", "kind"], maintain_order=True
            )
            groups.append(Group([Row(_cells_of_word(row)) for row in shown.to_dicts()], arm))
    return (
        Table(
            f"The words that fall and rise most, at {decode}",
            ["word", "kind", "the base per 1\u2009000 tokens", words.THE_ARM, "ratio", "p"],
            groups,
            "analysis/word_shift.parquet",
            "A word that the arm hardly writes any more has no interval. p is adjusted (Benjamini–Hochberg) over all words of the arm.",
            frozenset({0, 1}),
        )
        if groups
        else None
    )


def _cells_of_word(row: dict[str, Any]) -> list[str]:
    uses = [fmt.number(row[name]) for name in ("against_uses", "uses")]
    return [row["word"], row["kind"], *uses, times_of_shift(row), fmt.p_value(row["p_adjusted"])]


def _with_interval(row: dict[str, Any]) -> str:
    if row.get("estimate") is None:
        return fmt.MISSING
    return numbered(f"{fmt.number(row['estimate'])} {fmt.interval(row['low'], row['high'])}".strip(), "doubt", row)


def _by_decode(
    inputs: ReportInputs,
    caption: str,
    columns: list[str],
    arms: Callable[[str], list[str]],
    cells: Callable[[str, str], list[str]],
    source: str,
    note: str,
) -> Table | None:
    """A group for each decode of the final evaluation, in it a row for each arm."""
    groups = [
        Group([Row([arm, *cells(arm, decode)]) for arm in arms(decode)], f"at {decode}")
        for decode in doubt_decodes(inputs)
    ]
    groups = [group for group in groups if group.rows]
    return Table(caption, columns, groups, source, note) if groups else None
