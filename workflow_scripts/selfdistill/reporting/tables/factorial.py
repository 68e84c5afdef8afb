"""The 2×2 of decode and filter as a table: main effects and interaction."""

import polars as pl

from selfdistill.reporting import formatting as fmt
from selfdistill.reporting.inputs import ReportInputs
from selfdistill.reporting.notes import decoding_rule, n_counts
from selfdistill.reporting.numbers.names import numbered
from selfdistill.reporting.tables.table import Group, Row, Table
from selfdistill.tables import words


def factorial(inputs: ReportInputs) -> Table | None:
    """Main effects and interaction on accuracy and on the cut rate, at each decode."""
    if inputs.factorial is None or inputs.factorial.is_empty():
        return None
    table = inputs.factorial
    groups = []
    for decode in table["decode_id"].unique(maintain_order=True).to_list():
        rows = []
        for effect in words.EFFECTS:
            on_cut = words.on(effect, words.CUT_RATE)
            here = table.filter((pl.col("decode_id") == decode) & pl.col("estimand").is_in([effect, on_cut]))
            found = {row["estimand"]: row for row in here.to_dicts()}
            accuracy, cut = found.get(effect), found.get(on_cut, {})
            if accuracy:
                rows.append(Row([
                    effect, numbered(fmt.points(accuracy["estimate"]), "factorial", accuracy), fmt.points_interval(accuracy["low"], accuracy["high"]),
                    fmt.p_value(accuracy["p_value"]), fmt.p_value(accuracy["p_adjusted"]),
                    fmt.points(accuracy["mde80"], signed=False), accuracy["claim"].split()[-1],
                    numbered(fmt.points_with_interval(cut), "factorial", cut), fmt.count(accuracy["n"]),
                ]))  # fmt: skip
        groups.append(Group(rows, f"evaluated at {decode}: {decoding_rule(inputs, decode)}"))
    columns = [
        "effect",
        "on accuracy, pp",
        "95 % interval",
        "p",
        "p Holm",
        "80 % power for",
        "speaks of",
        "on cut rate, pp",
        "n",
    ]
    note = (
        "The effects are contrasts of the four cells within each problem, by the paired score interval over problems or their "
        "families; p comes from the same statistic. An effect speaks of the method only where each of the four arms was trained "
        "twice or more; else its interval holds the noise of problems and draws, not of training, and it speaks of these "
        f"checkpoints. Holm covers the three effects within one decode and one outcome, no more. {n_counts(table)}"
    )
    return Table("Main effects and interaction", columns, groups, "analysis/factorial.parquet", note, frozenset({0, 6}))
