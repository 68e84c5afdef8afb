"""Rule `grader`: what the grader could not judge or judged two ways, by arm; and what a person found of its verdicts."""

from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from selfdistill.analysis.audit.corrected import Audit, corrected_effects, grader_errors
from selfdistill.analysis.audit.sheet import judgements
from selfdistill.analysis.grader import grader_panel
from selfdistill.analysis.problem_means import NEEDED
from selfdistill.foundation.programs import as_rule
from selfdistill.study.evaluation import Evaluation
from selfdistill.tables.analysis import AUDIT_KEY, CORRECTED, GRADER, GRADER_ERRORS
from selfdistill.tables.sampling import GRADED
from selfdistill.tables.schema import empty_table
from selfdistill.tables.whole import read_table, write_table

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

NEEDED_TOO = ("request_id", "reason", "lenient", "disputed")


def main() -> None:
    evaluation = Evaluation.model_validate(snakemake.params.asked["evaluation"])
    columns, later = (*NEEDED, *NEEDED_TOO), ("lenient", "disputed")
    graded = pl.concat(read_table(path, GRADED, columns, later) for path in snakemake.input.graded)
    errors, corrected = empty_table(GRADER_ERRORS), empty_table(CORRECTED)
    if snakemake.input.filled:
        key = read_table(snakemake.input.key, AUDIT_KEY)
        audit = Audit.of(graded, evaluation, key, judgements(Path(snakemake.input.filled[0]), key))
        errors, corrected = grader_errors(audit), corrected_effects(graded, evaluation, audit)
    write_table(grader_panel(graded, evaluation), snakemake.output.panel, GRADER)
    write_table(errors, snakemake.output.errors, GRADER_ERRORS)
    write_table(corrected, snakemake.output.corrected, CORRECTED)


as_rule(main, snakemake.log[0])
