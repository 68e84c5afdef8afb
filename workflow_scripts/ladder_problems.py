"""Rule `ladder_problems`: which problems stand on the ladder, by how often the base solves them."""

import sys
from typing import TYPE_CHECKING

import polars as pl

from selfdistill.analysis.ladder import chosen_problems, fewer_than_asked, refuse_without_problems
from selfdistill.foundation.programs import as_rule
from selfdistill.tables.ladder import LADDER_PROBLEMS
from selfdistill.tables.problems import PROBLEMS
from selfdistill.tables.sampling import GRADED
from selfdistill.tables.whole import read_table, write_table

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def main() -> None:
    asked = snakemake.params.asked
    graded = read_table(snakemake.input.graded, GRADED, ("problem_id", "rank", "verdict"))
    found = chosen_problems(graded, asked["solved"], asked["problems"])
    refuse_without_problems(found, asked["solved"])
    if note := fewer_than_asked(found, asked["problems"]):
        print(note, file=sys.stderr)
    write_table(found, snakemake.output.problems, LADDER_PROBLEMS)
    chosen = found.filter(pl.col("chosen")).select("problem_id")
    problems = read_table(snakemake.input.problems, PROBLEMS).join(chosen, on="problem_id", how="semi")
    write_table(problems.sort("rank"), snakemake.output.chosen, PROBLEMS)


as_rule(main, snakemake.log[0])
