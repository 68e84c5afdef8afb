"""Rule `disagreement`: how far each reader's law lies from the writer's at every token, and on which tokens and words that falls."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from selfdistill.doubt.counting import Markers
from selfdistill.foundation.programs import as_rule
from selfdistill.mechanism.disagreement import disagreements
from selfdistill.mechanism.where import where_of_each
from selfdistill.models.pieces import tokenizer_of
from selfdistill.study.doubt import Doubt
from selfdistill.tables.mechanism import CARRIERS, CONTEXT_KL, DISAGREEMENTS, PROBE_PLAN
from selfdistill.tables.streams import TableWriter
from selfdistill.tables.whole import read_table, write_table

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def main() -> None:
    asked, folders = snakemake.params.asked, [Path(folder) for folder in snakemake.input.asked]
    tokenizer, markers = tokenizer_of(Path(snakemake.params.folder)), Markers(Doubt.model_validate(asked["doubt"]))
    carriers = read_table(folders[0] / "carriers.parquet", CARRIERS)
    (written, law), *others = zip(folders, map(Path, snakemake.input.laws), strict=True)
    plan = plan_in(written)
    with TableWriter(snakemake.output.tokens, DISAGREEMENTS) as table:
        rows = (
            kept(disagreements(reader, carriers, (plan, plan_in(folder)), (law, other), tokenizer, markers), table)
            for reader, (folder, other) in zip(asked["readers"][1:], others, strict=True)
        )
        found = where_of_each(rows, markers.names, asked["shown"])
    write_table(found, snakemake.output.where, CONTEXT_KL)


def plan_in(folder: Path) -> pl.DataFrame:
    return read_table(folder / "plan.parquet", PROBE_PLAN)


def kept(rows: Iterable[pl.DataFrame], table: TableWriter) -> Iterator[pl.DataFrame]:
    for piece in rows:
        table.write(piece)
        yield piece


as_rule(main, snakemake.log[0])
