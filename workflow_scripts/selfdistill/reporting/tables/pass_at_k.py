"""How much several draws of a problem are worth: whether any of k is right, and whether most of k are."""

from typing import Any

import polars as pl

from selfdistill.foundation.wording import several
from selfdistill.reporting import formatting as fmt
from selfdistill.reporting.inputs import ReportInputs, arm_names, draws_by_side
from selfdistill.reporting.notes import n_counts
from selfdistill.reporting.numbers.names import numbered
from selfdistill.reporting.tables.table import Group, Row, Table
from selfdistill.tables import words

ALL_DRAWS = "†"
FEWEST_VOTERS = 3


def pass_at_k(inputs: ReportInputs) -> Table | None:
    """By decode and arm. None where every problem has one draw, whose share correct the main table has."""
    table = inputs.solving
    if table is None or table.is_empty() or table["draws"].to_list() == [1] * table.height:
        return None
    shown = table.filter(pl.col("k").is_in(_shown(table, inputs)))
    names = [*_of(shown, words.PASS_AT), *_of(shown, words.MAJORITY_AT)]
    groups = []
    for decode in table["decode_id"].unique(maintain_order=True):
        here = shown.filter(pl.col("decode_id") == decode)
        rows = []
        for arm in arm_names(inputs.study):
            of_arm = {row["estimand"]: row for row in here.filter(pl.col("arm") == arm).to_dicts()}
            if of_arm:
                n = next(iter(of_arm.values()))
                rows.append(
                    Row([arm, *(_cell(of_arm.get(name)) for name in names), fmt.count(n["draws"]), fmt.count(n["n"])])
                )
        groups.append(Group(rows, f"at {decode}"))
    columns = [
        "model",
        *(f"{name} = avg@n" if name == words.pass_estimand(1) else name for name in names),
        "draws",
        "n",
    ]
    return Table(
        "Several draws of a problem", columns, groups, "analysis/solving.parquet", _left_out(inputs) + _note(table)
    )


def _shown(table: pl.DataFrame, inputs: ReportInputs) -> list[int]:
    """Of the curve the powers of two, its end, and what the study asks for; the table has every k."""
    asked = inputs.study.get("evaluation", {}).get("pass_at", [])
    ends = {draws for most in table["draws"].unique() for draws in (most, most // 2)}
    return sorted({*asked, *ends, *(2**power for power in range(20)), FEWEST_VOTERS})


def _of(table: pl.DataFrame, kind: str) -> list[str]:
    rows = table.filter(pl.col("estimand").str.starts_with(kind)).sort("k")
    return rows["estimand"].unique(maintain_order=True).to_list()


def _cell(row: dict[str, Any] | None) -> str:
    if row is None:
        return fmt.MISSING
    degenerate = row["estimand"].startswith(words.PASS_AT) and row["k"] == row["draws"] > 1
    return numbered(f"{fmt.percent_with_interval(row)}{ALL_DRAWS if degenerate else ''}", "solving", row)


def _note(table: pl.DataFrame) -> str:
    most = int(table.select(pl.col("draws").max()).item())
    voting = (
        "maj@k: the answer that most of k draws give, answers being the same where the strict reader says so; draws without an "
        "answer vote for nothing, and of answers with equally many votes each is taken as often."
        if most >= FEWEST_VOTERS
        else f"A majority (maj@k) needs {FEWEST_VOTERS} draws of a problem, and there are {fmt.plural(most, 'draw')}."
    )
    return (
        "pass@k: any of k draws is right; unbiased, from the draws of each problem. avg@n, the mean over all n draws, is pass@1 "
        "and does not depend on n. A dash stands where a model has fewer draws than k. "
        f"{ALL_DRAWS} k is the number of draws: it only says whether any draw was right, an estimate "
        f"from a single choice of k that more draws would move most. {voting} Brackets are 95 % intervals over {_units(table)}, as "
        f"for accuracy. {n_counts(table)}"
    )


def _units(table: pl.DataFrame) -> str:
    return " or ".join(several(unit) for unit in table["unit"].drop_nulls().unique(maintain_order=True))


def _left_out(inputs: ReportInputs) -> str:
    draws = draws_by_side(inputs.study)
    if draws.base == draws.arms:
        return ""
    who = "trained models" if draws.arms < draws.base else "the base"
    return f"A dash stands where {who}, with {min(draws.arms, draws.base)} to each problem, have fewer draws than k. "
