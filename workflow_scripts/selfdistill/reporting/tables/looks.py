"""How a study with looks stands: what each hypothesis had to beat at its latest look, and what was not sampled."""

import polars as pl

from selfdistill.foundation.wording import count
from selfdistill.reporting import formatting as fmt
from selfdistill.reporting.inputs import ReportInputs, has_rows
from selfdistill.reporting.select import final_levels
from selfdistill.reporting.tables.table import Group, Row, Table, word
from selfdistill.study.evaluation import LOOK
from selfdistill.tables import words


def looks(inputs: ReportInputs) -> Table | None:
    if inputs.looks is None or inputs.looks.is_empty():
        return None
    rows = [
        Row([
            word(row["hypothesis"]), word(row["state"]), f"{row['look']} of {row['looks']}", count(row["problems"]),
            fmt.percent(row["information"], 0), fmt.p_value(row["p_value"]), fmt.significant(row["bar"], 2),
            fmt.p_value(row["equivalence_p"]), fmt.significant(row["equivalence_bar"], 2),
            fmt.percent(row["interval_level"], 2), fmt.percent(row["chance"], 0),
        ])
        for row in inputs.looks.to_dicts()
    ]  # fmt: skip
    columns = [
        "hypothesis",
        "state",
        "look",
        "problems",
        "information",
        "p",
        "must be below",
        "p, equivalence",
        "must be below",
        "level of the interval",
        "chance of a verdict at the last look",
    ]
    note = (
        "Bars are of an O’Brien–Fleming-like spending function, after Holm, so that 5 % holds for all looks together. Intervals "
        "are repeated ones, which cover at all looks together in 95 %. Information is the share of the last look’s families of "
        f"test problems. {saved(inputs)}"
    )
    return Table("Looks", columns, [Group(rows)], "analysis/looks.parquet", note.strip(), frozenset({0, 1}))


def saved(inputs: ReportInputs) -> str:
    """What the evaluation of finished models at the last look would have taken beyond what was sampled, by its mean so far."""
    if (
        not has_rows(inputs.completions)
        or not has_rows(inputs.looks)
        or inputs.completions is None
        or inputs.looks is None
    ):
        return ""
    last = inputs.looks["problems_of_all_looks"][0]
    levels = final_levels(inputs, words.ACCURACY).select("model_id", "decode_id", "budget").unique()
    cells = inputs.completions.group_by("model_id", "decode_id").agg(pl.col("n_tokens").sum()).join(
        levels, on=["model_id", "decode_id"]
    )  # fmt: skip
    sizes = sizes_of_looks(inputs)
    here = sum(row["n_tokens"] for row in cells.to_dicts())
    whole = sum(row["n_tokens"] * last / sizes.get(row["budget"], last) for row in cells.to_dicts())
    if not whole:
        return ""
    return (
        f"Sampled for the evaluation of untrained and finished models: {count(here)} tokens, {fmt.percent(here / whole, 0)} of the "
        f"{count(whole)} that the last look would take for all of them."
    )


def sizes_of_looks(inputs: ReportInputs) -> dict[str, int]:
    """Problems by the name of the budget; the full one is the present look."""
    if inputs.looks is None or inputs.looks.is_empty():
        return {}
    asked = inputs.study.get("evaluation", {}).get("looks") or []
    earlier = {f"{LOOK}{number}": size for number, size in enumerate(asked[:-1], 1)}
    return earlier | {"full": int(inputs.looks["problems"].max() or 0)}  # type: ignore[arg-type]


def sentences(inputs: ReportInputs) -> dict[str, str]:
    """Hypothesis → what its latest look asked of it."""
    return {} if inputs.looks is None else dict(inputs.looks.select("hypothesis", "sentence").iter_rows())
