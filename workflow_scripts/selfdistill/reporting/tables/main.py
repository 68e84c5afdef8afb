"""The main table: accuracy of every finished model, and its difference from the base; the same by three methods."""

from typing import Any

import polars as pl

from selfdistill.reporting import formatting as fmt
from selfdistill.reporting.inputs import ReportInputs, arm_names, is_resampled_base
from selfdistill.reporting.notes import decoding_rule, fair_menus, n_counts
from selfdistill.reporting.select import (
    decodes_at_the_end,
    final_differences,
    final_levels,
    level_of,
    one_per_arm,
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
    columns = ["model", "accuracy", "difference from base, pp", "p", "p adjusted", "cut rate", "mean tokens", "n"]
    return Table(
        f"Every finished model on the {split_to_report(levels)} problems",
        columns,
        groups,
        "analysis/comparisons.parquet",
        "Brackets are 95 % intervals: Wilson (at the effective n where problems share families or have several "
        "draws) for levels, paired t over problems or their families for differences. p comes from sign flips of whole families; p "
        "adjusted is Benjamini–Hochberg over this grid of matched comparisons. The answers above give Holm's adjustment of the "
        "planned hypotheses. Rows “over training seeds” take the seeds as the units: they speak of "
        "the method, the other rows of these checkpoints. Levels come from analysis/levels.parquet. "
        f"{n_counts(levels)} {fair_menus(inputs)}".strip(),
    )


def _base_row(inputs: ReportInputs, decode: str) -> list[Row]:
    return [Row(["base", *_level_cells(inputs, "base", decode, ["–", "–", "–"])])]


def _best_base_row(inputs: ReportInputs) -> list[Row]:
    fair = final_differences(inputs, words.ACCURACY, words.FAIR)
    chosen = fair["against_decode_id"].unique(maintain_order=True).to_list()
    return [Row([f"base at {decode}", *_level_cells(inputs, "base", decode, ["–", "–", "–"])]) for decode in chosen]


def _arm_rows(inputs: ReportInputs, kind: str, decode: str | None = None) -> list[Row]:
    table = final_differences(inputs, words.ACCURACY, kind)
    if decode is not None:
        table = table.filter(pl.col("decode_id") == decode)
    rows = []
    for arm in arm_names(inputs.study):
        of_arm = table.filter(pl.col("arm") == arm)
        lead = of_arm.filter(pl.col("method") == words.LEAD)
        seeds = sorted(lead["training_seed"].drop_nulls().unique())
        pooled = lead.filter(pl.col("training_seed").is_null()).to_dicts()[:1] or lead.to_dicts()[:1]
        for row in pooled:
            rows.append(_difference_row(inputs, row, _arm_label(inputs, row, len(seeds)), False))
        if len(seeds) > 1:
            for row in lead.filter(pl.col("training_seed").is_not_null()).sort("training_seed").to_dicts():
                rows.append(_difference_row(inputs, row, f"seed {row['training_seed']}", True))
            for row in of_arm.filter(pl.col("method") == words.OVER_SEEDS).to_dicts()[:1]:
                rows.append(_over_seeds_row(row))
    return rows


def _arm_label(inputs: ReportInputs, row: dict[str, Any], seeds: int) -> str:
    label = row["arm"]
    if row["decode_id"] != row["against_decode_id"] or row.get("comparison") == words.FAIR:
        label += f" at {row['decode_id']}"
    if is_resampled_base(inputs.study, row["arm"]):
        return f"{label} (A/A control)"
    return f"{label}, {seeds} seeds" if seeds > 1 else label


def _difference_row(inputs: ReportInputs, row: dict[str, Any], label: str, minor: bool) -> Row:
    cells = [fmt.points_with_interval(row), fmt.p_value(row["p_value"]), fmt.p_value(row["p_adjusted"])]
    return Row([label, *_level_cells(inputs, row["model_id"], row["decode_id"], cells)], minor)


def _over_seeds_row(row: dict[str, Any]) -> Row:
    n = fmt.plural(row["n"], "seed")
    return Row(
        ["over training seeds", "", fmt.points_with_interval(row), fmt.p_value(row["p_value"]), "", "", "", n], True
    )


def _level_cells(inputs: ReportInputs, model_id: str, decode: str, difference: list[str]) -> list[str]:
    """accuracy | the cells of the difference | cut rate | mean tokens | n"""
    accuracy, cut, tokens = (
        level_of(inputs, name, model_id, decode) for name in (words.ACCURACY, words.CUT_RATE, words.MEAN_TOKENS)
    )
    return [
        fmt.percent_with_interval(accuracy),
        *difference,
        fmt.percent(cut.get("estimate")),
        fmt.count(tokens.get("estimate")),
        fmt.count(accuracy.get("n")),
    ]


def three_methods(inputs: ReportInputs) -> Table | None:
    """The same differences by each interval method: conclusions should not hang on the choice."""
    table = final_differences(inputs, words.ACCURACY, words.MATCHED).filter(pl.col("method") != words.OVER_SEEDS)
    methods = table["method"].unique(maintain_order=True).to_list()
    if len(methods) < 2:
        return None
    rows = []
    for arm in arm_names(inputs.study):
        for decode in decodes_at_the_end(inputs):
            here = table.filter((pl.col("arm") == arm) & (pl.col("decode_id") == decode))
            found = [one_per_arm(here.filter(pl.col("method") == method)) for method in methods]
            if any(found):
                cells = [fmt.points_interval(f[0]["low"], f[0]["high"]) if f else fmt.MISSING for f in found]
                estimate = next(f[0]["estimate"] for f in found if f)
                rows.append(Row([f"{arm} at {decode}", fmt.points(estimate), *cells]))
    return Table(
        "The same differences, three intervals",
        ["arm", "difference, pp", *methods],
        [Group(rows)],
        "analysis/comparisons.parquet",
    )
