"""The report's table of a language model that judges uncertainty: what it says, and how far it agrees with words and itself."""

from typing import Any

from selfdistill.reporting import formatting as fmt
from selfdistill.reporting.inputs import ReportInputs, has_rows
from selfdistill.reporting.numbers.names import numbered
from selfdistill.reporting.tables.table import Group, Row, Table
from selfdistill.tables import words

SHARES = {*map(words.replies, words.PARSES), words.of_passes(words.SAME_AGAIN)}


def judged(inputs: ReportInputs) -> Table | None:
    table = inputs.annotation
    if table is None or not has_rows(table):
        return None
    groups = [
        Group([_row(row) for row in rows.iter_rows(named=True)], str(model))
        for (model,), rows in table.group_by("model_id", maintain_order=True)
    ]
    note = (
        "Each answer is of another family of problems, and models are judged on the same problems. Words are held against the first "
        "pass. Differences are the judge’s count less that of words, or the second pass less the first; limits of agreement hold "
        "95 % of them, where they are normal. Refused replies are in no other row. A dash: too few judgements, or none that differ."
    )
    columns = ["measure", "estimate", "95 % interval", "n"]
    return Table(f"Uncertainty as judged by {judge_of(inputs)}", columns, groups, "analysis/annotation.parquet", note)


def _row(row: dict[str, Any]) -> Row:
    if row["measure"] in SHARES:
        estimate, interval = fmt.percent(row["estimate"]), fmt.percent_interval(row["low"], row["high"])
    else:
        estimate, interval = fmt.number(row["estimate"], 2), fmt.interval(row["low"], row["high"])
    return Row([row["measure"], numbered(estimate, "annotation", row), interval or fmt.MISSING, fmt.count(row["n"])])


# What the column `engine_version` says, by the column `engine`.
SAID = {words.SERVER: "which says it is", words.PLUGIN: "code of a plugin, version"}


def judge_of(inputs: ReportInputs) -> str:
    """As it stood in the study, and what a server says that it is."""
    replies = inputs.judgements
    if replies is None or not has_rows(replies):
        return "the judge"
    versions = {who: replies.filter(engine=who)["engine_version"].unique().sort().to_list() for who in SAID}
    told = "".join(f", {said} {', '.join(versions[who])}" for who, said in SAID.items() if versions[who])
    return f"{replies['judge'][0]}{told}"
