"""The main table: accuracy of every finished model, its difference from the base, and what the base gains by decoding alone."""

from typing import Any

import polars as pl

from selfdistill.reporting import formatting as fmt
from selfdistill.reporting.inputs import ReportInputs, arm_names, is_resampled_base
from selfdistill.reporting.notes import decoding_rule, fair_menus, n_counts
from selfdistill.reporting.numbers.names import numbered
from selfdistill.reporting.select import (
    decodes_at_the_end,
    final_differences,
    final_levels,
    lead_decode,
    level_of,
    split_to_report,
)
from selfdistill.reporting.tables.table import Group, Row, Table
from selfdistill.tables import words


def main_results(inputs: ReportInputs) -> Table | None:
    """Accuracy of every finished model on the reported split: at each shared decode, then each at its best decode."""
    levels = final_levels(inputs, words.ACCURACY)
    if levels.is_empty():
        return None
    groups = []
    for decode in decodes_at_the_end(inputs):
        rows = _base_row(inputs, decode) + _arm_rows(inputs, words.MATCHED, decode)
        groups.append(Group(rows, f"Same decode for all, {decode}: {decoding_rule(inputs, decode)}"))
    if fair := _arm_rows(inputs, words.FAIR):
        groups.append(Group(_best_base_row(inputs) + fair, "Fair: each side at its own best decode, chosen on dev"))
    lead = lead_decode(inputs.study, decodes_at_the_end(inputs))
    if alone := _decoding_rows(inputs, lead):
        groups.append(
            Group(alone, f"Decoding alone, nothing trained: the base at other decodes against the base at {lead}")
        )
    columns = [
        "model", "accuracy", "difference, pp", "p", "p adjusted", "80 % power for", "speaks of", "cut rate", "wrong format", "mean tokens", "n",
    ]  # fmt: skip
    return Table(
        f"Every finished model on the {split_to_report(levels)} problems",
        columns,
        groups,
        "analysis/comparisons.parquet",
        "Brackets are 95 % intervals: Wilson (at the effective n where problems share families or have several draws) for levels, "
        "the paired score interval for differences from the base; p comes from the same statistic, so that it is below 0.05 "
        "exactly where the interval leaves out 0. p adjusted is Benjamini–Hochberg over the rows of one kind. The answers above "
        "give Holm’s adjustment of the planned hypotheses. 80 % power for: the true difference that this row would have found with "
        "80 % power, at the level that the smallest p of its kind must beat. Rows that speak of the method hold the noise of "
        "training anew; rows of checkpoints speak of these weights only. Wrong format: answers that ended by themselves but do "
        "not stand in the asked format; they count as wrong. "
        f"Levels come from analysis/levels.parquet. {n_counts(levels)} {fair_menus(inputs)}".strip(),
        text_columns=frozenset({0, 6}),
    )


NO_DIFFERENCE = ["–"] * 5


def _base_row(inputs: ReportInputs, decode: str) -> list[Row]:
    return [Row(["base", *_level_cells(inputs, "base", decode, NO_DIFFERENCE)])]


def _best_base_row(inputs: ReportInputs) -> list[Row]:
    fair = final_differences(inputs, words.ACCURACY, words.FAIR)
    chosen = fair["against_decode_id"].unique(maintain_order=True).to_list()
    return [Row([f"base at {decode}", *_level_cells(inputs, "base", decode, NO_DIFFERENCE)]) for decode in chosen]


def _decoding_rows(inputs: ReportInputs, reference: str) -> list[Row]:
    table = final_differences(inputs, words.ACCURACY, words.DECODING_ALONE)
    rows = table.filter((pl.col("against_decode_id") == reference) & (pl.col("decode_id") != reference)).to_dicts()
    return [_difference_row(inputs, row, f"base at {row['decode_id']}", False) for row in rows]


def _arm_rows(inputs: ReportInputs, kind: str, decode: str | None = None) -> list[Row]:
    table = final_differences(inputs, words.ACCURACY, kind)
    if decode is not None:
        table = table.filter(pl.col("decode_id") == decode)
    rows = []
    for arm in arm_names(inputs.study):
        of_arm = table.filter(pl.col("arm") == arm)
        seeds = of_arm.filter(pl.col("training_seed").is_not_null()).sort("training_seed").to_dicts()
        for row in of_arm.filter("leads").to_dicts()[:1] or seeds[:1]:
            rows.append(_difference_row(inputs, row, _arm_label(inputs, row, len(seeds)), False))
            if row["claim"] == words.METHOD:
                as_they_are = of_arm.filter(pl.col("training_seed").is_null() & ~pl.col("leads"))
                rows += [_difference_row(inputs, each, "as trained here", True) for each in as_they_are.to_dicts()]
        if len(seeds) > 1:
            rows += [_difference_row(inputs, row, f"seed {row['training_seed']}", True) for row in seeds]
    return rows


def _arm_label(inputs: ReportInputs, row: dict[str, Any], seeds: int) -> str:
    label = row["arm"]
    if row["decode_id"] != row["against_decode_id"] or row.get("comparison") == words.FAIR:
        label += f" at {row['decode_id']}"
    if is_resampled_base(inputs.study, row["arm"]):
        return f"{label} (A/A control)"
    return f"{label}, {seeds} trainings" if seeds > 1 else label


def _difference_row(inputs: ReportInputs, row: dict[str, Any], label: str, minor: bool) -> Row:
    cells = [
        numbered(fmt.points_with_interval(row), "comparisons", row),
        fmt.p_value(row["p_value"]),
        fmt.p_value(row["p_adjusted"]),
        fmt.points(row["mde80"], signed=False),
        row["claim"].split()[-1] if row["training_seeds"] else "base",
    ]
    return Row([label, *_level_cells(inputs, row["model_id"], row["decode_id"], cells)], minor)


def _level_cells(inputs: ReportInputs, model_id: str, decode: str, difference: list[str]) -> list[str]:
    """accuracy | the cells of the difference | cut rate | wrong format | mean tokens | n"""
    accuracy, cut, wrong_format, tokens = (
        level_of(inputs, name, model_id, decode)
        for name in (words.ACCURACY, words.CUT_RATE, words.NO_ANSWER_RATE, words.MEAN_TOKENS)
    )
    return [
        numbered(fmt.percent_with_interval(accuracy), "levels", accuracy),
        *difference,
        numbered(fmt.percent(cut.get("estimate")), "levels", cut),
        numbered(fmt.percent(wrong_format.get("estimate")), "levels", wrong_format),
        numbered(fmt.count(tokens.get("estimate")), "levels", tokens),
        fmt.count(accuracy.get("n")),
    ]
