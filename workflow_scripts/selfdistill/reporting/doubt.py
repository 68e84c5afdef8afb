"""Which rows of the doubt tables the page shows, and what it says of them in words."""

from typing import Any

import polars as pl

from selfdistill.reporting import formatting as fmt
from selfdistill.reporting.inputs import ReportInputs, arm_names, is_resampled_base
from selfdistill.reporting.select import FINISHED, decodes_asked, there
from selfdistill.tables import words
from selfdistill.tables.doubt import DOUBT, DOUBT_RATIOS, WORD_SHIFT


def doubt_rows(inputs: ReportInputs) -> pl.DataFrame:
    """Levels of untrained and finished models, a row a model, decode and measure."""
    return there(inputs.doubt, DOUBT).filter(FINISHED)


def doubt_decodes(inputs: ReportInputs) -> list[str]:
    """The decodes of the final evaluation at which something was counted, in the study's order."""
    there_are = doubt_rows(inputs)["decode_id"].unique(maintain_order=True).to_list()
    return [decode for decode in decodes_asked(inputs.study, "final") if decode in there_are] or there_are


def doubt_decode(inputs: ReportInputs) -> str | None:
    """Where there is room for one: that at which the base doubts most; none where it never doubts."""
    decodes = doubt_decodes(inputs)
    often = {decode: level(inputs, "base", decode, words.DOUBTS).get("estimate") or 0.0 for decode in decodes}
    most = max(decodes, key=lambda decode: often[decode], default=None)
    return most if most and often[most] > 0 else None


def level(inputs: ReportInputs, arm: str, decode: str, estimand: str, marker: str | None = None) -> dict[str, Any]:
    """The row of all trainings of an arm, or nothing."""
    rows = doubt_rows(inputs).filter(
        pl.col("arm") == arm,
        pl.col("decode_id") == decode,
        pl.col("estimand") == estimand,
        pl.col("marker").eq_missing(pl.lit(marker)),
    )
    return rows.row(0, named=True) if rows.height else {}


def against_base(
    inputs: ReportInputs,
    arm: str,
    decode: str,
    estimand: str,
    scale: str = words.RATIO,
    marker: str | None = None,
    without: str | None = None,
) -> dict[str, Any]:
    """The leading row of a comparison with the base at the same decode, or nothing."""
    return _leading(compared_with_base(inputs), arm, decode, estimand, scale, marker, without)


def between_arms(inputs: ReportInputs, arm: str, other: str, decode: str, estimand: str) -> dict[str, Any]:
    """The same of two arms: the ratio, of all markers."""
    rows = compared_with_arms(inputs).filter(pl.col("against") == other)
    return _leading(rows, arm, decode, estimand, words.RATIO, None, None)


def _leading(
    rows: pl.DataFrame, arm: str, decode: str, estimand: str, scale: str, marker: str | None, without: str | None
) -> dict[str, Any]:
    rows = rows.filter(
        pl.col("arm") == arm,
        pl.col("decode_id") == decode,
        pl.col("estimand") == estimand,
        pl.col("scale") == scale,
        pl.col("marker").eq_missing(pl.lit(marker)),
        pl.col("without").eq_missing(pl.lit(without)),
    )
    return rows.row(0, named=True) if rows.height else {}


def compared_with_base(inputs: ReportInputs) -> pl.DataFrame:
    return _compared(inputs).filter(pl.col("against") == "base")


def compared_with_arms(inputs: ReportInputs) -> pl.DataFrame:
    return _compared(inputs).filter(pl.col("against") != "base")


def _compared(inputs: ReportInputs) -> pl.DataFrame:
    return there(inputs.doubt_ratios, DOUBT_RATIOS).filter(
        FINISHED, pl.col("leads"), pl.col("comparison") == words.MATCHED
    )


def compared_arms(inputs: ReportInputs, decode: str) -> list[str]:
    there_are = compared_with_base(inputs).filter(pl.col("decode_id") == decode)["arm"].unique().to_list()
    return [arm for arm in arm_names(inputs.study) if arm in there_are]


def markers_counted(inputs: ReportInputs) -> list[str]:
    """In the study's order."""
    return there(inputs.doubt, DOUBT)["marker"].drop_nulls().unique(maintain_order=True).to_list()


def shifts(inputs: ReportInputs, decode: str, arm: str | None = None) -> pl.DataFrame:
    rows = there(inputs.word_shift, WORD_SHIFT).filter(pl.col("decode_id") == decode)
    return rows if arm is None else rows.filter(pl.col("arm") == arm)


def shift_of(inputs: ReportInputs, arm: str, decode: str, kind: str) -> dict[str, Any]:
    """The row of a group of words, or nothing."""
    rows = shifts(inputs, decode, arm).filter(pl.col("kind") == kind)
    return rows.row(0, named=True) if rows.height else {}


def times(row: dict[str, Any]) -> str:
    """`0.61 [0.52, 0.71]`: a ratio with its interval."""
    if row.get("estimate") is None:
        return fmt.MISSING
    return f"{fmt.number(row['estimate'])} {fmt.interval(row['low'], row['high'])}".strip()


def times_of_shift(row: dict[str, Any]) -> str:
    """The same, of a shift in powers of two."""
    ends = {name: None if row.get(name) is None else 2.0 ** row[name] for name in ("shift", "low", "high")}
    return times({"estimate": ends["shift"], "low": ends["low"], "high": ends["high"]})


def doubt_sentences(inputs: ReportInputs) -> list[dict[str, str]]:
    """One for each arm, at the decode at which the base doubts most."""
    decode = doubt_decode(inputs)
    if decode is None:
        return []
    return [
        {"arm": f"{arm} (A/A control)" if is_resampled_base(inputs.study, arm) else arm, "sentence": sentence}
        for arm in compared_arms(inputs, decode)
        if (sentence := _sentence(inputs, arm, decode))
    ]


def _sentence(inputs: ReportInputs, arm: str, decode: str) -> str:
    whole = against_base(inputs, arm, decode, words.DOUBT_RATE)
    if not whole:
        return ""
    if whole["low"] is None:
        return (
            f"{fmt.number(whole['level'], 1)} doubts per 1\u2009000 tokens against {fmt.number(whole['against_level'], 1)} of the "
            f"base; {whole['method']}."
        )
    said = (
        f"{times(whole)} times as many doubts per token as the base ({fmt.number(whole['level'], 1)} against "
        f"{fmt.number(whole['against_level'], 1)} per 1\u2009000): {_reading(whole)}."
    )
    return " ".join(filter(None, [said, _by_length(inputs, arm, decode), _beside_others(inputs, arm, decode)]))


def _reading(row: dict[str, Any]) -> str:
    if row["high"] < 1:
        return "it doubts less"
    if row["low"] > 1:
        return "it doubts more"
    return "a difference is not shown"


def _by_length(inputs: ReportInputs, arm: str, decode: str) -> str:
    same, first = (
        against_base(inputs, arm, decode, estimand) for estimand in (words.SAME_LENGTHS_RATE, words.FIRST_TOKENS_RATE)
    )
    parts = [f"among answers of the same lengths {times(same)}"] if same.get("low") is not None else []
    if first.get("low") is not None:
        parts.append(f"within the first {fmt.plural(first['tokens'], 'token')} {times(first)}")
    text = ", ".join(parts)
    return f"{text[0].upper()}{text[1:]}." if text else ""


def _beside_others(inputs: ReportInputs, arm: str, decode: str) -> str:
    others, apart = (shift_of(inputs, arm, decode, kind) for kind in (words.ALL_OTHERS, words.MARKERS_AGAINST_OTHERS))
    if apart.get("low") is None:
        return ""
    return (
        f"The base’s other words it writes {times_of_shift(others)} times as often, so that words of doubt changed by a factor "
        f"of {times_of_shift(apart)} beyond those."
    )
