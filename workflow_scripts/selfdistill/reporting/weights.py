"""One sentence a run: did the weights learn, or was it rounding?

The rule. Two trainings of one arm *fitted their examples alike* where the cosine of their changes, or the share of weights
that moved the same way, lies above what rounding and independent noise give, with the whole interval. Where neither does, these
explain what is seen: the overlap of changed weights is then held against the one that rounding alone gives. Both trainings
were shown the same examples and share those examples' noise, so that a cosine is no proof of learning beyond them: it is held
against that with trainings of other arms. Of one training alone nothing of it can be told.
"""

from typing import Any

import polars as pl

from selfdistill.reporting import formatting as fmt
from selfdistill.reporting.inputs import ReportInputs, has_rows
from selfdistill.tables import words


def learning_or_rounding(inputs: ReportInputs) -> list[str]:
    if inputs.weight_overlap is None or not has_rows(inputs.weight_overlap):
        return []
    return list(dict.fromkeys(weight_sentences(first_pairs(inputs.weight_overlap)).values()))


def first_pairs(table: pl.DataFrame) -> pl.DataFrame:
    """Of an arm's trainings the first two alone: three have three pairs, five have ten, and the file holds them all."""
    of_one_arm = table.filter(_arm("run") == _arm("against")).select("run", "against").unique(maintain_order=True)
    others = of_one_arm.filter(_arm("run").is_duplicated() & ~_arm("run").is_first_distinct())
    return table.join(others, on=["run", "against"], how="anti", maintain_order="left")


def weight_sentences(table: pl.DataFrame) -> dict[str, str]:
    """By run: the first of a pair speaks for both."""
    sentences: dict[str, str] = {}
    of_one_arm = pl.col("against").is_null() | (_arm("run") == _arm("against"))
    of_all = table.filter((pl.col("group") == words.TOTAL) & of_one_arm)
    for (run, against), rows in of_all.group_by("run", "against", maintain_order=True):
        by_measure = {row["measure"]: row for row in rows.to_dicts()}
        sentence = _of_two(str(run), str(against), by_measure) if against else _of_one(str(run), by_measure)
        sentence += _elsewhere(table, str(run))
        sentences.setdefault(str(run), sentence)
        if against:
            sentences.setdefault(str(against), sentence)
    return sentences


def _elsewhere(table: pl.DataFrame, run: str) -> str:
    """The cosine with first trainings of other arms, which may or may not have been shown the same examples."""
    between = table.filter(
        (pl.col("group") == words.TOTAL) & (pl.col("measure") == words.COSINE) & (_arm("run") != _arm("against"))
    )
    found = [
        f"{row['against'] if row['run'] == run else row['run']} {_with_interval(row)}"
        for row in between.to_dicts()
        if run in (row["run"], row["against"])
    ]
    return f" Cosine with the changes of other arms: {', '.join(found)}." if found else ""


def _arm(column: str) -> pl.Expr:
    return pl.col(column).str.split("/").list.first()


def _of_two(run: str, against: str, by_measure: dict[str, dict[str, Any]]) -> str:
    cosine, direction, changed = (
        by_measure[name] for name in (words.COSINE, words.SAME_DIRECTION, words.CHANGED_OVERLAP)
    )
    pair = f"{run} and {against}"
    facts = f"cosine of their changes {_with_interval(cosine)}; {fmt.percent(direction['estimate'])} of the weights that both changed "
    facts += f"moved the same way, {fmt.percent(direction['expected'])} would by chance"
    overlap = f"the changed weights overlap by {fmt.percent(changed['estimate'])}, where rounding alone gives {fmt.percent(changed['expected'])}"
    if cosine["low"] is None:
        return f"{pair}: {facts}; too few tensors to tell learning from noise."
    if cosine["low"] > 0 or direction["low"] > 0:
        which = "which weights are seen to move is rounding" if _within(changed) else "they moved the same weights, too"
        return (
            f"{pair} fitted their examples alike, which is more than rounding: {facts}. As for which weights moved, {overlap}: "
            f"{which}. They were shown the same examples, whose noise they share as well."
        )
    more = "" if _within(changed) else " They moved the same weights, but not the same way."
    return f"{pair}: rounding and noise explain what is seen: {facts}; {overlap}.{more}"


def _of_one(run: str, by_measure: dict[str, dict[str, Any]]) -> str:
    changed, distance = by_measure[words.CHANGED_SHARE], by_measure[words.RELATIVE_DISTANCE]
    rank = by_measure.get(words.STABLE_RANK)
    told = f"{fmt.percent(changed['estimate'])} of its weights changed, by {fmt.significant(distance['estimate'], 2)} of their norm"
    if rank is not None:
        told += f", in matrices of stable rank {fmt.number(rank['estimate'], 1)} (signs shuffled: {fmt.number(rank['expected'], 1)})"
    return f"{run}: {told}. One training cannot tell learning from noise of low rank; a second seed of the arm would tell more."


def _within(row: dict[str, Any]) -> bool:
    return row["low"] is None or row["low"] <= 0


def _with_interval(row: dict[str, Any]) -> str:
    if row["low"] is None:
        return fmt.number(row["estimate"])
    return f"{fmt.number(row['estimate'])} {fmt.interval(row['low'], row['high'], 2)}"
