"""Rule `plan`: what to sample from one model."""

from typing import TYPE_CHECKING

from selfdistill.foundation.programs import as_rule
from selfdistill.models.digests import model_digest
from selfdistill.problems.budgets import members
from selfdistill.sampling.asked import Asked
from selfdistill.sampling.plan import make_plan
from selfdistill.tables.problems import PROBLEMS, PROMPTS
from selfdistill.tables.sampling import PLAN
from selfdistill.tables.whole import read_table, write_table

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def main() -> None:
    asked = snakemake.params.asked
    evaluation = read_table(snakemake.input.evaluation, PROBLEMS)
    if asked["model_id"] == "base":
        for name, mixture in snakemake.params.mixtures.items():
            members(mixture, name, evaluation, asked["plan"]["eval_problems"])
    plan = make_plan(
        asked["model_id"],
        model_digest(snakemake.params.folder),
        Asked.model_validate(asked["plan"]),
        read_table(snakemake.input.train, PROBLEMS),
        evaluation,
        read_table(snakemake.input.prompts, PROMPTS),
    )
    write_table(plan, snakemake.output[0], PLAN)


as_rule(main, snakemake.log[0])
