"""The report's tables of where readers disagree with who wrote the text: by word of doubt, by word and by token."""

from typing import Any

import polars as pl

from selfdistill.reporting import formatting as fmt
from selfdistill.reporting.inputs import ReportInputs, has_rows
from selfdistill.reporting.numbers.names import numbered
from selfdistill.reporting.tables.table import Group, Row, Table
from selfdistill.tables import words

COLUMNS = [
    "",
    "which tokens",
    "tokens",
    "KL, nats a token",
    "95 % interval",
    "times the mean",
    "share of all KL",
    "95 % interval",
]
SOURCE = "analysis/context_kl.parquet"
NOTE = (
    "KL is that of the law of the base that wrote the text from the reader’s law, with the same text behind both. Every token counts "
    "once; intervals are over families of problems. A share is of the sum over all tokens. Where a law keeps a part of the "
    "vocabulary only, KL is a lower bound; “beyond” in the file is the mass that is counted as one piece. Of an arm the first training "
    "is shown; the file has all."
)


def by_doubt(inputs: ReportInputs) -> Table | None:
    return _table(inputs, (words.BY_DOUBT,), "Where they disagree: words of doubt and everything else")


def by_word(inputs: ReportInputs) -> Table | None:
    return _table(inputs, (words.BY_WORD,), "Where they disagree: the words with most of it")


def by_token(inputs: ReportInputs) -> Table | None:
    return _table(inputs, (words.BY_TOKEN,), "Where they disagree: the tokens with most of it")


def _table(inputs: ReportInputs, groupings: tuple[str, ...], caption: str) -> Table | None:
    table = inputs.context_kl
    if table is None or not has_rows(table):
        return None
    table = first_trainings(table)
    every = (pl.col("grouping") == words.BY_TOKEN) & (pl.col("name") == words.EVERY_TOKEN)
    groups = [
        Group(
            [_row(row) for row in rows.sort(~every, maintain_order=True).iter_rows(named=True)],
            reader_name(str(reader)),
        )
        for (reader,), rows in table.filter(pl.col("grouping").is_in(groupings) | every).group_by(
            "reader", maintain_order=True
        )
    ]
    return Table(caption, COLUMNS, groups, SOURCE, NOTE, frozenset({0, 1}))


def first_trainings(table: pl.DataFrame) -> pl.DataFrame:
    """Who is told something, and of each arm the training that stands first."""
    readers = table["reader"].unique(maintain_order=True).to_list()
    trained = {reader.split("/")[0]: reader for reader in reversed(readers) if "/seed-" in reader}
    return table.filter(
        pl.col("reader").is_in([each for each in readers if trained.get(each.split("/")[0], each) == each])
    )


def reader_name(reader: str) -> str:
    """In words: the base told something, or a finished model."""
    source, told, context = reader.partition("/in-")
    return f"{source}, told {context}" if told else f"{reader.removesuffix('/at-100')}, told nothing"


def _row(row: dict[str, Any]) -> Row:
    return Row(
        [
            visible(row["name"]), row["place"], fmt.count(row["positions"]), numbered(fmt.significant(row["estimate"]), "context_kl", row),
            fmt.interval(row["low"], row["high"], 3) or fmt.MISSING,
            numbered(fmt.number(row["times_mean"], 1), "context_kl", row, "times_mean"),
            numbered(fmt.percent(row["share"]), "context_kl", row, "share"),
            fmt.percent_interval(row["share_low"], row["share_high"]) or fmt.MISSING,
        ]
    )  # fmt: skip


def visible(piece: str) -> str:
    """A token whose spaces can be seen."""
    return piece.replace(" ", "␣").replace("\n", "⏎") if piece.strip() != piece or not piece else piece
