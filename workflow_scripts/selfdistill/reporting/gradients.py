"""Sentences computed from the noise probe and from the branches."""

from typing import Any

import polars as pl

from selfdistill.reporting import formatting as fmt
from selfdistill.reporting.inputs import ReportInputs, has_rows
from selfdistill.tables import words


def noise_sentences(inputs: ReportInputs) -> list[str]:
    """One a probed checkpoint: how large the signal is, and how much of it sits at forks."""
    table = inputs.noise_probe
    if table is None or not has_rows(table):
        return []
    return [
        _of_checkpoint({row["part"]: row for row in rows.to_dicts()})
        for _, rows in table.group_by("arm", "training_seed", "percent", maintain_order=True)
    ]


def checkpoint_name(row: dict[str, Any]) -> str:
    if not row["percent"]:
        return f"{row['arm']}, at the base"
    return f"{row['arm']}/seed-{row['training_seed']}, at {row['percent']} %"


def _of_checkpoint(parts: dict[str, dict[str, Any]]) -> str:
    whole, fork = parts[words.TOTAL], parts[words.FORK]
    sequences = fmt.plural(whole["sequences"], "sequence")
    forks = f"forks are {fmt.percent(fork['token_share'])} of the tokens and hold {_share(fork, 'noise_share')} of the noise"
    if fork["signal_share"] is not None:
        scale = f"the noise scale is {whole['noise_scale_text']} sequences"
        return (
            f"{checkpoint_name(whole)}: {_share(fork, 'signal_share')} of the signal sits at forks; {forks}; {scale}."
        )
    least, most = fmt.count(whole["noise_scale_lower_bound"]), fmt.count(whole["detection_limit"])
    return (
        f"{checkpoint_name(whole)}: {sequences} resolve no signal: the noise scale is at least {least} sequences (one-sided 95 %), "
        f"and one up to {most} would have been found with 80 % power. So how much of the signal sits at forks stays open; {forks}."
    )


def _share(row: dict[str, Any], name: str) -> str:
    return f"{fmt.percent(row[name])} {fmt.percent_interval(row[f'{name}_low'], row[f'{name}_high'])}".strip()


def branch_sentence(inputs: ReportInputs) -> str:
    table = inputs.branches
    if table is None or not has_rows(table):
        return ""
    row = table.row(by_predicate=pl.col("estimand") == words.CRITICAL_BATCH, named=True)
    orders = f"over {fmt.plural(row['n'], 'data order')}"
    if row["estimate"] is None and row["low"] is None:
        return f"The trade-off of time and data {orders} is {row['method']}."
    if row["low"] is None:
        return (
            f"The trade-off of time and data is not resolved {orders}: the interval of the critical batch says nothing."
        )
    if row["high"] is None:
        return (
            f"The trade-off of time and data is not resolved {orders}: the critical batch is at least {fmt.count(row['low'])} "
            "examples, for no cost of larger batches is told from none."
        )
    estimate, low, high = (fmt.count(row[name]) for name in ("estimate", "low", "high"))
    return f"The critical batch is {estimate} examples [{low}, {high}] {orders}: there a training takes twice the fewest examples."
