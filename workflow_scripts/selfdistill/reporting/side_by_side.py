"""Studies side by side as a page and as lines for a terminal: what differs between their files first, then the numbers."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
from markupsafe import Markup

from selfdistill.analysis.across_studies import Finding
from selfdistill.reporting import formatting as fmt
from selfdistill.reporting.page import TEMPLATES, templates_in
from selfdistill.reporting.tables.table import Group, Row, Table
from selfdistill.study.unlike import ABSENT
from selfdistill.tables import words

TITLES = {
    words.LEVEL: "The same arm in both",
    words.EFFECT: "What training gave over each study’s own base",
    words.BETWEEN_ARMS: "What one arm has over another, within each study",
}
NAMES = {words.ACCURACY: "accuracy", words.CUT_RATE: "cut rate", words.MEAN_TOKENS: "mean tokens"}
SAME_FILES = "The study files say the same."
SAME_MAKING = "As far as the results record it, the same grader, engines, weights, code and plugins made them."
MARK = '<meta name="generator" content="forklock compare">'  # in the head of every page
LONGEST = 60  # characters of a value of a study file that are shown


def told(value: Any) -> str:
    if value is ABSENT:
        return "(not there)"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    line = " ".join(text.split())
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}…"


def files_differ(names: Sequence[str], differing: dict[str, list[Any]]) -> Table:
    rows = [Row([key, *map(told, values)]) for key, values in differing.items()]
    every = frozenset(range(len(names) + 1))
    return Table("What differs between the study files", ["key", *names], [Group(rows)], "", text_columns=every)


def making_differs(names: Sequence[str], differing: dict[str, list[Any]]) -> Table:
    return replace(files_differ(names, differing), caption="What differs in what made the results", note=MAKING_NOTE)


MAKING_NOTE = (
    "Grader and engines are those of the answers that are held; the rest is what trainings and reports wrote down. Where these "
    "differ, a difference below may be theirs: the same text can be judged or written otherwise."
)


def findings_table(names: Sequence[str], findings: Sequence[Finding]) -> Table | None:
    """Each study's own verdict on what a hypothesis of any of them asks."""
    rows = [
        Row(
            [
                f"{asked['arm']} against {asked['against']}, {asked['estimand']} at {asked['decode_id']}",
                *map(_verdict, found),
            ]
        )
        for asked, found in findings
    ]
    columns = ["hypothesis", *names]
    every = frozenset(range(len(columns)))
    return (
        Table("What each study says of its hypotheses", columns, [Group(rows)], "", VERDICTS_NOTE, every)
        if rows
        else None
    )


VERDICTS_NOTE = (
    "Each on its own problems, by its own analysis plan: verdict, estimate with its interval, and what it speaks of. Two verdicts "
    "that differ are no proof that the studies do: that is what the tables below ask. A dash: the study does not ask it."
)


def _verdict(row: dict[str, Any] | None) -> str:
    if row is None:
        return fmt.MISSING
    if row["estimate"] is None:
        return str(row["verdict"])
    return f"{row['verdict']}: {_apart(row)}, {row['claim']}"


def _apart(row: dict[str, Any]) -> str:
    if row["estimand"] != words.MEAN_TOKENS:
        return fmt.points_with_interval(row)
    return (
        f"{fmt.number(row['estimate'], 1, signed=True)} {fmt.interval(row['low'], row['high'], 1, signed=True)}".strip()
    )


def numbers(table: pl.DataFrame) -> Iterator[Table]:
    """A table for each study and for levels, effects and differences of arms."""
    for (study, what), rows in table.group_by("study", "what", maintain_order=True):
        against = rows["against"][0]
        groups = [
            Group([_row(row) for row in part.iter_rows(named=True)], str(arm) if over is None else f"{arm} over {over}")
            for (arm, over), part in rows.group_by("arm", "over", maintain_order=True)
        ]
        columns = [
            "",
            str(study),
            str(against),
            f"{study} less {against}",
            "p",
            "speaks of",
            "trainings",
            "by",
            "problems",
            "n",
        ]
        caption = f"{TITLES[str(what)]}: {study} and {against}"
        yield Table(caption, columns, groups, "", NOTE, frozenset({0, 5, 7}))


NOTE = (
    "Only test problems that all of the studies asked at this decode, paired problem by problem; the interval is of 95 %, and n "
    "counts families of problems. What training gave in one study less what it gave in the other is a difference of two "
    "differences by problem. Rows of the method hold the noise of training anew, of every trained side, and stand where each of "
    "these has two trainings or more; rows of checkpoints speak of these weights only. Nothing is adjusted for how many rows there "
    "are. What else differs between the files may be the reason as well as what you had in mind."
)


def _row(row: dict[str, Any]) -> Row:
    decode = (
        row["decode_id"]
        if row["decode_id"] == row["study_decode_id"]
        else f"{row['decode_id']} ({row['study_decode_id']})"
    )
    shares = row["estimand"] != words.MEAN_TOKENS
    effect = row["what"] != words.LEVEL
    level = (
        fmt.percent
        if shares and not effect
        else fmt.points
        if shares
        else (lambda value: fmt.number(value, 1, signed=effect))
    )
    cells = [f"{NAMES[row['estimand']]} at {decode}", level(row["level"]), level(row["against_level"]), _apart(row)]
    trainings = [row["training_seeds"], row["against_training_seeds"]]
    cells += [fmt.p_value(row["p_value"]), row["claim"].split()[-1] if any(trainings) else "base"]
    cells += [" and ".join(map(fmt.count, trainings)) if any(trainings) else "none", row["method"]]
    return Row([*cells, fmt.count(row["problems"]), fmt.count(row["n"])])


def as_lines(table: Table, nothing: str = "") -> Iterator[str]:
    """For a terminal: columns as wide as what stands in them; `nothing` is said where no row does."""
    if nothing and not any(group.rows for group in table.groups):
        yield nothing
        return
    rows = [table.columns, *(row.cells for group in table.groups for row in group.rows)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(table.columns))]
    yield table.caption

    def line(cells: Sequence[str]) -> str:
        return "  " + "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()

    yield line(table.columns)
    for group in table.groups:
        if group.title:
            yield f"  {group.title}"
        yield from (line(row.cells) for row in group.rows)


def is_page(file: Path) -> bool:
    with open(file, "rb") as handle:
        return MARK.encode() in handle.read(2000)


def page(
    names: Sequence[str],
    differing: dict[str, list[Any]],
    making: dict[str, list[Any]],
    left_out: Sequence[str],
    findings: Sequence[Finding],
    table: pl.DataFrame,
    templates: Path = TEMPLATES,
) -> str:
    """Complete in itself. What stands in study files is text and never markup."""
    return templates_in(templates).get_template("compare.html.j2").render(
        names=names, files=files_differ(names, differing), same_files=SAME_FILES, making=making_differs(names, making), same_making=SAME_MAKING, left_out=left_out, mark=Markup(MARK), found=findings_table(names, findings), tables=list(numbers(table)), results="", figures={}, safe_svg=Markup,
        strip_classes={}, style=Markup((templates / "report.css").read_text(encoding="utf-8")),
    )  # fmt: skip
