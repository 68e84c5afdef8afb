"""Rule `disagreement`: how far each reader's law lies from the writer's at every token, and on which tokens and words that falls."""

from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from selfdistill.doubt.counting import Markers
from selfdistill.foundation.programs import as_rule
from selfdistill.mechanism.disagreement import disagreements
from selfdistill.mechanism.where import where
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
    plans = [read_table(folder / "plan.parquet", PROBE_PLAN) for folder in folders]
    laws = [Path(file) for file in snakemake.input.laws]
    found = []
    with TableWriter(snakemake.output.tokens, DISAGREEMENTS) as table:
        for reader, plan, law in list(zip(asked["readers"], plans, laws, strict=True))[1:]:
            for rows in disagreements(reader, carriers, (plans[0], plan), (laws[0], law), tokenizer, markers):
                table.write(rows)
                found.append(rows)
    write_table(where(pl.concat(found), markers.names, asked["shown"]), snakemake.output.where, CONTEXT_KL)


as_rule(main, snakemake.log[0])
