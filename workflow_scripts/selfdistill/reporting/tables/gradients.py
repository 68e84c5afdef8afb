"""The report's tables of gradients at frozen checkpoints, of branches, and of weights of several trainings."""

from typing import Any

import polars as pl

from selfdistill.reporting import formatting as fmt
from selfdistill.reporting.gradients import checkpoint_name
from selfdistill.reporting.inputs import ReportInputs, has_rows
from selfdistill.reporting.numbers.names import numbered
from selfdistill.reporting.tables.table import Group, Row, Table, word
from selfdistill.reporting.weights import first_pairs
from selfdistill.tables import words


def frozen_checkpoints(inputs: ReportInputs) -> Table | None:
    table = inputs.noise_probe
    if table is None or not has_rows(table):
        return None
    groups = []
    for _, rows in table.group_by("arm", "training_seed", "percent", maintain_order=True):
        first = rows.row(0, named=True)
        of = f"{fmt.plural(first['sequences'], 'sequence')}, {fmt.count(first['fresh'])} of them never trained on"
        groups.append(Group([_part(row) for row in rows.to_dicts()], f"{checkpoint_name(first)}: {of}"))
    columns = ["tokens", "of all tokens", "signal |G|²", "of |G|², by itself", "of |G|², along the whole", "of the noise",
               "noise scale, sequences", "at least", "z", "effective rank", "detection limit"]  # fmt: skip
    note = (
        "Classes are those of the base's law. Brackets are 95 % jackknife intervals over sequences. “By itself” is |G_class|²/|G|², "
        "which adds up to 1 with the cross terms; “along the whole” is G_class·G/|G|², which adds up to 1 over the classes. No "
        "share is told where |G|² is not resolved. “At least” is a one-sided 95 % bound on the noise scale, z tests for any signal "
        "at all, and a noise scale up to the detection limit is found with 80 % power."
    )
    return Table("Signal and noise at frozen checkpoints", columns, groups, "analysis/noise_probe.parquet", note)


def _part(row: dict[str, Any]) -> Row:
    signal = f"{fmt.significant(row['signal'])} [{fmt.significant(row['signal_low'])}, {fmt.significant(row['signal_high'])}]"
    name = "all" if row["part"] == words.TOTAL else row["part"]
    bound = row["noise_scale_lower_bound"]
    return Row([
        name, fmt.percent(row["token_share"]), numbered(signal, "noise_probe", row, "signal"), _share(row, "square_share"), _share(row, "signal_share"),
        _share(row, "noise_share"), numbered(word(row["noise_scale_text"]), "noise_probe", row, "noise_scale"), fmt.count(bound), fmt.number(row["z"]),
        fmt.count(row["effective_rank"]), fmt.count(row["detection_limit"]),
    ], minor="×" in row["part"])  # fmt: skip


def _share(row: dict[str, Any], name: str) -> str:
    if row[name] is None or row["part"] == words.TOTAL:
        return fmt.MISSING
    cell = f"{fmt.percent(row[name])} {fmt.percent_interval(row[f'{name}_low'], row[f'{name}_high'])}".strip()
    return numbered(cell, "noise_probe", row, name)


def branches(inputs: ReportInputs) -> Table | None:
    table = inputs.branches
    if table is None or not has_rows(table):
        return None
    pooled = table.filter(pl.col("seed").is_null() & pl.col("batch").is_not_null())
    rows = []
    for batch in pooled["batch"].unique().sort().to_list():
        here = pooled.filter(pl.col("batch") == batch)
        found = {
            row["estimand"]: row for row in here.sort("examples", nulls_last=False).to_dicts()
        }  # the last look stays
        loss, difference = found[words.HELD_OUT_LOSS], found.get(words.HELD_OUT_DIFFERENCE)
        rows.append(Row([
            fmt.count(batch), fmt.count(loss["n"]), _estimate(loss, 4), _estimate(difference, 4) if difference else "the study's batch",
            _estimate(found.get(words.EXAMPLES_TO_TARGET), 0),
        ]))  # fmt: skip
    columns = [
        "batch",
        "data orders",
        "held-out loss at the end",
        "difference from the study's batch",
        "examples to the common loss",
    ]
    note = (
        "Nats a token. Differences are paired by data order and held-out example; brackets are 95 % t intervals over data orders, "
        "those of differences with the scatter of examples in them. They speak of these held-out examples' problems and of the base."
    )
    return Table("Branches from the base", columns, [Group(rows)], "analysis/branches.parquet", note)


def _estimate(row: dict[str, Any] | None, digits: int) -> str:
    if row is None:
        return fmt.MISSING
    cell = f"{fmt.number(row['estimate'], digits)} {fmt.interval(row['low'], row['high'], digits)}".strip()
    return numbered(cell, "branches", row)


def weight_overlap(inputs: ReportInputs) -> Table | None:
    table = inputs.weight_overlap
    if table is None or not has_rows(table):
        return None
    groups, between = [], []
    shown = first_pairs(table).filter(pl.col("group") == words.TOTAL)
    for (run, against), rows in shown.group_by("run", "against", maintain_order=True):
        if against and str(run).split("/")[0] != str(against).split("/")[0]:
            between += [_measure(row, f"{run} and {against}") for row in rows.to_dicts()]
        else:
            title = f"{run} and {against}" if against else f"{run}: one training"
            groups.append(Group([_measure(row) for row in rows.to_dicts()], title))
    if between:
        groups.append(Group(between, "cosine of the changes of two arms"))
    columns = ["measure", "seen", "expected", "beyond it", "expected if"]
    note = (
        "Overlaps are shares of the sets' mean size. The relative distance and the stable rank |Δ|²/σ² of the changes are held against "
        "half the difference of two trainings, in which what both have in common is gone. Brackets are 95 % intervals over tensors. Two "
        "trainings of one arm were shown the same examples. By layer group, and of an arm's further pairs, the numbers stand in the file."
    )
    return Table(
        "Weights of finished models", columns, groups, "analysis/weight_overlap.parquet", note, frozenset({0, 4})
    )


SHARES = (words.CHANGED_SHARE, words.CHANGED_OVERLAP, words.SAME_DIRECTION)


def _measure(row: dict[str, Any], name: str = "") -> Row:
    share = row["measure"] in SHARES or row["measure"].startswith(words.TOP_OVERLAP)
    show = fmt.percent if share else fmt.significant
    beyond = fmt.MISSING if row["excess"] is None else f"{show(row['excess'])} {_ends(row, share)}".strip()
    expected = fmt.MISSING if row["expected"] is None else show(row["expected"])
    return Row([name or row["measure"], show(row["estimate"]), expected, beyond, word(row["null"])])


def _ends(row: dict[str, Any], share: bool) -> str:
    if row["low"] is None:
        return ""
    if share:
        return fmt.percent_interval(row["low"], row["high"])
    return f"[{fmt.significant(row['low'])}, {fmt.significant(row['high'])}]"
