"""Rule `audit_sheet`: which answers a person judges, blind, and apart from it what they are."""

from typing import TYPE_CHECKING

import polars as pl

from selfdistill.analysis.audit.sheet import ending, sheet
from selfdistill.analysis.audit.strata import NEEDED_TOO, draw_sample
from selfdistill.analysis.problem_means import NEEDED
from selfdistill.foundation.files import write_text
from selfdistill.foundation.programs import as_rule
from selfdistill.study.evaluation import Evaluation
from selfdistill.tables.analysis import AUDIT_KEY
from selfdistill.tables.problems import PROBLEMS
from selfdistill.tables.sampling import GRADED
from selfdistill.tables.streams import read_pieces
from selfdistill.tables.whole import read_table, write_table

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

SHOWN = ("request_id", "problem_id", "gold", "extracted", "text")


def main() -> None:
    asked = snakemake.params.asked
    columns, later = (*NEEDED, *NEEDED_TOO), ("disputed",)
    graded = pl.concat(read_table(path, GRADED, columns, later) for path in snakemake.input.graded)
    key = draw_sample(graded, Evaluation.model_validate(asked["evaluation"]), asked["seed"])
    drawn = pl.concat(
        piece.filter(pl.col("request_id").is_in(key["request_id"].to_list())).with_columns(
            pl.col("text").map_elements(ending, return_dtype=pl.String)
        )
        for path in snakemake.input.graded
        for piece in read_pieces(path, GRADED, SHOWN)
    )
    problems = read_table(snakemake.input.evaluation, PROBLEMS).select("problem_id", "problem")
    rows = key.join(drawn, on="request_id").join(problems, on="problem_id").sort("row")
    write_table(key, snakemake.output.key, AUDIT_KEY)
    write_text(snakemake.output.sheet, sheet(rows.rename({"extracted": "answer", "text": "ending"})))


as_rule(main, snakemake.log[0])
