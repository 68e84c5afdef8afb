"""How often one of k draws is right."""

import polars as pl

from selfdistill.reporting import formatting as fmt
from selfdistill.reporting.inputs import ReportInputs, arm_names, draws_by_side
from selfdistill.reporting.notes import n_counts
from selfdistill.reporting.select import (
    decodes_at_the_end,
    final_levels,
    level_of,
    one_per_arm,
)
from selfdistill.reporting.tables.table import Group, Row, Table
from selfdistill.tables import words


def pass_at_k(inputs: ReportInputs) -> Table | None:
    if inputs.levels is None or inputs.levels.is_empty():
        return None
    names = [name for name in inputs.levels["estimand"].unique().to_list() if name.startswith(words.PASS_AT)]
    names.sort(key=lambda name: int(name.removeprefix(words.PASS_AT)))
    if len(names) < 2:
        return None
    groups = []
    for decode in decodes_at_the_end(inputs):
        rows = []
        for arm in arm_names(inputs.study):
            of_arm = final_levels(inputs, words.ACCURACY).filter(
                (pl.col("arm") == arm) & (pl.col("decode_id") == decode)
            )
            for lead in one_per_arm(of_arm):
                levels = [level_of(inputs, name, lead["model_id"], decode) for name in names]
                rows.append(Row([arm, *map(fmt.percent_with_interval, levels), fmt.count(lead["n"])]))
        groups.append(Group(rows, f"at {decode}"))
    note = (
        "Unbiased pass@k from the draws of each problem, with 95 % intervals as for accuracy; at k equal to the number of "
        f"draws it only says whether any draw was right. {_left_out(inputs)}{n_counts(final_levels(inputs, names[0]))}"
    )
    return Table("Pass at k", ["model", *names, "n"], groups, "analysis/levels.parquet", note)


def _left_out(inputs: ReportInputs) -> str:
    draws = draws_by_side(inputs.study)
    if draws.base == draws.arms:
        return ""
    who = "trained models" if draws.arms < draws.base else "the base"
    return f"A dash stands where {who}, with {min(draws.arms, draws.base)} to each problem, have fewer draws than k. "
