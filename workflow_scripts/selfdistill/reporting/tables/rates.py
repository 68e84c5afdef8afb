"""How answers end, model by model, and what the base can do by decoding alone."""

import polars as pl

from selfdistill.reporting import formatting as fmt
from selfdistill.reporting.inputs import ReportInputs, arm_names
from selfdistill.reporting.notes import decoding_rule, n_counts
from selfdistill.reporting.numbers.names import numbered
from selfdistill.reporting.select import (
    decodes_asked,
    decodes_at_the_end,
    final_levels,
    level_of,
    one_per_arm,
)
from selfdistill.reporting.tables.table import Group, Row, Table
from selfdistill.tables import words

RATES = {
    words.ACCURACY: "correct",
    words.THINK_CLOSE_RATE: "closed its thinking",
    words.BOXED_RATE: "in the asked format",
    words.NO_ANSWER_RATE: "ended in another",
    words.RIGHT_OTHERWISE_RATE: "right in another",
    words.CUT_RATE: "cut",
    words.LOOP_RATE: "looped",
}


_RATES_NOTE = (
    "Shares of all answers; cut includes looped. Ended in another: finished without an answer in the asked format; right in "
    "another: of these those that would be right if another format counted, which they are not. Brackets are 95 % intervals: Wilson, at the effective n where problems "
    "have several draws or share families."
)


def base_at_every_decode(inputs: ReportInputs) -> Table | None:
    """The sweep and the baselines: what can be had from the base by decoding alone."""
    levels = final_levels(inputs, words.ACCURACY)
    if levels.is_empty():
        return None
    known = set(levels.filter(pl.col("model_id") == "base")["decode_id"])
    decodes = [name for name in decodes_asked(inputs.study, "base") if name in known]
    rows = [
        Row([decode, decoding_rule(inputs, decode, cap=None), *_rate_cells(inputs, "base", decode)])
        for decode in decodes
    ]
    return Table(
        "The base at every decode", ["decode", "settings", *RATES.values(), "mean tokens", "n"], [Group(rows)],
        "analysis/levels.parquet", f"{_RATES_NOTE} {n_counts(levels)}", frozenset({0, 1}),
    )  # fmt: skip


def rates_of_models(inputs: ReportInputs) -> Table | None:
    """How answers end, for every finished model at every decode it was asked at."""
    if inputs.levels is None or inputs.levels.is_empty():
        return None
    groups = []
    for decode in decodes_at_the_end(inputs):
        at_decode = final_levels(inputs, words.ACCURACY).filter(pl.col("decode_id") == decode)
        rows = [
            Row([arm, *_rate_cells(inputs, lead["model_id"], decode)])
            for arm in arm_names(inputs.study)
            for lead in one_per_arm(at_decode.filter(pl.col("arm") == arm))
        ]
        groups.append(Group(rows, f"at {decode}"))
    columns = ["model", *RATES.values(), "mean tokens", "n"]
    note = f"{_RATES_NOTE} {n_counts(final_levels(inputs, words.ACCURACY))}"
    return Table("How answers end", columns, groups, "analysis/levels.parquet", note)


def _rate_cells(inputs: ReportInputs, model_id: str, decode: str) -> list[str]:
    levels = [level_of(inputs, estimand, model_id, decode) for estimand in RATES]
    tokens = level_of(inputs, words.MEAN_TOKENS, model_id, decode)
    return [
        numbered(fmt.percent_with_interval(levels[0]), "levels", levels[0]),
        *(numbered(fmt.percent(level.get("estimate")), "levels", level) for level in levels[1:]),
        numbered(fmt.count(tokens.get("estimate")), "levels", tokens),
        fmt.count(levels[0].get("n")),
    ]
